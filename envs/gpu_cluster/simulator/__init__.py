"""The GPU-cluster simulator: compiled kernels on flat arrays, and a reference simulator in plain Python.

What a library user needs is here, see `docs/simulator.md`.
"""

from envs.gpu_cluster.accounting import AMOUNTS, SPENDINGS, Account, Waterfall
from envs.gpu_cluster.registry import PACKERS, QUEUE_ORDERS
from envs.gpu_cluster.simulator.log import SCHEMA as EVENT_SCHEMA
from envs.gpu_cluster.simulator.log import write_log
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.objective import COST_TERMS
from envs.gpu_cluster.simulator.orders import JobFacts, QueueOrder
from envs.gpu_cluster.simulator.packing.packer import Packer
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from envs.gpu_cluster.simulator.results import JobTimes, PoolTotals
from envs.gpu_cluster.simulator.simulator import Simulator
from envs.gpu_cluster.simulator.state import NEVER
from envs.gpu_cluster.simulator.usage import COLUMNS as USAGE_COLUMNS
from envs.gpu_cluster.simulator.usage import Usage, attribute_usage

__all__ = [
    "AMOUNTS",
    "COST_TERMS",
    "EVENT_SCHEMA",
    "NEVER",
    "PACKERS",
    "QUEUE_ORDERS",
    "SPENDINGS",
    "USAGE_COLUMNS",
    "Account",
    "JobFacts",
    "JobTimes",
    "Nodes",
    "Packer",
    "Pod",
    "PoolTotals",
    "Problem",
    "QueueOrder",
    "ReferenceSimulator",
    "Simulator",
    "Tables",
    "Usage",
    "Waterfall",
    "attribute_usage",
    "make_problem",
    "write_log",
]
