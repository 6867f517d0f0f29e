"""A toy environment."""
