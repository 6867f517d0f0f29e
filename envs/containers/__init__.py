"""Containers that run functions on nodes: one simulator for `envs.serverless` and `envs.edge`."""
