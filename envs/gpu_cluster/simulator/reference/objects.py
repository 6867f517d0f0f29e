"""What the reference simulator is made of: jobs, nodes, shared GPUs, running jobs, and the sums of a pool."""

from __future__ import annotations

from dataclasses import dataclass, field

from envs.gpu_cluster.simulator.reference.detail import Placed
from envs.gpu_cluster.simulator.state import NEVER, PPM


@dataclass(slots=True)
class Job:
    """A job of the trace.

    `work` is all that it has to do and `left` what is left of that, in millionths of a ms at its reference speed; it
    writes a checkpoint each `checkpoint` of work, never where that is 0.
    """

    number: int
    submit_ms: int
    work: int
    left: int
    milli: int
    pools: list[int]
    checkpoint: int = 0
    image: int = 0
    data_mb: int = 0
    data_pools: frozenset[int] = frozenset()  # where its data are: in the region that they came from, or brought to
    flexibility: int = 3
    has_run: bool = False
    losses: int = 0  # how often it lost all its work
    suspended_ms: int = 0  # for how long it was suspended
    is_suspended: bool = False  # it was, and has not gone on yet
    workload: int = -1  # row of the curves
    min_milli: int = 0
    max_milli: int = 0
    rank: int = 0  # place in the order of the queue, lowest first, see `envs.gpu_cluster.simulator.queues`
    priority: int = 0
    predicted_ms: int = 0  # the run time that is expected, 0: unknown
    owner: int = 0
    quota_milli: int = NEVER
    latest_ms: int = 0  # until when it may be deferred, 0: it may not
    deadline_ms: int = NEVER

    @property
    def is_movable(self) -> bool:
        """Whether it may be moved, preempted and suspended."""
        return self.checkpoint > 0 and self.flexibility == 3


@dataclass(slots=True, eq=False)
class Node:
    """A node. `free` GPUs are neither used nor shared; `since_ms` and `turn` say when it became idle or was ordered.

    Its boot ends at `ready_ms`, and is expected to at `expected_ms`. `life` counts how often it was switched on. At
    `event_ms` comes what `event` says: fail, reclaim, gone, return.
    """

    number: int
    pool: int
    gpus: int
    state: str = "off"  # off, booting, on, draining, down
    free: int = 0
    since_ms: int = 0
    turn: int = 0
    ready_ms: int = 0
    expected_ms: int = 0
    life: int = 0
    event: str = ""
    event_ms: int = NEVER
    images: dict[int, int] = field(default_factory=dict)  # the moment when the pull of each is over

    @property
    def is_idle(self) -> bool:
        """Whether it is on and runs nothing."""
        return self.state == "on" and self.free == self.gpus

    @property
    def is_busy(self) -> bool:
        """Whether it is on and runs something."""
        return self.state == "on" and self.free < self.gpus


@dataclass(slots=True, eq=False)
class SharedGpu:
    """A GPU that jobs share; `turn` says when it was last touched. Detailed nodes know its number."""

    node: Node
    free_milli: int
    turn: int
    gpu: int = -1


@dataclass(slots=True, eq=False)
class Running:
    """A running job: whole GPUs by node, in the order they were taken, or a share of one."""

    job: Job
    pool: int
    since_ms: int  # the job has `job.left` of its work then, and makes no progress before
    milli: int
    rate: int = PPM
    saved_milli: int = 0  # GPUs that the power saved by a cap is worth
    parts: list[tuple[Node, int]] = field(default_factory=list)
    has_part: bool = False  # whether the last of its parts is one of a node that others may share
    share: SharedGpu | None = None
    placed: list[Placed] = field(default_factory=list)  # the same on detailed nodes, its part of a node last

    @property
    def nodes(self) -> list[Node]:
        """Every node that it uses."""
        return [self.share.node] if self.share is not None else [node for node, _ in self.parts]

    @property
    def finish_ms(self) -> int:
        """When it ends at its present rate."""
        return self.since_ms + -(-self.job.left // self.rate)

    @property
    def slow_milli(self) -> int:
        """GPUs that make no progress: those it has beyond those that would do its work at reference speed."""
        return self.milli - self.job.milli * self.rate // PPM


@dataclass(slots=True, eq=False)
class Suspended:
    """A job that was suspended in a pool, since when, and until when at most."""

    job: Job
    pool: int
    since_ms: int
    until_ms: int


@dataclass(slots=True)
class Reservation:
    """The first job that did not fit in a pool, when it is expected to fit, and which jobs will have ended by then."""

    job: Job
    time: int
    ending: set[int]


@dataclass(slots=True)
class Backoff:
    """Until when a pool is left alone because boots failed, for how long in all (0: none has), and the last failure."""

    until_ms: int = 0
    length_ms: int = 0
    failed_ms: int = 0


@dataclass(slots=True)
class Totals:
    """Integrals and counters of one pool: the fields of `envs.gpu_cluster.simulator.PoolTotals`, as they grow."""

    idle_node_ms: int = 0
    busy_node_ms: int = 0
    boot_node_ms: int = 0
    down_node_ms: int = 0
    used_milli_ms: int = 0
    overhead_milli_ms: int = 0
    saved_milli_ms: int = 0
    transferred_mb: int = 0
    lost_milli_ms: int = 0
    nodes_added: int = 0
    nodes_removed: int = 0
    scale_ups: int = 0
    scale_downs: int = 0
    moves: int = 0
    resizes: int = 0
    preemptions: int = 0
    suspensions: int = 0
    boot_failures: int = 0
    node_failures: int = 0
    spot_reclaims: int = 0
