"""Agents that search a linear policy of any environment, from whole episodes."""
