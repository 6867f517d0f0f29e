"""The GPU-cluster simulator: compiled kernels on flat arrays, and the plain Python twin that defines their meaning."""

from envs.simulator.energy import Energy
from envs.simulator.simulator import Simulator

__all__ = ["Energy", "Simulator"]
