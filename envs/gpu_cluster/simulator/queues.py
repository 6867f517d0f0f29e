"""The queue: in which order waiting jobs get their turn, who owns them, and who may start. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.config import BACKFILL_POLICIES, EnvironmentConfig, QueueConfig
from envs.gpu_cluster.registry import QUEUE_ORDERS
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.orders import JobFacts, QueueOrder
from envs.gpu_cluster.simulator.settings import QueueSettings, Settings
from envs.gpu_cluster.simulator.state import Cluster, Table
from traces.trace import Trace

ANY, NONE, BACKFILL = range(3)  # indices into `envs.gpu_cluster.config.BACKFILL_POLICIES`


def queue_settings(config: EnvironmentConfig) -> QueueSettings:
    """The numbers of a queue.

    Raises:
        EnvironmentConfigError: there is no such order.
    """
    queue = config.physics.queue
    order: QueueOrder = QUEUE_ORDERS[queue.order]
    is_ordered = queue.priorities or order.rank is not None or order.by_usage
    by_usage = order.by_usage
    has_quotas = queue.default_quota_gpus is not None or bool(queue.quotas_gpus)
    goes_in_turn = has_quotas or queue.preemption or queue.backfill_policy != "any"
    is_default = queue == QueueConfig(estimates=queue.estimates)
    return QueueSettings(
        has_facts=not is_default or bool(config.codec.job_hints or config.codec.suspension or config.grid_events),
        is_ordered=is_ordered,
        has_priorities=queue.priorities,
        by_usage=by_usage,
        halving_ms=round((queue.usage_halving_seconds or 0.0) * 1000),
        tracks_owners=by_usage or has_quotas,
        has_quotas=has_quotas,
        goes_in_turn=goes_in_turn,
        backfill_policy=BACKFILL_POLICIES.index(queue.backfill_policy),
        preempts=queue.preemption,
        max_victims=queue.max_victims,
        has_notice=queue.preemption and queue.preemption_notice,
        defers=queue.deferral,
        waits_free=queue.deferral and queue.deferral_is_free,
        counts_misses=queue.deadlines,
    )


def predicted_ms(trace: Trace, estimates: str) -> NDArray[np.int64]:
    """[J] int64, the run time that is expected of each job in ms, 0 where nothing is known."""
    if estimates == "none":
        return np.zeros(trace.num_jobs, np.int64)
    if estimates == "exact":
        return trace.duration_milliseconds
    given = trace.predicted_duration_milliseconds
    return np.where(given > 0, given, trace.duration_milliseconds) if estimates == "given-else-exact" else given


def _owners(trace: Trace, config: QueueConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[J] int64 each: the owner of each job, those without a name are one; and most thousandths of a GPU it may use."""
    names, owner = trace.codes(config.owner)
    default = np.inf if config.default_quota_gpus is None else config.default_quota_gpus
    quotas = np.array([config.quotas_gpus.get(name, default) for name in (*names, "")])
    milli = np.where(np.isinf(quotas), st.NEVER, np.round(np.where(np.isinf(quotas), 0.0, quotas) * 1000).astype(int))
    quota = milli[owner]
    beyond = np.flatnonzero(trace.gpu_milli > quota)
    if beyond.size:
        job = int(beyond[0])
        who = f"{config.owner} {trace.table.column(config.owner)[job].as_py()!r}"
        name, gpus = trace.table.column("job_id")[job], trace.gpu_milli[job] / 1000
        raise EnvironmentConfigError(
            f"physics.queue: job {name} requests {gpus:g} GPUs, the quota of {who} is {quota[job] / 1000:g}; "
            f"raise it, or drop the {beyond.size} job(s) that could never start"
        )
    return np.where(owner < 0, len(names), owner), quota


def write_facts(trace: Trace, config: QueueConfig, jobs: Table) -> None:
    """Write the columns of the trace's jobs from RANK on.

    Raises:
        EnvironmentConfigError: a job requests more GPUs than its owner may ever use.
    """
    predicted = predicted_ms(trace, config.estimates)
    facts = JobFacts(
        submit_ms=trace.submit_milliseconds,
        gpu_milli=trace.gpu_milli,
        predicted_ms=np.where(predicted > 0, predicted, st.NEVER),
        deadline_ms=trace.deadline_milliseconds,
    )
    rows = jobs[:-1]
    order: QueueOrder = QUEUE_ORDERS[config.order]
    rows[:, st.RANK] = 0 if order.rank is None else order.rank(facts)
    rows[:, st.PRIORITY] = trace.priority
    rows[:, st.PREDICTED_MS] = predicted
    rows[:, st.LATEST_MS] = np.where(
        trace.latest_start_milliseconds > trace.submit_milliseconds, trace.latest_start_milliseconds, 0
    )
    rows[:, st.DEADLINE_MS] = trace.deadline_milliseconds
    rows[:, st.OWNER], rows[:, st.QUOTA_MILLI] = _owners(trace, config)


@helper
def precedes(cluster: Cluster, jobs: Table, settings: Settings, job: int, other: int) -> bool:
    """Whether a job has its turn before another."""
    if settings.queue.has_priorities and jobs[job, st.PRIORITY] != jobs[other, st.PRIORITY]:
        return jobs[job, st.PRIORITY] > jobs[other, st.PRIORITY]
    if settings.queue.by_usage:
        usage = cluster.owner[jobs[job, st.OWNER], st.OWNER_USAGE]
        others = cluster.owner[jobs[other, st.OWNER], st.OWNER_USAGE]
        if usage != others:
            return usage < others
    if settings.queue.is_ordered and jobs[job, st.RANK] != jobs[other, st.RANK]:
        return jobs[job, st.RANK] < jobs[other, st.RANK]
    return job < other


@helper
def move_waiting(cluster: Cluster, settings: Settings, at: int, to: int) -> None:
    """Copy an entry of the queue."""
    cluster.queue[to, st.QUEUE_JOB] = cluster.queue[at, st.QUEUE_JOB]
    if settings.tracks_work:
        cluster.queue[to, st.QUEUE_LEFT] = cluster.queue[at, st.QUEUE_LEFT]
    if settings.queue.goes_in_turn:
        cluster.queue[to, st.QUEUE_POOL] = cluster.queue[at, st.QUEUE_POOL]


@helper
def count_usage(cluster: Cluster, settings: Settings, owner: int) -> None:
    """Count the GPU time that an owner has used until now."""
    row, now = cluster.owner[owner], cluster.clock[st.NOW]
    if settings.queue.halving_ms > 0:
        halving, start = settings.queue.halving_ms, cluster.clock[st.EPISODE_START]
        moment = start + ((row[st.OWNER_SINCE] - start) // halving + 1) * halving
        while moment <= now:
            row[st.OWNER_USAGE] += row[st.OWNER_MILLI] * (moment - row[st.OWNER_SINCE])
            row[st.OWNER_USAGE] //= 2
            row[st.OWNER_SINCE] = moment
            moment += halving
    row[st.OWNER_USAGE] += row[st.OWNER_MILLI] * (now - row[st.OWNER_SINCE])
    row[st.OWNER_SINCE] = now


@helper
def add_in_use(cluster: Cluster, jobs: Table, settings: Settings, job: int, milli: int) -> None:
    """Note that the owner of a job uses more GPUs from now on, or fewer."""
    owner = jobs[job, st.OWNER]
    if settings.queue.by_usage:
        count_usage(cluster, settings, owner)
    cluster.owner[owner, st.OWNER_MILLI] += milli


@rare
def order_queue(cluster: Cluster, jobs: Table, settings: Settings) -> None:
    """Sort the queue by what owners have used until now (Shell's sort: in place, and quick where little changed)."""
    for owner in range(cluster.owner.shape[0]):
        count_usage(cluster, settings, owner)
    head, tail, gap = cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL], 1
    while gap < (tail - head) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for at in range(head + gap, tail):
            job, left, to = cluster.queue[at, st.QUEUE_JOB], 0, at
            if settings.tracks_work:
                left = cluster.queue[at, st.QUEUE_LEFT]
            while to - gap >= head and precedes(cluster, jobs, settings, job, cluster.queue[to - gap, st.QUEUE_JOB]):
                move_waiting(cluster, settings, to - gap, to)
                to -= gap
            cluster.queue[to, st.QUEUE_JOB] = job
            if settings.tracks_work:
                cluster.queue[to, st.QUEUE_LEFT] = left
        gap //= 3


@rare
def mark_turns(cluster: Cluster, jobs: Table, settings: Settings) -> None:
    """Offer each waiting job its default pool, or none while those before it use up the quota of its owner."""
    for owner in range(cluster.owner.shape[0]):
        cluster.owner[owner, st.OWNER_PLANNED] = cluster.owner[owner, st.OWNER_MILLI]
    for at in range(cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]):
        job = cluster.queue[at, st.QUEUE_JOB]
        cluster.queue[at, st.QUEUE_POOL] = jobs[job, st.DEFAULT_POOL]
        if settings.queue.has_quotas:
            owner = jobs[job, st.OWNER]
            planned = cluster.owner[owner, st.OWNER_PLANNED] + jobs[job, st.MILLI]
            if planned > jobs[job, st.QUOTA_MILLI]:
                cluster.queue[at, st.QUEUE_POOL] = -1
            else:
                cluster.owner[owner, st.OWNER_PLANNED] = planned


@helper
def add_deferred(cluster: Cluster, jobs: Table, settings: Settings, job: int) -> None:
    """Note a waiting job whose latest start lies ahead."""
    if jobs[job, st.LATEST_MS] > cluster.clock[st.NOW]:
        cluster.clock[st.NEXT_LATEST] = min(cluster.clock[st.NEXT_LATEST], jobs[job, st.LATEST_MS])
        if settings.queue.waits_free:
            cluster.clock[st.DEFERRED_MILLI] += jobs[job, st.MILLI]


@rare
def count_deferred(cluster: Cluster, jobs: Table, settings: Settings) -> None:
    """Work out which waiting jobs wait for free, and when the next latest start comes."""
    cluster.clock[st.DEFERRED_MILLI], cluster.clock[st.NEXT_LATEST] = 0, st.NEVER
    for at in range(cluster.clock[st.QUEUE_HEAD], cluster.clock[st.QUEUE_TAIL]):
        add_deferred(cluster, jobs, settings, cluster.queue[at, st.QUEUE_JOB])


@helper
def prepare_queue(cluster: Cluster, jobs: Table, settings: Settings) -> None:
    """Bring the queue in the order in which it is decided on, and mark whose turn it can be."""
    if settings.queue.by_usage:
        order_queue(cluster, jobs, settings)
    if settings.queue.goes_in_turn:
        mark_turns(cluster, jobs, settings)
