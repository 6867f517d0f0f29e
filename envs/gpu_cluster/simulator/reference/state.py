"""All that the reference simulator remembers of one cluster; the modules beside this one are functions of it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from envs.gpu_cluster.codec import (
    IDLE_AGE_EDGES_SECONDS,
    NO_SETPOINT,
    ClusterSnapshot,
    empty_decision,
    empty_plan,
    empty_snapshot,
    observation_size,
)
from envs.gpu_cluster.simulator.packing.plain import PlainPod
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.reference.detail import DetailedNodes
from envs.gpu_cluster.simulator.reference.objects import Backoff, Job, Node, Running, SharedGpu, Suspended, Totals
from envs.gpu_cluster.simulator.state import DATA_BITS, DATA_MB, IMAGE, PPM, RANK, REGION_BITS, WORKLOAD

EDGES_MS = [round(edge * 1000) for edge in IDLE_AGE_EDGES_SECONDS]


def pools_of(bits: int, problem: Problem) -> frozenset[int]:
    """The pools whose bit is set."""
    return frozenset(pool for pool in range(len(problem.pools)) if bits >> pool & 1)


def job_of(problem: Problem, number: int) -> Job:
    """A job of the trace."""
    submit, duration, milli, bits = (int(value) for value in problem.jobs[number, :4])
    pools = sorted(pools_of(bits, problem))
    checkpoint = int(problem.checkpoint_ms[number]) * PPM
    job = Job(number, submit, duration * PPM, duration * PPM, milli, pools, checkpoint)
    job.flexibility = int(problem.flexibility[number])
    if problem.settings.has_curves:
        job.workload, job.min_milli, job.max_milli = (int(x) for x in problem.jobs[number, WORKLOAD:][:3])
    if problem.settings.pulls_images:
        job.image = int(problem.jobs[number, IMAGE])
    if problem.settings.transfers:
        job.data_mb = int(problem.jobs[number, DATA_MB])
        job.data_pools = pools_of(int(problem.jobs[number, DATA_BITS]), problem)
    if problem.settings.queue.has_facts:
        facts = [int(value) for value in problem.jobs[number, RANK:][:7]]
        job.rank, job.priority, job.predicted_ms, job.owner, job.quota_milli = facts[:5]
        job.latest_ms, job.deadline_ms = facts[5:]
    return job


class State:
    """One cluster in an episode, and what a policy was told of it and decided last.

    Args:
        problem: the checked inputs.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.trace = [job_of(problem, number) for number in range(problem.num_jobs)]
        self.plan = empty_plan(problem.config.codec)
        self.decision = empty_decision(problem.config.codec)
        self.snapshot: ClusterSnapshot = empty_snapshot(problem.config.codec)
        self.observation = np.zeros(observation_size(problem.config.codec), np.float32)
        self.mask = np.zeros(problem.config.codec.mask_size, np.bool_)
        self.clear(0, 0, 0, 0)

    def clear(self, start_ms: int, end_ms: int, last_job: int, seed: int) -> None:
        """An empty cluster at the beginning of an episode."""
        self.seed = seed
        self.now = self.start = start_ms
        self.end, self.last_job = end_ms, last_job
        self.first_job = self.next_job = sum(job.submit_ms < start_ms for job in self.trace)
        self.done = self.truncated = False
        self.turn = 0
        self.nodes = [
            Node(number, pool, config.gpus_per_node)
            for pool, config in enumerate(self.problem.cluster.pools)
            for number in range(config.max_nodes)
        ]
        self.detail = DetailedNodes(self.problem) if self.problem.settings.is_detailed else None
        self.offers: dict[int, int] = {}  # the default pool of waiting jobs behind the window, by number
        self.over_quota: set[int] = set()  # waiting jobs for which there was no quota when the policy was told of them
        self.backoffs = [Backoff() for _ in self.problem.pools]
        self.stuck: list[list[PlainPod]] = [[] for _ in self.problem.pools]
        self.shares: list[SharedGpu] = []
        self.queue: list[Job] = []
        self.running: list[Running] = []
        self.suspended: list[Suspended] = []
        self.excess_mw_ms = 0  # power above the budget of grid events after their ramps
        self.totals = [Totals() for _ in self.problem.pools]
        self.waited_milli_ms = self.finished = self.decisions = self.deadline_misses = 0
        self.usage: defaultdict[int, int] = defaultdict(int)  # GPU time in thousandths by owner
        self.job_starts: dict[int, int] = {}
        self.job_ends: dict[int, int] = {}
        self.consolidated = [start_ms for _ in self.problem.pools]
        self.power_cap = [0 for _ in self.problem.pools]
        self.setpoints = [NO_SETPOINT for _ in self.problem.pools]  # in force
        self.reserves = [0 for _ in self.problem.pools]  # in nodes, likewise, as indices of the codec
        self.setpoints_ms = [start_ms for _ in self.problem.pools]  # since when
        # See `costs`: the piece of the tariff in force, and what earlier charges are for.
        self.piece = 0
        self.paid: list[tuple[int, ...]] = []
        self.charged_until = self.last_decision = start_ms
        self.paid_waited = 0
        self.costs = np.zeros(0)
        self.booked: list[tuple[int, ...]] = []
        self.booked_until = start_ms
        self.spendings = np.zeros(0)
        self.terms: tuple[float, ...] = ()

    def region_of(self, pool: int) -> frozenset[int]:
        """The pools in the region of a pool."""
        return pools_of(int(self.problem.pools[pool, REGION_BITS]), self.problem)

    def of_pool(self, pool: int) -> list[Node]:
        """The nodes of a pool."""
        return [node for node in self.nodes if node.pool == pool]

    def idle_nodes(self, pool: int) -> list[Node]:
        """Idle nodes, the one that became idle first in front."""
        return sorted((node for node in self.of_pool(pool) if node.is_idle), key=lambda node: node.turn)

    def unavailable_nodes(self, pool: int) -> int:
        """Nodes that drain or are down."""
        return sum(node.state in ("draining", "down") for node in self.of_pool(pool))

    def in_backoff(self, pool: int) -> bool:
        """Whether nothing is ordered in a pool because boots failed."""
        return self.now < self.backoffs[pool].until_ms

    def used_milli(self, pool: int) -> int:
        """Thousandths of a GPU that running jobs hold."""
        return sum(run.milli for run in self.running if run.pool == pool)

    def next_turn(self) -> int:
        """A number above all before: who came first."""
        self.turn += 1
        return self.turn
