"""Cluster API: the node groups whose annotations describe a pool."""
