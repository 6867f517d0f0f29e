"""Agents that search the weights of a small policy by evolution, with whole replays inside compiled kernels."""
