"""YAML presets of experiments and clusters, and the loader that turns them into typed settings."""
