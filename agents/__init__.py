"""Agents: the `Policy` protocol, baselines, Stable-Baselines3 agents and policy artifacts.

Importing this package imports neither torch nor numba; what needs them imports them when it is used.
"""
