"""The layout of what a policy sees and does: sizes, setpoints and the fields of a snapshot.

Everything here is part of the codec fingerprint: a policy that was trained for another layout does not load.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CODEC_VERSION = 7

MAX_GPUS_PER_NODE = 16
"""Largest node that the codec describes (a DGX-2 has 16 GPUs)."""

IDLE_AGE_EDGES_SECONDS = (0.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Ages at which an idle node moves to the next class; also the idle time-outs that a setpoint can choose."""

HEADROOM_FRACTIONS = (0.0, 0.05, 0.15, 0.3, 0.6, 1.0)
"""Idle nodes that a setpoint keeps or orders in reserve, as a fraction of the nodes in demand (rounded up)."""

ALWAYS_ON = -1.0
"""Headroom of the last setpoint: every node of the pool is on."""

NO_SETPOINT = -1
"""No set-point is in force yet: any may be chosen."""

SUBMIT_WINDOWS_SECONDS = (600.0, 3600.0, 21600.0, 86400.0)
"""Sliding windows over which submitted GPUs are counted."""

FADING_HALF_LIVES_SECONDS = (60.0, 300.0, 1800.0, 10800.0, 604800.0)
"""Half-lives of the sums of submissions that fade: a minute to a week; see `envs.gpu_cluster.codec.arrivals`."""

BATCH_SECONDS = 60.0
"""Jobs with at most so long between one and the next are one batch."""

HORIZON_HOURS = 24
"""Hours ahead for which a snapshot has an expected price of energy."""

FORECAST_HOURS = (1, 3, 6, 12, 24)
"""Those that the observation has."""


CONSOLIDATION_CHOICES = ("none", "one", "all")
"""What a pool's consolidation lever can do: nothing, empty the emptiest busy node, or empty all that can be."""

POWER_CAP_FRACTIONS = (1.0, 0.85, 0.7, 0.55)
"""Caps of a GPU's power that the power lever can choose, as a fraction of its own limit; the first is no cap."""

WIDTH_CHOICES = ("keep", "shrink", "grow")
"""What a pool's width lever does to its elastic jobs: nothing, narrow them, or widen them into free GPUs."""

SUSPENSION_CHOICES = ("none", "suspend", "resume")
"""What a pool's suspension lever does: nothing, suspend all running jobs that may be, or let those suspended go on."""

RESERVE_NODES = (0, 1, 2, 4, 8, 16)
"""Idle nodes that a pool keeps or orders in reserve, whatever is in demand, where its setpoint keeps fewer."""


class Lever(NamedTuple):
    """What a policy can decide for each pool beside its setpoint.

    Attributes:
        name: field of `Decision`.
        switch: field of `CodecLayout` that switches it on.
        choices: what it can do; the first does nothing.
        order: its choices, as indices, in an order in which neighbours are alike.
    """

    name: str
    switch: str
    choices: tuple[str, ...] | tuple[float, ...]
    order: tuple[int, ...]


LEVERS = (
    Lever("consolidation", "consolidation", CONSOLIDATION_CHOICES, (0, 1, 2)),
    Lever("power_cap", "power_caps", POWER_CAP_FRACTIONS, (0, 1, 2, 3)),
    Lever("width", "elastic_width", WIDTH_CHOICES, (1, 0, 2)),
    Lever("suspension", "suspension", SUSPENSION_CHOICES, (1, 0, 2)),
    Lever("reserve_nodes", "reserve_nodes", RESERVE_NODES, (0, 1, 2, 3, 4, 5)),
)
"""The levers in the order of the action."""


class _Field(IntEnum):
    """Column numbers that count up from 0 in the order of their definition."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count


class Pool(_Field):
    """Columns of `ClusterSnapshot.pools`."""

    PRESENT = auto()  # 1 for a pool that exists, 0 for padding
    GPUS_PER_NODE = auto()
    MIN_NODES = auto()
    MAX_NODES = auto()
    BOOT_SECONDS = auto()  # mean time from order to ready
    IDLE_NODE_WATTS = auto()  # a node that is on and runs nothing, times PUE
    USD_PER_KWH = auto()
    USD_PER_NODE_HOUR = auto()  # of a node that is on or boots, beside its energy
    IDLE_NODES = auto()  # ready, no job
    BUSY_NODES = auto()  # at least one job
    BOOTING_NODES = auto()  # ordered, not ready
    USED_GPUS = auto()  # shares of a GPU count as their fraction
    SHARED_FREE_GPUS = auto()  # unused shares of the GPUs that are shared
    BACKLOG_GPUS = auto()  # requested by the jobs beyond the queue window whose default pool this is
    EMPTIABLE_NODES = auto()  # busy nodes, partly free, all of whose jobs may be moved
    CONSOLIDATABLE = auto()  # 1 where a node can be emptied now: it is time, and its jobs fit on other busy nodes
    SINCE_CONSOLIDATION_SECONDS = auto()  # since jobs were last moved, or since the episode began
    POWER_CAP = auto()  # the cap in force, an index into `POWER_CAP_FRACTIONS`
    BUSY_GPU_WATTS = auto()  # what a GPU draws more when it works uncapped, times PUE
    SHRINKABLE_GPUS = auto()  # that elastic jobs would give back if all were narrowed
    GROWABLE_GPUS = auto()  # that elastic jobs would take if all were widened
    UNAVAILABLE_NODES = auto()  # failed or reclaimed: neither on nor to be ordered now
    SETPOINT = auto()  # the one in force, `NO_SETPOINT` before the first
    SINCE_SETPOINT_SECONDS = auto()  # since it came into force, or since the episode began
    SETPOINT_HELD = auto()  # 1 while it cannot be changed
    RESERVE_NODES = auto()  # in force with it, an index into `RESERVE_NODES`
    SUSPENDABLE_GPUS = auto()  # that running jobs hold which may be suspended now
    SUSPENDED_GPUS = auto()  # requested by the jobs that were suspended here
    NEXT_RESUME_SECONDS = auto()  # until the first of them goes on whatever is decided; 0: there is none
    TRANSFER_SECONDS_PER_GB = auto()  # time, energy and price of data that come from another region
    TRANSFER_KWH_PER_GB = auto()
    TRANSFER_USD_PER_GB = auto()


class Slot(_Field):
    """Columns of `ClusterSnapshot.queue`."""

    PRESENT = auto()
    GPUS = auto()
    WAITED_SECONDS = auto()
    PREDICTED_SECONDS = auto()  # the run time that is expected, 0: unknown
    SLACK_SECONDS = auto()  # until the latest start of a job that may be deferred, negative from then on; 0: none
    PRIORITY = auto()
    MIN_GPUS = auto()  # the width range of an elastic job; both are GPUS where it is not
    MAX_GPUS = auto()
    FLEXIBILITY = auto()  # the tier of the job: 0 untouched, 1 capped, 2 narrowed, 3 suspended


class Signal(_Field):
    """Entries of `ClusterSnapshot.signals`."""

    WEEK_SECONDS = auto()  # seconds since Monday 00:00, local time of the cluster
    SUBMITTED_GPUS_10MIN = auto()
    SUBMITTED_GPUS_1H = auto()
    SUBMITTED_GPUS_6H = auto()
    SUBMITTED_GPUS_24H = auto()
    SUBMITTED_JOBS_1H = auto()
    SINCE_SUBMIT_SECONDS = auto()  # since the newest submission
    QUEUE_JOBS = auto()
    QUEUE_GPUS = auto()
    RUNNING_JOBS = auto()
    USD_PER_GPU_HOUR = auto()  # what an hour of waiting costs, per requested GPU
    POWER_WATTS = auto()  # that the cluster draws now; where there are grid events
    BUDGET_KNOWN = auto()  # 1 where a budget of power is in force or announced
    BUDGET_WATTS = auto()
    BUDGET_STARTS_SECONDS = auto()  # until it starts, 0 from then on
    BUDGET_ENDS_SECONDS = auto()
    # The memory of submissions, where the layout shows it: in the order of `ArrivalFeature`.
    FADING_GPUS_60S = auto()  # GPUs submitted; what is left of them halves in that time
    FADING_GPUS_300S = auto()
    FADING_GPUS_1800S = auto()
    FADING_GPUS_10800S = auto()
    FADING_GPUS_604800S = auto()
    FADING_JOBS_60S = auto()  # jobs likewise
    FADING_JOBS_300S = auto()
    FADING_JOBS_1800S = auto()
    FADING_JOBS_10800S = auto()
    FADING_JOBS_604800S = auto()
    BATCH_JOBS = auto()  # of the batch that comes in now, 0: none does
    BATCH_GPUS = auto()
    MEAN_BATCH_GPUS = auto()  # of the batches lately
    MEAN_GANG_GPUS = auto()  # of a job, over half an hour
    LARGEST_GANG_GPUS = auto()  # of a job; what is left of it halves in half an hour
    LAST_GANG_GPUS = auto()  # of the newest job
    MEAN_GAP_SECONDS = auto()  # between two jobs lately
    ACTIVE_USERS = auto()  # each counts by what is left of their last job after half-lives of half an hour
    BUSIEST_USER_SHARE = auto()  # of the GPUs submitted over half an hour
    USER_MEAN_GPUS = auto()  # of a job of the user of the newest one
    USER_AGAIN = auto()  # share of the jobs of that user that were followed by another one in 10 minutes
    USER_GAP_SECONDS = auto()  # between two jobs of that user
    USERS_NEXT_GPUS = auto()  # that users who submitted are expected to add, by their habits; halves in 5 minutes


class PoolSignal(_Field):
    """Columns of `ClusterSnapshot.pool_signals`; the price is energy and its carbon, as the objective counts them."""

    KNOWN = auto()  # 1 where a signal gives the price or the carbon, 0 where constants do
    CARBON_G_PER_KWH = auto()  # now
    USD_PER_KWH = auto()  # now; and in the next `HORIZON_HOURS` columns what is expected in each of the next hours


POOL_SIGNALS = len(PoolSignal) + HORIZON_HOURS
"""Columns of `ClusterSnapshot.pool_signals`."""


class CodecTables(NamedTuple):
    """The numbers of a layout, as arrays and scalars that CPython and numba both read.

    Attributes:
        max_pools: most pools of the codec.
        window_slots: jobs at the head of the queue that the action places.
        setpoints: number of setpoints of a pool.
        setpoint_edge: [setpoints] int64, the index into `IDLE_AGE_EDGES_SECONDS` of the idle time-out.
        setpoint_headroom: [setpoints] float64, reserve as a fraction of the demand, or `ALWAYS_ON`.
        max_hold_seconds: a job that waited as long as this, and has no slack, can no longer be held.
        consolidation_seconds: least time between two consolidations of a pool.
        has_consolidation: whether the consolidation lever is on.
        has_power_caps: whether the power lever is on.
        has_width: whether the width lever is on.
        has_suspension: whether the suspension lever is on.
        has_reserve_nodes: whether reserves can be chosen in nodes.
        has_grid: whether the power budget of grid events is shown.
        has_job_hints: whether slots show what is known of a job beyond its size.
        balances_pools: whether similar pools grow evenly.
        has_transfer: whether slots show what it takes to bring the data of a job to each pool.
        has_signals: whether price and carbon of energy are shown, now and as they are expected.
        has_arrivals: whether the memory of submissions is shown.
    """

    max_pools: int
    window_slots: int
    setpoints: int
    setpoint_edge: NDArray[np.int64]
    setpoint_headroom: NDArray[np.float64]
    max_hold_seconds: float
    consolidation_seconds: float
    has_consolidation: bool
    has_power_caps: bool
    has_width: bool
    has_suspension: bool
    has_reserve_nodes: bool
    has_grid: bool
    has_job_hints: bool
    balances_pools: bool
    has_transfer: bool
    has_signals: bool
    has_arrivals: bool
    places_by_cost: bool
    expected_run_seconds: float


@dataclass(frozen=True, slots=True)
class CodecLayout:
    """Sizes of observation and action.

    Attributes:
        max_pools: largest number of pools that a policy of this layout can serve.
        window_slots: jobs at the head of the queue that the policy places; later ones go to their default pool. 0:
            none.
        max_hold_seconds: longest time from submission that the policy may hold a job; deferrable jobs until their
            latest start.
        consolidation: a lever per pool that moves jobs off nearly empty nodes, see `CONSOLIDATION_CHOICES`.
        consolidation_interval_seconds: least time between two uses of it in a pool.
        power_caps: a lever per pool that caps the power of its GPUs, see `POWER_CAP_FRACTIONS`.
        elastic_width: a lever per pool that changes the width of elastic jobs, see `WIDTH_CHOICES`.
        suspension: a lever per pool that suspends jobs and lets them go on, see `SUSPENSION_CHOICES`; slots show the
            flexibility of their job.
        reserve_nodes: a lever per pool that keeps a number of nodes in reserve, see `RESERVE_NODES`; it is held as long
            as the setpoint.
        grid_events: show the power that is drawn, and the budget of a grid event from its notice on.
        job_hints: show for each slot the expected run time, slack, priority, width range and speed in each pool.
        balance_similar_pools: where a new node is needed, it comes from the pool with the fewest nodes among those that
            are equal in size, boot time, power and price, and not always from the first; as Cluster Autoscaler's
            `--balance-similar-node-groups`.
        data_transfer: show for each slot how long its data take to come to each pool from another region.
        signals: show for each pool the price and the carbon of energy, now and as they are expected, and decide at the
            beginning of each hour.
        arrival_features: show a finer and longer memory of submissions, batches, gang sizes and the habits of users;
            see `envs.gpu_cluster.codec.arrivals`.
        cost_aware_placement: a job goes by default where it is cheapest to run, see `packing.cheapest_pool`; False: to
            the first pool that runs it soonest, so that the order of the pools is their priority.
        expected_run_seconds: of a job of which nothing better is known, for `cost_aware_placement`.
    """

    max_pools: int = 4
    window_slots: int = 8
    max_hold_seconds: float = 3600.0
    consolidation: bool = False
    consolidation_interval_seconds: float = 1800.0
    power_caps: bool = False
    elastic_width: bool = False
    suspension: bool = False
    reserve_nodes: bool = False
    grid_events: bool = False
    job_hints: bool = False
    balance_similar_pools: bool = False
    data_transfer: bool = False
    signals: bool = False
    arrival_features: bool = False
    cost_aware_placement: bool = True
    expected_run_seconds: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse sizes that have no meaning.

        Raises:
            ValueError: a size is out of its range.
        """
        if not 1 <= self.max_pools <= 64:
            raise ValueError(f"codec.max_pools is {self.max_pools}; it must be 1 to 64")
        if not 0 <= self.window_slots <= 256:
            raise ValueError(f"codec.window_slots is {self.window_slots}; it must be 0 to 256")
        if not 0.0 <= self.max_hold_seconds < float("inf"):
            raise ValueError(f"codec.max_hold_seconds is {self.max_hold_seconds}; it must be finite and >= 0")
        if not 0.0 <= self.consolidation_interval_seconds < float("inf"):
            raise ValueError(
                f"codec.consolidation_interval_seconds is {self.consolidation_interval_seconds}; it must be finite and "
                ">= 0"
            )
        if not 0.0 < self.expected_run_seconds < float("inf"):
            raise ValueError(f"codec.expected_run_seconds is {self.expected_run_seconds}; it must be finite and > 0")

    @property
    def setpoints(self) -> tuple[tuple[float, float], ...]:
        """(idle time-out in seconds, headroom fraction) of every setpoint, `ALWAYS_ON` last."""
        pairs = [(edge, headroom) for headroom in HEADROOM_FRACTIONS for edge in IDLE_AGE_EDGES_SECONDS]
        return (*pairs, (IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON))

    @property
    def action_sizes(self) -> tuple[int, ...]:
        """Choices of each component of the action: a setpoint per pool, a placement per slot, the levers per pool."""
        sizes = (len(self.setpoints),) * self.max_pools + (self.max_pools + 1,) * self.window_slots
        for lever in self.lever_sizes:
            sizes += (lever,) * self.max_pools
        return sizes

    @property
    def action_groups(self) -> tuple[tuple[int, int], ...]:
        """(components, choices) of the parts of the action whose components are alike, empty parts left out."""
        groups = ((self.max_pools, len(self.setpoints)), (self.window_slots, self.max_pools + 1))
        levers = tuple((self.max_pools, lever) for lever in self.lever_sizes)
        return tuple(group for group in (*groups, *levers) if group[0] > 0)

    @property
    def lever_sizes(self) -> tuple[int, ...]:
        """Choices of each lever that is on, in the order of the action."""
        return tuple(len(lever.choices) for lever in LEVERS if getattr(self, lever.switch))

    @property
    def mask_size(self) -> int:
        """Length of the flat action mask: the sum of `action_sizes`."""
        return sum(self.action_sizes)

    def setpoint(self, idle_timeout_seconds: float, headroom: float) -> int:
        """The index of a setpoint.

        Raises:
            ValueError: no setpoint has these values.
        """
        try:
            return self.setpoints.index((idle_timeout_seconds, headroom))
        except ValueError:
            raise ValueError(
                f"no setpoint has idle time-out {idle_timeout_seconds} s and headroom {headroom}; time-outs are "
                f"{IDLE_AGE_EDGES_SECONDS}, headrooms {HEADROOM_FRACTIONS}"
            ) from None

    def tables(self) -> CodecTables:
        """The layout as `encode` and `decode` read it."""
        edges = [IDLE_AGE_EDGES_SECONDS.index(timeout) for timeout, _ in self.setpoints]
        return CodecTables(
            self.max_pools,
            self.window_slots,
            len(self.setpoints),
            np.array(edges, dtype=np.int64),
            np.array([headroom for _, headroom in self.setpoints], dtype=np.float64),
            float(self.max_hold_seconds),
            float(self.consolidation_interval_seconds),
            bool(self.consolidation),
            bool(self.power_caps),
            bool(self.elastic_width),
            bool(self.suspension),
            bool(self.reserve_nodes),
            bool(self.grid_events),
            bool(self.job_hints),
            bool(self.balance_similar_pools),
            bool(self.data_transfer),
            bool(self.signals),
            bool(self.arrival_features),
            bool(self.cost_aware_placement),
            float(self.expected_run_seconds),
        )

    def to_dict(self) -> dict[str, float]:
        """Field names and values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
