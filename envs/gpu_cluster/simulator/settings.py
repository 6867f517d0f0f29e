"""The numbers and flags that kernels read beside their arrays, and the kinds of kernels that their flags make."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, TypeAlias, get_type_hints

from envs.gpu_cluster.simulator import node_state as ns

Flag: TypeAlias = bool
"""Whether a feature is on. Where a class below fixes one as False, the fast compiler leaves out all that it guards."""


def flags_off(settings: type[NamedTuple]) -> dict[str, bool]:
    """False for each field of a NamedTuple that is a `Flag`."""
    return {name: False for name, kind in get_type_hints(settings).items() if kind is bool}


class QueueSettings(NamedTuple):
    """Numbers of the queue; see `envs.gpu_cluster.config.QueueConfig`.

    Attributes:
        has_facts: whether `Problem.jobs` has the columns from RANK on.
        is_ordered: whether the order is another than that of submission.
        has_priorities: whether jobs of higher priority come first.
        by_usage: whether jobs of owners who used less come first.
        halving_ms: after which time the usage is halved each time, 0: never.
        tracks_owners: whether it is kept what each owner uses.
        has_quotas: whether owners have quotas.
        goes_in_turn: whether jobs are started by `starts.start_in_turn`, so that a waiting job has a QUEUE_POOL.
        backfill_policy: index into `envs.gpu_cluster.config.BACKFILL_POLICIES`.
        preempts: whether jobs of lower priority are preempted.
        max_victims: most jobs that are preempted for one.
        has_notice: whether they can write a checkpoint just before.
        defers: whether jobs may be held until their latest start.
        waits_free: whether waiting costs nothing before it.
        counts_misses: whether missed deadlines are counted.
    """

    has_facts: Flag
    is_ordered: Flag
    has_priorities: Flag
    by_usage: Flag
    halving_ms: int
    tracks_owners: Flag
    has_quotas: Flag
    goes_in_turn: Flag
    backfill_policy: int
    preempts: Flag
    max_victims: int
    has_notice: Flag
    defers: Flag
    waits_free: Flag
    counts_misses: Flag


class DetailSettings(NamedTuple):
    """How nodes are packed whose CPUs, memory and GPUs are kept one by one.

    Attributes:
        packer: position in `envs.gpu_cluster.registry.PACKERS.listed`.
        idle_first: whether a job gets an idle node rather than a part of a busy one.
        tables: what is typical for the trace.
        has_custom: whether `custom` takes the place of `packer`.
        custom: the address of a custom packer's function, see `envs.gpu_cluster.simulator.packing.custom`; 0: there is
            none. `Simulator` fills it in, for it belongs to one process.
    """

    packer: int
    idle_first: bool
    tables: ns.Tables
    has_custom: Flag
    custom: Any = 0


class PackageDetailSettings(DetailSettings):
    """`DetailSettings` where the packer is one of the package."""

    FIXED: ClassVar = {"has_custom": False}


class CustomDetailSettings(DetailSettings):
    """`DetailSettings` where the packer is a custom one."""

    FIXED: ClassVar = {"has_custom": True}


class Settings(NamedTuple):
    """Numbers of the environment.

    Attributes:
        settle_ms: least time between two decisions.
        interval_ms: least time between two changes of a setpoint.
        resync_ms: most time between two decisions.
        packer: position in `envs.gpu_cluster.simulator.packing.counted.COUNTED`.
        week_offset_ms: from Monday 00:00 to time 0 of the trace.
        usd_per_gpu_hour: price of waiting.
        usd_per_waited_milli_ms: the same in the kernels' units.
        debug: check every invariant after every event.
        moves_jobs: whether jobs may be moved, so that it is kept which jobs have a part of a node.
        is_stochastic: whether nodes boot, fail or are taken back at random.
        pulls_images: whether a job waits for its image on a node that lacks it.
        transfers: whether a job waits for its data where these are in another region.
        tracks_work: whether it is kept how much work a job has left, so that it can be preempted or change its speed.
        restart_ms: how long a job that was preempted makes no progress when it runs again.
        max_fresh_restarts: how often a job may lose all its work in an episode that lasts until all jobs are done.
        has_curves: whether the speed of a job depends on pool, spread, width or power cap.
        resizes_jobs: whether the width of elastic jobs is a lever.
        resize_ms: how long a job whose width changes makes no progress.
        usd_per_useful_milli_ms: the price of a working GPU's energy in the pool where it is least.
        move_ms: how long a job that is moved makes no progress.
        consolidation_ms: least time between two consolidations of a pool.
        suspends: whether running jobs may be suspended.
        max_suspend_ms: for how long in all a job may be.
        has_grid: whether there are grid events.
        moves_prices: whether prices by which jobs are placed change with the state, see `Problem.slopes`.
        queue: numbers of the queue.
        overflows: 1 where a job may run in several pools: those behind the window are then planned one by one. No flag,
            for plain clusters of several pools have the plain kernels too.
        is_detailed: whether CPUs, memory and each GPU of nodes are kept; else GPUs are counted, and `packer` chooses.
        detail: how nodes are packed then; empty where they are not detailed.
    """

    settle_ms: int
    interval_ms: int
    resync_ms: int
    packer: int
    week_offset_ms: int
    usd_per_gpu_hour: float
    usd_per_waited_milli_ms: float
    debug: Flag
    moves_jobs: Flag
    is_stochastic: Flag
    pulls_images: Flag
    transfers: Flag
    tracks_work: Flag
    restart_ms: int
    max_fresh_restarts: int
    has_curves: Flag
    resizes_jobs: Flag
    resize_ms: int
    usd_per_useful_milli_ms: float
    move_ms: int
    consolidation_ms: int
    suspends: Flag
    max_suspend_ms: int
    has_grid: Flag
    moves_prices: Flag
    queue: QueueSettings
    overflows: int
    is_detailed: Flag
    detail: DetailSettings


class PlainQueueSettings(QueueSettings):
    """`QueueSettings` of a first-come-first-served queue: every flag is off."""

    FIXED: ClassVar = flags_off(QueueSettings)


class PlainSettings(Settings):
    """`Settings` without any of the optional physics: every flag is off."""

    FIXED: ClassVar = flags_off(Settings)


class CountedSettings(Settings):
    """`Settings` with some of the optional physics, and pools that count their GPUs."""

    FIXED: ClassVar = {"is_detailed": False}


def specialized(settings: Settings) -> Settings:
    """The same values in the classes that fix most flags, so that the fast compiler removes what is disabled.

    That makes four kinds of kernels: a small and fast one without optional physics; one with all of it but detailed
    nodes; and with those one for packers of the package and one for custom packers. Not a kind for each combination of
    flags: each would compile for half a minute, and tests of combinations would not cover the kernels that users run.
    """
    if not any(value is True for value in (*settings, *settings.queue)):
        return PlainSettings(*settings._replace(queue=PlainQueueSettings(*settings.queue)))
    if not settings.is_detailed:
        return CountedSettings(*settings)
    kind = CustomDetailSettings if settings.detail.has_custom else PackageDetailSettings
    return settings._replace(detail=kind(*settings.detail))
