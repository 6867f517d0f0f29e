"""The GPU-cluster simulator: compiled kernels on flat arrays, and the plain Python twin that defines their meaning.

What a library user needs is here, see `docs/simulator.md`.
"""

from envs.simulator.energy import Energy
from envs.simulator.log import SCHEMA as EVENT_SCHEMA
from envs.simulator.log import write_log
from envs.simulator.problem import Problem, make_problem
from envs.simulator.reference import ReferenceSimulator
from envs.simulator.simulator import Simulator

__all__ = ["EVENT_SCHEMA", "Energy", "Problem", "ReferenceSimulator", "Simulator", "make_problem", "write_log"]
