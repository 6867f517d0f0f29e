"""The GPU-cluster simulator: compiled kernels on flat arrays, and the plain Python twin that defines their meaning.

What a library user needs is here, see `docs/simulator.md`.
"""

from envs.simulator.energy import Energy
from envs.simulator.log import SCHEMA as EVENT_SCHEMA
from envs.simulator.log import write_log
from envs.simulator.node_state import Nodes, Pod, Tables
from envs.simulator.problem import Problem, make_problem
from envs.simulator.reference import ReferenceSimulator
from envs.simulator.scoring import PACKERS, Packer
from envs.simulator.simulator import Simulator

__all__ = [
    "EVENT_SCHEMA",
    "PACKERS",
    "Energy",
    "Nodes",
    "Packer",
    "Pod",
    "Problem",
    "ReferenceSimulator",
    "Simulator",
    "Tables",
    "make_problem",
    "write_log",
]
