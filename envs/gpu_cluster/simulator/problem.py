"""A trace, a cluster and settings, checked and turned into the arrays that both simulators read."""

from __future__ import annotations

import zlib
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from envs.errors import ClusterError
from envs.gpu_cluster.accounting import WATT_MS_PER_KWH, kwh_rates
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecTables, Pool
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.grid import GridEventSource
from envs.gpu_cluster.simulator import draws
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.arrivals import memories_of, users_of
from envs.gpu_cluster.simulator.curves import Curves, make_curves
from envs.gpu_cluster.simulator.data import JobData, job_data
from envs.gpu_cluster.simulator.packing.counted import COUNTED_NUMBERS
from envs.gpu_cluster.simulator.packing.packer import Packer
from envs.gpu_cluster.simulator.packing.settings import (
    custom_packer,
    describe_limits,
    describe_request,
    detail_settings,
    fits_empty_nodes,
    has_detailed_nodes,
    node_cpu_milli,
    node_memory_mib,
    write_requests,
)
from envs.gpu_cluster.simulator.queues import queue_settings, write_facts
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Table
from envs.gpu_cluster.simulator.tariff import Prices, make_prices
from traces.trace import Trace

WORD_BITS = 64
MICRO = 1e6

NARROWED_TIER, SUSPENDED_TIER = 2, 3
"""Flexibility tiers from which on a job's width may change, and it may be suspended; see `traces.Trace`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that stays the same during a run.

    Attributes:
        jobs: [J + 1, JOB_COLUMNS] int64, the trace; fewer columns where the physics does not need them. The columns
            have names in `envs.gpu_cluster.simulator.state`.
        pools: [P, columns] int64, the cluster, likewise, and more columns where `Settings.is_stochastic`.
        curves: what makes jobs faster or slower.
        template: [P, len(Pool)] float64, the constant columns of a snapshot's pool.
        slopes: [P, len(SLOPES)] float64, how the price by which jobs are placed changes with the state; [P, 0] where it
            does not.
        prices: what energy, carbon, nodes and waiting cost, and when.
        events: [E, 5] int64, the grid events; the columns have names in `envs.gpu_cluster.simulator.state`.
        users: [J] int64, whose job each is, where the layout shows the memory of submissions; else [0].
        memories: [J + 1, MEMORY_COLUMNS] float64, row j is the memory of the first j jobs; [0, 0] where none is shown.
        settings: numbers of the environment.
        tables: the codec's layout.
        cluster: the cluster as described.
        config: the environment as described.
        num_nodes: length of the node arrays (pools start at multiples of 64).
        custom_packer: a custom packer; None: it is one of the package.
    """

    jobs: Table
    pools: Table
    curves: Curves
    template: NDArray[np.float64]
    slopes: NDArray[np.float64]
    prices: Prices
    events: Table
    users: NDArray[np.int64]
    memories: NDArray[np.float64]
    settings: Settings
    tables: CodecTables
    cluster: ClusterConfig
    config: EnvironmentConfig
    num_nodes: int
    custom_packer: Packer | None = None

    @property
    def submit_ms(self) -> NDArray[np.int64]:
        """[J] int64, a view: submission of each job in ms, ascending."""
        return self.jobs[:-1, st.SUBMIT_MS]

    @property
    def duration_ms(self) -> NDArray[np.int64]:
        """[J] int64, a view: run time of each job at reference speed, in ms."""
        return self.jobs[:-1, st.DURATION_MS]

    @property
    def gpu_milli(self) -> NDArray[np.int64]:
        """[J] int64, a view: GPUs that each job requests, in thousandths."""
        return self.jobs[:-1, st.MILLI]

    @property
    def allowed_bits(self) -> NDArray[np.int64]:
        """[J] int64, a view: bit p is set where a job may run in pool p."""
        return self.jobs[:-1, st.ALLOWED_BITS]

    @property
    def owner(self) -> NDArray[np.int64]:
        """[J] int64, a view: the number of each job's user or group; only where the queue differs from the default."""
        return self.jobs[:-1, st.OWNER]

    @property
    def quota_milli(self) -> NDArray[np.int64]:
        """[J] int64, a view: thousandths of a GPU that the owner of each job may use at once; likewise."""
        return self.jobs[:-1, st.QUOTA_MILLI]

    @property
    def node_offsets(self) -> NDArray[np.int64]:
        """[P] int64, a view: the number of the first node of each pool, as the event log counts nodes."""
        return self.pools[:, st.NODE_OFFSET]

    @property
    def is_stochastic(self) -> bool:
        """Whether boots, failures or reclaims of nodes are drawn at random."""
        return bool(self.settings.is_stochastic)

    @property
    def checkpoint_ms(self) -> NDArray[np.int64]:
        """[J] int64, run time between checkpoints of each job in ms, 0: it writes none."""
        if self.jobs.shape[1] > st.CHECKPOINT_MS:
            return self.jobs[:-1, st.CHECKPOINT_MS]
        return np.where(self.jobs[:-1, st.FLAGS] & st.MOVABLE, 1, 0)

    @property
    def flexibility(self) -> NDArray[np.int64]:
        """[J] int64, the flexibility tier of each job, 0 to 3."""
        return self.jobs[:-1, st.FLAGS] >> st.TIER_SHIFT

    @property
    def free_until_ms(self) -> NDArray[np.int64]:
        """[J] int64, until when waiting costs nothing: the submission, or the latest start where that is free."""
        if self.settings.queue.defers and self.settings.queue.waits_free:
            return np.maximum(self.submit_ms, self.jobs[:-1, st.LATEST_MS])
        return self.submit_ms

    @property
    def speed_ppm(self) -> NDArray[np.int64]:
        """[J, P] int64, speed of each job in each pool, in parts per million of that on the reference model."""
        if not self.settings.has_curves:
            return np.full((self.num_jobs, len(self.pools)), st.PPM)
        return self.curves.speed[self.jobs[:-1, st.WORKLOAD]]

    @property
    def workload(self) -> NDArray[np.int64]:
        """[J] int64, the row of `curves` of each job; the last one where it names no workload."""
        if self.jobs.shape[1] > st.CHECKPOINT_MS:
            return self.jobs[:-1, st.WORKLOAD]
        return np.full(self.num_jobs, len(self.curves.speed) - 1)

    @property
    def pool_gpus(self) -> NDArray[np.int64]:
        """[P] int64, GPUs of each pool with every node on."""
        return np.asarray(self.pools[:, st.GPUS] * self.pools[:, st.MAX_NODES], np.int64)

    @property
    def transfer_mb(self) -> NDArray[np.int64]:
        """[J, P] int64, MB of data that each job needs in each pool and that are not there when it is submitted."""
        if not self.settings.transfers:
            return np.zeros((self.num_jobs, len(self.pools)), np.int64)
        is_here = self.jobs[:-1, st.DATA_BITS, None] >> np.arange(len(self.pools)) & 1
        return np.where(is_here == 1, 0, self.jobs[:-1, st.DATA_MB, None])

    @property
    def transfer_ms(self) -> NDArray[np.int64]:
        """[J, P] int64, for how long each job waits in each pool for `transfer_mb`, in ms."""
        return np.asarray(-(-self.transfer_mb * self.pools[:, st.TRANSFER_US_PER_MB] // 1000), np.int64)

    @property
    def region_bits(self) -> NDArray[np.int64]:
        """[P] int64, a view: for each pool the bits of the pools in its region."""
        return self.pools[:, st.REGION_BITS]

    @property
    def num_owners(self) -> int:
        """Users or groups with jobs."""
        return int(self.jobs[:-1, st.OWNER].max(initial=-1)) + 1

    @property
    def num_jobs(self) -> int:
        """Jobs of the trace."""
        return len(self.jobs) - 1

    def with_run_times(self, duration_ms: NDArray[np.int64]) -> Problem:
        """The same with other run times and memory of its own for the jobs.

        Args:
            duration_ms: [J] int64.
        """
        jobs = self.jobs.copy()
        jobs[:-1, st.DURATION_MS] = duration_ms
        return replace(self, jobs=jobs)

    def with_room(self, more: int) -> Problem:
        """The same with rows for so many more jobs after the last one, and memory of its own for all of them."""
        jobs = np.concatenate([self.jobs[:-1], np.repeat(self.jobs[-2:-1], more, axis=0), self.jobs[-1:]])
        # Nothing is remembered of jobs that are written there: rules, which run on, read no memory.
        return replace(
            self, jobs=jobs, memories=np.concatenate([self.memories, np.repeat(self.memories[-1:], more, 0)])
        )

    @property
    def total_gpus(self) -> int:
        """GPUs of the cluster with every node on."""
        return int(self.pools[:, st.GPUS] @ self.pools[:, st.MAX_NODES])

    @property
    def smallest_milli(self) -> int:
        """The smallest share of a GPU that a job requests."""
        return int(self.jobs[:-1, st.MILLI].min(initial=1000))


def _fits(pool: PoolConfig, milli: NDArray[np.int64]) -> NDArray[np.bool_]:
    return milli <= pool.max_nodes * pool.gpus_per_node * 1000


def allowed_pools(trace: Trace, cluster: ClusterConfig, second_resources: bool) -> NDArray[np.bool_]:
    """[J, P] bool: pools of a model that the job accepts, large enough for it."""
    models = None
    if any(pool.gpu_model is not None for pool in cluster.pools):
        models = trace.table.column("gpu_models").to_pylist()
    allowed = np.empty((trace.num_jobs, len(cluster.pools)), dtype=np.bool_)
    for index, pool in enumerate(cluster.pools):
        allowed[:, index] = _fits(pool, trace.gpu_milli)
        if second_resources:
            allowed[:, index] &= fits_empty_nodes(pool, trace)
        if models is not None and pool.gpu_model is not None:
            accepts = [not wanted or pool.gpu_model in wanted for wanted in models]
            allowed[:, index] &= np.array(accepts, dtype=np.bool_)
    return allowed


def _describe(pool: PoolConfig, limits: str) -> str:
    model = f" {pool.gpu_model}" if pool.gpu_model else ""
    return f"{pool.name} ({pool.max_nodes} nodes of {pool.gpus_per_node}{model} GPUs{limits})"


def _check_fits(trace: Trace, cluster: ClusterConfig, allowed: NDArray[np.bool_], second_resources: bool) -> None:
    homeless = np.flatnonzero(~allowed.any(axis=1))
    if homeless.size:
        job = int(homeless[0])
        name, gpus = trace.table.column("job_id")[job], trace.gpu_milli[job] / 1000
        request = describe_request(trace, job) if second_resources else ""
        limits = describe_limits(cluster) if second_resources else {}
        pools = ", ".join(_describe(pool, limits.get(pool.name, "")) for pool in cluster.pools)
        setting = "max_nodes, CPUs or memory per node" if second_resources else "max_nodes"
        raise ClusterError(
            f"{trace.uri}: job {name} requests {gpus:g} GPUs{request} and fits in no pool of the cluster: {pools}; "
            f"raise {setting}, or drop the {homeless.size} job(s) that are too large"
        )


def _pools(cluster: ClusterConfig, second_resources: bool) -> tuple[Table, int]:
    """The table of the pools, and the length of the node arrays."""
    pools = cluster.pools
    is_stochastic = any(pool.is_stochastic for pool in pools)
    columns = st.POOL_QUANTILES + (st.DRAW_BOOT_FAILS * st.QUANTILES if is_stochastic else 0)
    nodes = [-(-pool.max_nodes // WORD_BITS) * WORD_BITS for pool in pools]
    table = np.zeros((len(pools), columns), np.int64)
    table[:, st.GPUS] = [pool.gpus_per_node for pool in pools]
    table[:, st.MIN_NODES] = [pool.min_nodes for pool in pools]
    table[:, st.MAX_NODES] = [pool.max_nodes for pool in pools]
    table[:, st.BOOT_MS] = [round(draws.mean_boot_seconds(pool) * 1000) for pool in pools]
    table[:, st.NODE_OFFSET] = np.cumsum([0, *nodes[:-1]])
    table[:, [st.NODE_CPU, st.NODE_MEMORY]] = -1
    if second_resources:
        table[:, st.NODE_CPU] = [node_cpu_milli(pool) for pool in pools]
        table[:, st.NODE_MEMORY] = [node_memory_mib(pool) for pool in pools]
    table[:, st.LINKED] = [pool.linked_gpus or pool.gpus_per_node for pool in pools]
    table[:, st.IDLE_UW : st.SAVED_UW + 1] = [
        np.round(kwh_rates(pool)[: st.SAVED_UW + 1 - st.IDLE_UW] * (WATT_MS_PER_KWH * MICRO)).astype(np.int64)
        for pool in pools
    ]
    table[:, st.TRANSFER_US_PER_MB] = [round(pool.transfer.seconds_per_gb * 1000) for pool in pools]
    table[:, st.PULL_MS] = [round(pool.pull_seconds * 1000) for pool in pools]
    if is_stochastic:
        table[:, st.BOOT_FAILS_PPM] = [round(pool.boot.failure_probability * st.PPM) for pool in pools]
        table[:, st.BOOT_TIMEOUT_MS] = [round(pool.boot.timeout_seconds * 1000) for pool in pools]
        table[:, st.FIRST_BACKOFF_MS] = [round((pool.boot.backoff_seconds or 0.0) * 1000) for pool in pools]
        table[:, st.MOST_BACKOFF_MS] = [round(pool.boot.max_backoff_seconds * 1000) for pool in pools]
        table[:, st.BACKOFF_RESET_MS] = [round(pool.boot.backoff_reset_seconds * 1000) for pool in pools]
        table[:, st.NOTICE_MS] = [round(pool.spot.notice_seconds * 1000) for pool in pools]
        table[:, st.POOL_QUANTILES :] = [draws.tables(pool) for pool in pools]
    return table, sum(nodes)


def _events(config: EnvironmentConfig, cluster: ClusterConfig) -> Table:
    """[E, 5] int64, the grid events; the columns have names in `envs.gpu_cluster.simulator.state`."""
    peak_kw = sum(
        pool.max_nodes * pool.gpus_per_node * pool.power.watts(pool.gpus_per_node).busy_gpu * pool.power.pue / 1000.0
        for pool in cluster.pools
    )
    events = config.grid_events
    assert not isinstance(events, GridEventSource)  # `_with_grid_events` read them
    rows = np.zeros((len(events), st.EVENT_UW + 1), np.int64)
    for row, event in zip(rows, events, strict=True):
        start, kw = event.start_seconds, event.power_kw
        moments = (start - event.notice_seconds, start, start + event.ramp_seconds, event.end_seconds)
        row[: st.EVENT_UW] = [round(1000.0 * moment) for moment in moments]
        row[st.EVENT_UW] = round((peak_kw * (event.fraction or 0.0) if kw is None else kw) * 1000.0 * MICRO)
    return rows


def _template(cluster: ClusterConfig, objective: ObjectiveConfig) -> NDArray[np.float64]:
    template = np.zeros((len(cluster.pools), len(Pool)))
    for row, pool in zip(template, cluster.pools, strict=True):
        power, watts = pool.power, pool.power.watts(pool.gpus_per_node)
        row[Pool.PRESENT] = 1.0
        row[Pool.GPUS_PER_NODE] = pool.gpus_per_node
        row[Pool.MIN_NODES], row[Pool.MAX_NODES] = pool.min_nodes, pool.max_nodes
        row[Pool.BOOT_SECONDS] = draws.mean_boot_seconds(pool)
        row[Pool.IDLE_NODE_WATTS] = power.pue * watts.idle_node
        row[Pool.USD_PER_KWH] = objective.usd_per_kwh
        row[Pool.USD_PER_NODE_HOUR] = pool.usd_per_node_hour + pool.placement_usd_per_node_hour
        row[Pool.BUSY_GPU_WATTS] = power.pue * (watts.busy_gpu - watts.unused_gpu)
        row[Pool.TRANSFER_SECONDS_PER_GB : Pool.TRANSFER_USD_PER_GB + 1] = astuple(pool.transfer)
    return template


def _slopes(cluster: ClusterConfig) -> NDArray[np.float64]:
    """How the prices of placement change with the state, see `Problem.slopes`."""
    rows = [pool.placement_slopes.row for pool in cluster.pools]
    width = max(len(row) for row in rows)
    return np.array([row if len(row) else np.zeros(width) for row in rows]).reshape(len(rows), width)


def _image_numbers(trace: Trace) -> NDArray[np.int64]:
    """[J] int64, 1 to MAX_IMAGES for the image of each job, 0 for none. More names share numbers by a hash."""
    images = trace.table.column("image").to_pylist()
    names = sorted({image for image in images if image is not None})
    if len(names) <= st.MAX_IMAGES:
        numbers = {name: index + 1 for index, name in enumerate(names)}
    else:
        numbers = {name: zlib.crc32(name.encode()) % st.MAX_IMAGES + 1 for name in names}
    return np.array([0 if image is None else numbers[image] for image in images], np.int64)


def _jobs(
    trace: Trace,
    allowed: NDArray[np.bool_],
    workload: NDArray[np.int64],
    data: JobData,
    tracks_work: bool,
    has_facts: bool,
    is_detailed: bool,
) -> Table:
    columns = st.CPU_MILLI if has_facts else st.RANK if tracks_work else st.CHECKPOINT_MS
    if is_detailed:
        columns = st.JOB_COLUMNS
    table = np.zeros((trace.num_jobs + 1, columns), np.int64)
    table[:-1, st.SUBMIT_MS] = trace.submit_milliseconds
    table[:-1, st.DURATION_MS] = trace.duration_milliseconds
    table[:-1, st.MILLI] = trace.gpu_milli
    table[:-1, st.ALLOWED_BITS] = allowed @ (1 << np.arange(allowed.shape[1]))
    table[:-1, st.DEFAULT_POOL] = allowed.argmax(axis=1)
    checkpoint_ms = trace.checkpoint_interval_milliseconds
    tier = trace.flexibility
    table[:-1, st.FLAGS] = tier << st.TIER_SHIFT
    table[:-1, st.FLAGS] |= np.where((checkpoint_ms > 0) & (tier == SUSPENDED_TIER), st.MOVABLE, 0)
    table[:-1, st.FLAGS] |= np.where(tier == 0, st.UNTOUCHED, 0)
    if columns > st.CHECKPOINT_MS:
        table[:-1, st.CHECKPOINT_MS] = checkpoint_ms
        table[:-1, st.WORKLOAD] = workload
        is_fixed = tier < NARROWED_TIER
        table[:-1, st.MIN_MILLI] = np.where(is_fixed, trace.gpu_milli, np.minimum(trace.min_gpu_milli, trace.gpu_milli))
        table[:-1, st.MAX_MILLI] = np.where(is_fixed, trace.gpu_milli, np.maximum(trace.max_gpu_milli, trace.gpu_milli))
        table[:-1, st.IMAGE] = _image_numbers(trace)
        table[:-1, st.DATA_MB], table[:-1, st.DATA_BITS] = data.mb, data.bits
    table[1:, st.MILLI_BEFORE] = np.cumsum(trace.gpu_milli)
    return table


def _with_grid_events(trace: Trace, config: EnvironmentConfig) -> EnvironmentConfig:
    """With the events of a file as a list, in the time of the trace."""
    events = config.grid_events
    return replace(config, grid_events=events.load(trace)) if isinstance(events, GridEventSource) else config


def make_problem(trace: Trace, cluster: ClusterConfig, config: EnvironmentConfig) -> Problem:
    """Check that trace, cluster and codec fit together.

    Raises:
        ClusterError: the trace is empty, a job fits in no pool, or the codec holds fewer pools.
        EnvironmentConfigError: there is no such packer or order of the queue.
    """
    if trace.num_jobs == 0:
        raise ClusterError(f"{trace.uri}: the trace has no job; choose a wider window")
    config = _with_grid_events(trace, config)
    if len(cluster.pools) > config.codec.max_pools:
        raise ClusterError(
            f"the cluster has {len(cluster.pools)} pools, the codec holds {config.codec.max_pools}; "
            f"raise codec.max_pools"
        )
    packer, second_resources = custom_packer(config), config.physics.second_resources
    allowed = allowed_pools(trace, cluster, second_resources)
    _check_fits(trace, cluster, allowed, second_resources)
    pools, num_nodes = _pools(cluster, second_resources)
    curves, workload = make_curves(trace, cluster, config.physics.curves)
    price = make_prices(trace, cluster, config)
    data = job_data(trace, cluster, config, allowed)
    pools[:, st.REGION_BITS] = data.regions
    slopes = _slopes(cluster)
    has_grid = bool(config.grid_events)
    has_curves = config.physics.curves.is_on or config.codec.power_caps or config.codec.elastic_width or has_grid
    pulls_images = any(pool.pull_seconds > 0.0 for pool in cluster.pools)
    loses_nodes = any(pool.loses_nodes for pool in cluster.pools)
    tracks_work = config.physics.tracks_work or has_curves or pulls_images or loses_nodes or data.is_moved
    tracks_work = tracks_work or config.physics.queue.preemption or config.codec.suspension
    queue = queue_settings(config)
    is_detailed = has_detailed_nodes(config)
    jobs = _jobs(trace, allowed, workload, data, tracks_work, bool(queue.has_facts), is_detailed)
    if queue.has_facts:
        write_facts(trace, config.physics.queue, jobs)
    if is_detailed:
        write_requests(trace, config, jobs)
    users, memories = np.zeros(0, np.int64), np.zeros((0, 0))
    if config.codec.arrival_features:
        users = users_of(trace)
        memories = memories_of(jobs, users)
    settings = Settings(
        settle_ms=round(config.settle_seconds * 1000),
        interval_ms=round(config.decision_interval_seconds * 1000),
        resync_ms=round(config.resync_interval_seconds * 1000),
        packer=COUNTED_NUMBERS.get(config.packer, -1),
        week_offset_ms=round(trace.week_offset_seconds * 1000),
        usd_per_gpu_hour=float(config.objective.usd_per_gpu_hour),
        usd_per_waited_milli_ms=price.usd_per_waited_milli_ms,
        debug=bool(config.debug),
        moves_jobs=bool(config.codec.consolidation),
        is_stochastic=any(pool.is_stochastic for pool in cluster.pools),
        pulls_images=pulls_images,
        transfers=data.is_moved,
        tracks_work=tracks_work,
        has_curves=has_curves,
        resizes_jobs=config.codec.elastic_width,
        resize_ms=round(config.physics.curves.resize_seconds * 1000),
        usd_per_useful_milli_ms=price.usd_per_useful_milli_ms,
        restart_ms=round(config.physics.restart_seconds * 1000),
        max_fresh_restarts=config.physics.max_fresh_restarts,
        move_ms=round(config.move_seconds * 1000),
        consolidation_ms=round(config.codec.consolidation_interval_seconds * 1000),
        suspends=bool(config.codec.suspension) or has_grid,
        max_suspend_ms=round(config.physics.max_suspend_seconds * 1000),
        has_grid=has_grid,
        moves_prices=slopes.shape[1] > 0,
        queue=queue,
        overflows=int((allowed.sum(axis=1) > 1).any()),
        is_detailed=is_detailed,
        detail=detail_settings(config, jobs, pools),
    )
    return Problem(
        jobs=jobs,
        pools=pools,
        curves=curves,
        template=_template(cluster, config.objective),
        slopes=slopes,
        prices=price,
        events=_events(config, cluster),
        users=users,
        memories=memories,
        settings=settings,
        tables=config.codec.tables(),
        cluster=cluster,
        config=config,
        num_nodes=num_nodes,
        custom_packer=packer,
    )
