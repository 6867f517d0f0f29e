"""The memory of the simulator: flat arrays, one row per cluster, and the names of their columns.

Times are integer milliseconds and GPUs integer thousandths, so every integral is an exact integer, whatever the order
in which it was added up: the kernels and the reference simulator agree to the last bit, and energy parts sum exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.accounting import AMOUNTS, SPENDINGS
from envs.gpu_cluster.codec import (
    LEVERS,
    MAX_GPUS_PER_NODE,
    POWER_CAP_FRACTIONS,
    SUBMIT_WINDOWS_SECONDS,
    ClusterSnapshot,
    CodecLayout,
    PackingPlan,
    empty_plan,
    empty_snapshot,
    observation_size,
)
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.objective import COST_TERMS

Table = NDArray[np.int64]
"""An array with one named column per number: `Problem.jobs` and `Problem.pools`."""

POWER_CAPS = len(POWER_CAP_FRACTIONS)
MAX_SPREAD_NODES = 16
MAX_WIDTH_GPUS = 64
"""Columns of `Problem.curves` by nodes and by GPUs; beyond them the last one holds."""

PPM = 1_000_000
"""Work done per ms by a job at its reference speed."""

NEVER = int(np.iinfo(np.int64).max)
"""A time that does not come."""

# Entries of `Cluster.clock`.
NOW, EPISODE_START, EPISODE_END, FIRST_JOB, NEXT_JOB, LAST_JOB = range(6)
QUEUE_HEAD, QUEUE_TAIL, PENDING_MILLI, PENDING_SHARES, RUNNING = range(6, 11)
WAITED_MILLI_MS, FINISHED, DECISIONS, DONE, TRUNCATED, UNUSED_SHARES = range(11, 17)
BROKEN_RULE, BROKEN_MS, LOGGED = range(17, 20)
# When something happens next to a node that is on, drains or is down; and the seed of all draws.
NEXT_NODE_EVENT, SEED = range(20, 22)
# The GPUs of waiting jobs that wait for free, when the next latest start of a waiting job comes, deadlines missed.
DEFERRED_MILLI, NEXT_LATEST, DEADLINE_MISSES = range(22, 25)
ENDLESS = 25  # the first job that lost all its work too often, plus 1; 0: none
PACKER_FAULT = 26  # what a custom packer did wrong first, see `simulator.packing.custom`; 0: nothing
SLOTS = 27  # the running slots that had a job in this episode, which are the first; memory behind them is never touched
PIECE, PIECE_END = range(28, 30)  # the piece of the tariff that is in force, and when the next one begins
OFFERED = 30  # how many jobs of the queue, the window included, have a pool in QUEUE_POOL; the others take DEFAULT_POOL
# Suspended jobs, their GPUs whose waiting costs something, and when the first of them goes on.
SUSPENDED, SUSPENDED_MILLI, NEXT_RESUME = range(31, 34)
# The grid event to come or in force, in which phase it is and when that ends, its start, end and budget (microwatts);
# and by how much the power was above the budget after the ramp, in mW times ms.
GRID_EVENT, GRID_PHASE, NEXT_GRID, GRID_START, GRID_END, BUDGET_UW, EXCESS_MW_MS = range(34, 41)
SUBMIT_WINDOW = 41  # and the next entries: the oldest job inside each sliding window
CLOCK_SIZE = SUBMIT_WINDOW + len(SUBMIT_WINDOWS_SECONDS)

# Columns of `Cluster.pool`. A ring's head is an index, its tail the head plus
# the number of entries.
IDLE_HEAD, IDLE_TAIL, BOOT_HEAD, BOOT_TAIL, BUSY, USED_MILLI, SHARED_FREE_MILLI, PENDING_DEFAULT_MILLI = range(8)
IDLE_NODE_MS, BUSY_NODE_MS, BOOT_NODE_MS, USED_MILLI_MS = range(8, 12)
OVERHEAD_MILLI_MS = 12  # GPU time beyond the work done: checkpoints, restarts, work done twice or slowly
SAVED_MILLI_MS = 13  # GPU time that the power saved by caps is worth
TRANSFERRED_MB = 14  # data that came from other regions
NODES_ADDED, NODES_REMOVED, SCALE_UPS, SCALE_DOWNS, BLOCKED_MILLI = range(15, 20)
CONSOLIDATED_MS, MOVES, ROUND, PREEMPTIONS = range(20, 24)
POWER_CAP, SLOW_MILLI, SAVED_MILLI, RESIZES = range(24, 28)  # SLOW and SAVED are sums over running jobs
# Nodes that drain, and nodes that failed or were taken back and cannot be ordered yet; time of the latter; counters.
DRAINING, DOWN, DOWN_NODE_MS, BOOT_FAILURES, FAILURES, RECLAIMS = range(28, 34)
# The first job of the queue that did not fit in the pool, -1: none; and when it would. Only while jobs are started.
HEAD_JOB, HEAD_MS = range(34, 36)
# What the jobs request that only CPU or memory kept from starting, and what the last job that did not fit requests.
STUCK_MILLI, STUCK_CPU, STUCK_MEMORY, BLOCKED_CPU, BLOCKED_MEMORY = range(36, 41)
LOST_MILLI_MS = 41  # GPU time of work that jobs lost when they were stopped; also part of the overhead
LOWEST_OFF = 42  # no node below is off
# Until when nothing is ordered because boots failed, how long that lasts, 0: no boot has failed yet; the last failure.
BACKOFF_UNTIL_MS, BACKOFF_MS, BOOT_FAILED_MS = range(43, 46)
# The setpoint and the reserve in nodes in force, and when the later of them came into force.
SETPOINT, RESERVE, SETPOINT_MS = range(46, 49)
SUSPENSIONS = 49
FREE_COUNT = 50  # and the next columns: busy nodes by free GPUs, 0 to MAX_GPUS_PER_NODE
TRIAL = FREE_COUNT + MAX_GPUS_PER_NODE + 1  # scratch: the same while a plan is tried
PARTS = TRIAL + MAX_GPUS_PER_NODE + 1  # scratch: parts of jobs on a node, by their GPUs
POOL_COLUMNS = PARTS + MAX_GPUS_PER_NODE + 1

# Columns of `Cluster.node`. The first two belong to a node, the others to a position of its pool's rings.
FREE_GPUS, NEXT_NODE, IDLE_NODE, IDLE_SINCE, BOOT_NODE, BOOT_READY = range(6)
# Belonging to a node, and kept where jobs may be moved: the first running slot of the list of those with a part of the
# node, how many of them (shared GPUs included) may not be moved, and the last round of moves that the node received in.
NODE_SLOTS, NODE_FIXED, NODE_ROUND = range(6, 9)
NODE_TRIAL = 9  # scratch: its free GPUs while a plan is tried; where jobs pass a reservation or are preempted
# Belonging to a node, and there only where `Settings.is_stochastic` or images are pulled: how often it was ordered,
# when something happens to it next and what, and when its last boot was expected to end; from NODE_IMAGES on, when its
# pull of each image ends, NEVER: it has none.
NODE_LIFE, NODE_EVENT, NODE_NEXT, NODE_EXPECTED, NODE_IMAGES = range(10, 15)

# Values of NODE_NEXT.
FAILS, IS_RECLAIMED, IS_GONE, RETURNS = range(4)

# Columns of `Cluster.run`: a running job's slot.
RUN_JOB, RUN_POOL, RUN_CHAIN, RUN_NODE, RUN_GPUS, RUN_SHARE, RUN_FINISH = range(7)
# They link the slots that have a part of the same node, where jobs may be moved.
RUN_NEXT, RUN_PREVIOUS = range(7, 9)
# The work that was left at a moment, which may lie ahead (the job then makes no progress until it comes), and the work
# done per ms from then on; where work is tracked.
RUN_LEFT, RUN_SINCE, RUN_RATE = range(9, 12)
# Its GPUs in thousandths (0: the slot is free), how many of them make no progress, and those whose power is saved.
RUN_MILLI, RUN_SLOW, RUN_SAVED = range(12, 15)
# Scratch, by position, not slot: a list of slots, and when their jobs are expected to end; where jobs are preempted or
# pass a reservation.
RUN_LISTED, RUN_LISTED_END = range(15, 17)
# Its GPUs on the node that it has a part of, as bits, and its predicted end in ms; on detailed nodes.
RUN_BITS, RUN_END = range(17, 19)
RUN_TARGET = 19  # scratch: the node that its part of a node would move to, -1: it fits on none; likewise
RUN_COLUMNS = 20

# Columns of `Cluster.heap`: slots as a heap by (finish, job), each with its finish, so that large heaps are read
# in one place; behind it the free ones of the first SLOTS slots.
HEAP_SLOT, HEAP_FINISH = range(2)
HEAP_COLUMNS = 2
HEAP_SHIFT = 2
HEAP_ARITY = 1 << HEAP_SHIFT  # children of a position: half as many levels as with 2, and children lie side by side

# Columns of `Cluster.queue`: waiting jobs in their order; for job FIRST_JOB + row, when it first started and when it
# ended; where work is tracked, the work that is left of a waiting job; and, where the queue goes in turn or jobs can
# overflow, the pool that it is offered, -1: none now, JUST_QUEUED: it came after the last decision and has no slot.
# Where nodes come and go at random, how often nodes that went cost a job all its work; jobs from before the episode
# have the last rows.
QUEUE_JOB, JOB_START, JOB_END, QUEUE_LEFT, QUEUE_POOL, JOB_LOSSES = range(6)
# Suspended jobs, in the first rows: the work that is left, the pool, since when and until when at most. And again for
# job FIRST_JOB + row how long it was suspended before, and 1 until it goes on. Only where `Settings.suspends`.
SUSPENDED_JOB, SUSPENDED_LEFT, SUSPENDED_POOL, SUSPENDED_SINCE, SUSPENDED_UNTIL = range(6, 11)
JOB_SUSPENDED_MS, JOB_IS_SUSPENDED = range(11, 13)
JOB_DATA_BITS = 13  # likewise: the pools in regions that the job brought its data to; only where `Settings.transfers`
QUEUE_COLUMNS = 14
JUST_QUEUED = -2

# Columns of `Cluster.share`, one row per shared GPU; SHARE_STACK holds the unused rows.
SHARE_FREE, SHARE_NODE, SHARE_NEXT, SHARE_PREVIOUS, SHARE_STACK = range(5)
SHARE_TRIAL = 5  # scratch: its free thousandths while a plan is tried
SHARE_COLUMNS = 6

# Columns of `Cluster.owner`: GPUs in use in thousandths, GPU time used until a moment, that moment; and scratch.
OWNER_MILLI, OWNER_USAGE, OWNER_SINCE, OWNER_PLANNED = range(4)
OWNER_COLUMNS = 4

# Columns of `Cluster.level`: for each level of free thousandths the most recently touched shared GPU, then one bit per
# level that has any.
LEVELS = 1001
LEVEL_WORDS = 16

# Columns of `Problem.jobs`, one row per job in order of submission, and one row more for MILLI_BEFORE.
SUBMIT_MS, DURATION_MS, MILLI, ALLOWED_BITS, DEFAULT_POOL, MILLI_BEFORE, FLAGS = range(7)
# They are there only where the physics needs them: run time between checkpoints, 0: none; the row of `Problem.curves`;
# fewest and most GPUs; the number of its image, 0: none; MB of its data, and the bits of the pools in their region.
CHECKPOINT_MS, WORKLOAD, MIN_MILLI, MAX_MILLI, IMAGE, DATA_MB, DATA_BITS = range(7, 14)
# They are there only where `QueueSettings.has_facts`: the place in the queue's order, lowest first; priority; the run
# time that is expected, 0: unknown; the row of `Cluster.owner`, and most GPUs that this owner may use; until when the
# job may be deferred, 0: it may not; and its deadline.
RANK, PRIORITY, PREDICTED_MS, OWNER, QUOTA_MILLI, LATEST_MS, DEADLINE_MS = range(14, 21)
# CPUs (thousandths) and MiB of memory of the whole job, and its predicted run time; on detailed nodes.
CPU_MILLI, MEMORY_MIB, LIFETIME_MS = range(21, 24)
JOB_COLUMNS = 24
MOVABLE = 1  # a bit of FLAGS: the job can be checkpointed, and may be moved, preempted and suspended
UNTOUCHED = 2  # a bit of FLAGS: it is not even capped
TIER_SHIFT = 2  # the bits of FLAGS from there on are its flexibility tier

# Columns of `Problem.pools`. Boots take BOOT_MS; where they are drawn, that is their mean.
GPUS, MIN_NODES, MAX_NODES, BOOT_MS, NODE_OFFSET = range(5)
# CPUs (thousandths) and MiB of memory of a node, -1: no limit; and GPUs that share a fast link.
NODE_CPU, NODE_MEMORY, LINKED = range(5, 8)
# Where `Settings.is_stochastic`, else 0; tables of QUANTILES times in ms begin with POOL_QUANTILES, kind by kind, only
# there.
BOOT_FAILS_PPM, BOOT_TIMEOUT_MS, NOTICE_MS, PULL_MS, FIRST_BACKOFF_MS, MOST_BACKOFF_MS, BACKOFF_RESET_MS = range(8, 15)
# Power in microwatts, PUE included, for each unit of `objective.AMOUNTS` that is node time or GPU time.
IDLE_UW, UNUSED_UW, BOOT_UW, OFF_UW, USED_UW, SAVED_UW = range(15, 21)
# Microseconds for each MB of data that comes from another region, and the bits of the pools in the same region.
TRANSFER_US_PER_MB, REGION_BITS = range(21, 23)
POOL_QUANTILES = 23

# Columns of `World.events`: when a grid event is known, starts, binds and ends, in ms; and its budget in microwatts.
EVENT_KNOWN, EVENT_STARTS, EVENT_BINDS, EVENT_ENDS, EVENT_UW = range(5)
# Values of GRID_PHASE: how many of the first three moments have passed.
UNKNOWN, KNOWN, ACTIVE, BINDING = range(4)

LOG_COLUMNS = 3
"""Columns of `Cluster.log`. A row is packed, for it costs what its memory costs: the time in ms; above 16 bits of the
pool and 8 of the kind the node plus 1; above 32 bits of the value the job plus 1."""

MAX_IMAGES = 62
"""Images that a node tells apart."""

NODE_COLUMNS = NODE_IMAGES + MAX_IMAGES

QUANTILES = 1024
"""Quantiles of a table of random times; a power of 2, so that bits of a hash are an index."""

# Kinds of random draws: those with a table first.
DRAW_BOOT, DRAW_FAILURE, DRAW_REPAIR, DRAW_RECLAIM, DRAW_OUTAGE, DRAW_BOOT_FAILS = range(6)

# Columns of `Outcome.terms`: those of `objective.COST_TERMS`, and the simulated time of the step in s.
TERM_SECONDS = len(COST_TERMS)
TERM_COLUMNS = TERM_SECONDS + 1

# Columns of `Outcome.paid`: the integrals of a pool from IDLE_NODE_MS on; in row P waiting and time as
# of the last reward, and the time until which energy is settled.
PAID_COLUMNS = 7
PAID_WAITED, PAID_CHARGED, PAID_TIME = range(3)
BOOKED_TIME = 0  # of row P of `Outcome.booked`: when the piece began, or the episode


class Cluster(NamedTuple):
    """The state of one cluster with P pools, M nodes, R running jobs, Q queued jobs and S shared GPUs at most.

    Few arrays with named columns rather than many arrays: compiled functions pass every array's shape and strides
    along.

    Attributes:
        clock: [CLOCK_SIZE] int64, times, counters and positions.
        pool: [P, POOL_COLUMNS] int64, counters and integrals.
        node: [M, NODE_COLUMNS] int64, without the last columns where nothing needs them.
        bits: [G + 1, M / 64] uint64, row f > 0: busy nodes with f free GPUs; row 0: nodes that are off.
        run: [R, RUN_COLUMNS] int64, without the last columns where nothing needs them.
        heap: [R, HEAP_COLUMNS] int64, the order in which running jobs end.
        queue: [Q, QUEUE_COLUMNS] int64, without the last columns where nothing needs them.
        share: [S, SHARE_COLUMNS] int64.
        log: [L, LOG_COLUMNS] int64, see `envs.gpu_cluster.simulator.log`; without rows where nothing is logged.
        level: [P, LEVELS + LEVEL_WORDS] int64, or without columns where no job requests a share of a GPU.
        owner: [O, OWNER_COLUMNS] int64, users or groups, or without rows where nothing needs them.
        detail: what each node has free of CPUs, memory and each GPU; without nodes where that is not kept. Open are the
            busy nodes.
        pod: [POD_COLUMNS] int64, scratch: what a job requests of one node.
    """

    clock: NDArray[np.int64]
    pool: NDArray[np.int64]
    node: NDArray[np.int64]
    bits: NDArray[np.uint64]
    run: NDArray[np.int64]
    heap: NDArray[np.int64]
    queue: NDArray[np.int64]
    share: NDArray[np.int64]
    level: NDArray[np.int64]
    log: NDArray[np.int64]
    owner: NDArray[np.int64]
    detail: ns.Nodes
    pod: ns.Pod


class Outcome(NamedTuple):
    """What N clusters show to the outside after a step.

    Attributes:
        action: [N, components] int64, the action to carry out next.
        target_nodes: [N, P] int64, of the last `Decision`.
        placement: [N, W] int64, of the last `Decision`.
        levers: [N, L, P] int64, the levers of the last `Decision`, in the order of `LEVERS`.
        setpoint: [N, P] int64, of the last `Decision`.
        observation: [N, observation size] float32.
        mask: [N, mask size] bool.
        reward: [N] float64, USD: minus the sum of the cost terms.
        terms: [N, TERM_COLUMNS] float64, what the time since the last decision cost, in USD, without the energy of GPUs
            that work, and in the last column that time in seconds.
        paid: [N, P + 1, PAID_COLUMNS] int64, integrals that `terms` or earlier rewards have paid for.
        booked: [N, P + 1, PAID_COLUMNS] int64, integrals at the beginning of the piece of the tariff that is in force.
        spendings: [N, P, len(AMOUNTS), len(SPENDINGS)] float64, what the energy of earlier pieces cost and
            emitted.
    """

    action: NDArray[np.int64]
    target_nodes: NDArray[np.int64]
    placement: NDArray[np.int64]
    levers: NDArray[np.int64]
    setpoint: NDArray[np.int64]
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terms: NDArray[np.float64]
    paid: NDArray[np.int64]
    booked: NDArray[np.int64]
    spendings: NDArray[np.float64]


class Capacity(NamedTuple):
    """Sizes of a batch: N clusters, and M, R, Q, S, O of `Cluster`; and which columns there are."""

    clusters: int
    pools: int
    nodes: int
    running: int
    queued: int
    shares: int
    owners: int
    node_columns: int
    run_columns: int
    queue_columns: int
    log_rows: int
    detailed_nodes: int
    detailed_columns: int
    most_gpus: int


def allocate_clusters(size: Capacity) -> Cluster:
    """Zeroed memory for N clusters, each field with a leading dimension N."""
    n = size.clusters
    return Cluster(
        clock=np.zeros((n, CLOCK_SIZE), np.int64),
        pool=np.zeros((n, size.pools, POOL_COLUMNS), np.int64),
        node=np.zeros((n, size.nodes, size.node_columns), np.int64),
        bits=np.zeros((n, MAX_GPUS_PER_NODE + 1, size.nodes // 64), np.uint64),
        run=np.zeros((n, size.running, size.run_columns), np.int64),
        heap=np.zeros((n, size.running, HEAP_COLUMNS), np.int64),
        queue=np.zeros((n, size.queued, size.queue_columns), np.int64),
        share=np.zeros((n, size.shares, SHARE_COLUMNS), np.int64),
        log=np.zeros((n, size.log_rows, LOG_COLUMNS), np.int64),
        level=np.zeros((n, size.pools, LEVELS + LEVEL_WORDS if size.shares else 0), np.int64),
        owner=np.zeros((n, size.owners, OWNER_COLUMNS), np.int64),
        detail=ns.Nodes(
            node=np.zeros((n, size.detailed_nodes, size.detailed_columns), np.int64),
            gpu=np.zeros((n, size.detailed_nodes, size.most_gpus), np.int64),
            kind=np.zeros((n, size.detailed_nodes, size.most_gpus + 1), np.int64),
            key=np.zeros((n, 0, 0), np.int64),
            synced=np.zeros((n, 0), np.int64),
            log=np.zeros((n, 0), np.int64),
            clock=np.zeros((n, 2), np.int64),
        ),
        pod=np.zeros((n, ns.POD_COLUMNS), np.int64),
    )


def allocate_snapshots(clusters: int, layout: CodecLayout) -> ClusterSnapshot:
    """Zeroed snapshots, each field with a leading dimension N."""
    return ClusterSnapshot(*(np.zeros((clusters, *field.shape)) for field in empty_snapshot(layout)))


def allocate_plans(clusters: int, layout: CodecLayout) -> PackingPlan:
    """The codec's scratch memory, each field with a leading dimension N."""
    return PackingPlan(*(np.zeros((clusters, *field.shape)) for field in empty_plan(layout)))


def allocate_outcome(clusters: int, num_pools: int, layout: CodecLayout) -> Outcome:
    """Zeroed memory for what N clusters show."""
    pools, slots = layout.max_pools, layout.window_slots
    return Outcome(
        action=np.zeros((clusters, len(layout.action_sizes)), np.int64),
        target_nodes=np.zeros((clusters, pools), np.int64),
        placement=np.zeros((clusters, slots), np.int64),
        levers=np.zeros((clusters, len(LEVERS), pools), np.int64),
        setpoint=np.zeros((clusters, pools), np.int64),
        observation=np.zeros((clusters, observation_size(layout)), np.float32),
        mask=np.zeros((clusters, layout.mask_size), np.bool_),
        reward=np.zeros(clusters),
        terms=np.zeros((clusters, TERM_COLUMNS)),
        paid=np.zeros((clusters, num_pools + 1, PAID_COLUMNS), np.int64),
        booked=np.zeros((clusters, num_pools + 1, PAID_COLUMNS), np.int64),
        spendings=np.zeros((clusters, num_pools, len(AMOUNTS), len(SPENDINGS))),
    )
