"""The agent that learns how likely requests are, and keeps containers as costs least if they come so."""
