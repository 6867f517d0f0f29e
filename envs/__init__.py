"""Environments: the codec, the simulator and the Gymnasium envs on top of them."""
