"""The suite: named scenarios that others can cite, and a grid of policies on them."""
