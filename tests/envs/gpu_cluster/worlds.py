"""Random small worlds for property tests: traces, clusters and settings that are valid together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import (
    BACKFILL_POLICIES,
    ESTIMATES,
    OWNERS,
    CurvesConfig,
    EnvironmentConfig,
    ObjectiveConfig,
    PhysicsConfig,
    QueueConfig,
)
from envs.gpu_cluster.grid import GridEventConfig
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.registry import PACKERS, QUEUE_ORDERS
from envs.gpu_cluster.simulator.packing.counted import COUNTED
from envs.gpu_cluster.simulator.problem import Problem, allowed_pools, make_problem
from envs.gpu_cluster.transfer import TransferConfig
from traces.trace import Trace

SCORED = tuple(name for name in PACKERS.listed if name not in COUNTED)
"""Packers that always look at CPUs, memory and each GPU."""

GAPS_SECONDS = st.sampled_from([0.0, 0.0, 0.0, 0.001, 1.0, 59.0, 60.0, 61.5, 300.0, 4000.0])
DURATIONS_SECONDS = st.sampled_from([0.001, 60.0, 61.5, 300.0, 600.0, 1234.567, 7200.0, 7200.0, 20000.0])
INTERVALS = st.sampled_from([0.0, 10.0, 100.0, 600.0])
INTERVALS_SECONDS = st.sampled_from([None, 600.0, 600.0])
PREDICTIONS_SECONDS = st.sampled_from([None, None, 60.0, 5000.0])
TIERS = st.sampled_from([None, None, 0, 1, 2, 3])
CPUS_MILLI = st.sampled_from([None, 0, 100, 1000, 3001, 3001, 8000, 16500, 33000])
MEMORY_MIB = st.sampled_from([None, 0, 100, 5001, 20000, 50000])
MODELS = ("P100", "V100")
BOOT_CONFIGS = (
    BootConfig(sigma=0.7),
    BootConfig(quantiles_seconds=(0.0, 30.0, 60.0, 900.0)),
    BootConfig(failure_probability=0.3, timeout_seconds=300.0),
    BootConfig(failure_probability=0.6, timeout_seconds=60.0, backoff_seconds=90.0, max_backoff_seconds=300.0),
)
# Rarely enough that a job of 20,000 s on six nodes ends before it has begun anew too often.
FAILURE_CONFIGS = (FailureConfig(100_000.0, 600.0, 0.5), FailureConfig(150_000.0))
SPOT_CONFIGS = (SpotConfig(100_000.0), SpotConfig(120_000.0, 0.0, 60.0, 1.0))
BOOTS = st.sampled_from([*[BootConfig()] * 3, *BOOT_CONFIGS])
FAILURES = st.sampled_from([*[FailureConfig()] * 3, *FAILURE_CONFIGS])
SIGNALS = {"alignment": "offset", "start": "2024-01-01T00:00:00Z"}
HOURLY = RegionConfig("hourly", carbon=SignalConfig("synthetic:solar?days=9", **SIGNALS))
PRICED = RegionConfig("priced", HOURLY.carbon, SignalConfig("synthetic:price?days=9&seed=3", **SIGNALS))
REGIONS = ((), (), (HOURLY,), (HOURLY, PRICED))
DATA_GB = (None, 0.0, 0.0015, 40.0, 900.0)
TRANSFERS = (TransferConfig(), TransferConfig(), TransferConfig(3.3337, 0.02, 0.05), TransferConfig(0.0, 0.0, 0.0))
SPOTS = st.sampled_from([*[SpotConfig()] * 3, *SPOT_CONFIGS])


def region_names(regions: Sequence[RegionConfig]) -> list[str]:
    """Where data may be; any name will do where there are no regions."""
    return [region.name for region in regions] or ["anywhere"]


def in_regions(cluster: ClusterConfig, config: EnvironmentConfig) -> ClusterConfig:
    """The same pools, every other one in the second region, where there is one."""
    if len(config.regions) < 2:
        return cluster
    names = [None, config.regions[1].name]
    return ClusterConfig(tuple(replace(pool, region=names[index % 2]) for index, pool in enumerate(cluster.pools)))


def kernel_property(examples: int) -> Callable[[Any], Any]:
    """Decorate a property of compiled kernels, to hold for so many examples; `make test` also tries it on checked ones.

    A profile of hypothesis scales the number: 100 examples of its own stand for all.
    """
    number = max(1, examples * settings.default.max_examples // 100)
    limits = settings(max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    return lambda test: pytest.mark.kernels(limits(test))


@st.composite
def pools(draw: st.DrawFn, index: int, is_stochastic: bool) -> PoolConfig:
    """A pool of up to 6 nodes; some GPUs per node and models recur so that jobs have a choice."""
    max_nodes = draw(st.integers(1, 6))
    return PoolConfig(
        name=f"pool{index}",
        max_nodes=max_nodes,
        min_nodes=draw(st.integers(0, min(2, max_nodes))),
        gpus_per_node=draw(st.sampled_from([1, 2, 4, 8, 8])),
        gpu_model=draw(st.sampled_from([None, *MODELS])),
        boot_seconds=draw(st.sampled_from([0.0, 0.5, 60.0, 300.0])),
        boot=draw(BOOTS) if is_stochastic else BootConfig(),
        failures=draw(FAILURES) if is_stochastic else FailureConfig(),
        spot=draw(SPOTS) if is_stochastic else SpotConfig(),
        pull_seconds=draw(st.sampled_from([0.0, 0.0, 90.0])) if is_stochastic else 0.0,
        power=PowerConfig(off_watts=draw(st.sampled_from([0.0, 10.0])), pue=draw(st.sampled_from([1.0, 1.3]))),
        cpus_per_node=draw(st.sampled_from([None, 8.0, 16.5])),
        memory_gib_per_node=draw(st.sampled_from([None, 32.0])),
        linked_gpus=draw(st.sampled_from([None, 1])),
        transfer=draw(st.sampled_from(TRANSFERS)),
    )


@st.composite
def clusters(draw: st.DrawFn, is_stochastic: bool) -> ClusterConfig:
    """One to three pools."""
    return ClusterConfig(tuple(draw(pools(index, is_stochastic)) for index in range(draw(st.integers(1, 3)))))


def _homes(cluster: ClusterConfig, model: str | None) -> list[PoolConfig]:
    return [pool for pool in cluster.pools if None in (model, pool.gpu_model) or pool.gpu_model == model]


@st.composite
def jobs(draw: st.DrawFn, cluster: ClusterConfig) -> tuple[float, float, int, list[str] | None]:
    """Time since the previous submission, duration, GPU thousandths and models of a job that some pool can run."""
    model = draw(st.sampled_from([name for name in (None, *MODELS) if _homes(cluster, name)]))
    largest = max(pool.max_nodes * pool.gpus_per_node for pool in _homes(cluster, model))
    kind = draw(st.sampled_from(["share", "small", "small", "any"]))
    if kind == "share":
        milli = draw(st.sampled_from([1, 125, 250, 500, 999]))
    else:
        milli = 1000 * draw(st.integers(1, min(3, largest) if kind == "small" else largest))
    return draw(GAPS_SECONDS), draw(DURATIONS_SECONDS), milli, None if model is None else [model]


@st.composite
def curves(draw: st.DrawFn) -> CurvesConfig:
    """Any of the measured curves, as presets."""
    names = {"speeds": "gavel", "spread": "pollux", "scaling": "elasticflow", "power_caps": "V100"}
    chosen = {key: f"preset:{name}" for key, name in names.items() if draw(st.integers(0, 2)) == 2}
    return CurvesConfig(**chosen, reference_model="V100", resize_seconds=draw(st.sampled_from([0.0, 30.0])))


def that_fit(cluster: ClusterConfig, columns: dict[str, Any]) -> Trace:
    """A trace of these columns; jobs whose CPUs or memory fit on no node that they may use request none."""
    trace = Trace.from_columns(columns)
    for row in np.flatnonzero(~allowed_pools(trace, cluster, True).any(axis=1)).tolist():
        columns["cpu_milli"][row] = columns["memory_mib"][row] = None
    return Trace.from_columns(columns)


@st.composite
def queues(draw: st.DrawFn, largest_gpus: float, backfill_policies: Sequence[str] = BACKFILL_POLICIES) -> QueueConfig:
    """Any queue with one of these backfill policies."""
    priorities = draw(st.integers(0, 2)) > 0
    quotas = draw(st.sampled_from([None, None, largest_gpus, 2 * largest_gpus]))
    return QueueConfig(
        order=draw(st.sampled_from(QUEUE_ORDERS.listed)),
        priorities=priorities,
        backfill_policy=draw(st.sampled_from(backfill_policies)),
        estimates=draw(st.sampled_from(ESTIMATES)),
        preemption=priorities and draw(st.booleans()),
        max_victims=draw(st.sampled_from([1, 3, 99])),
        preemption_notice=draw(st.booleans()),
        owner=draw(st.sampled_from(OWNERS)),
        usage_halving_seconds=draw(st.sampled_from([None, 60.0, 3600.0])),
        quotas_gpus={} if quotas is None else {"ada": quotas},
        default_quota_gpus=draw(st.sampled_from([None, quotas])),
        deferral=draw(st.booleans()),
        deferral_is_free=draw(st.integers(0, 3)) > 0,
        deadlines=draw(st.booleans()),
    )


def _nulls(values: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, min_size=count, max_size=count)


@st.composite
def requests(draw: st.DrawFn, count: int) -> dict[str, list[Any]]:
    """CPUs and memory that jobs request."""
    columns = {"cpu_milli": CPUS_MILLI, "memory_mib": MEMORY_MIB}
    return {name: draw(st.lists(values, min_size=count, max_size=count)) for name, values in columns.items()}


@st.composite
def job_facts(draw: st.DrawFn, submit: NDArray[np.float64]) -> dict[str, list[Any]]:
    """Columns of what is known of jobs beyond their size; any may be null."""
    count = len(submit)
    later = {
        name: draw(_nulls(st.sampled_from([1.0, 60.0, 600.0, 5000.0]), count))
        for name in ("latest_start_seconds", "deadline_seconds")
    }
    return {
        "user": draw(_nulls(st.sampled_from(["ada", "bob", "eve"]), count)),
        "group": draw(_nulls(st.sampled_from(["red", "blue"]), count)),
        "priority": draw(_nulls(st.sampled_from([-1, 0, 5]), count)),
        "predicted_duration_seconds": draw(_nulls(DURATIONS_SECONDS, count)),
        **{
            name: [None if add is None else start + add for start, add in zip(submit, column, strict=True)]
            for name, column in later.items()
        },
    }


@st.composite
def grid_events(draw: st.DrawFn) -> tuple[GridEventConfig, ...]:
    """Up to three grid events, some right after each other; some with no power at all."""
    events: list[GridEventConfig] = []
    end = 0.0
    for _ in range(draw(st.integers(0, 3))):
        start = end + draw(st.sampled_from([0.0, 60.0, 1000.0, 9000.0]))
        event = GridEventConfig(
            start_seconds=start,
            duration_seconds=draw(st.sampled_from([61.0, 2000.0, 20000.0])),
            fraction=draw(st.sampled_from([0.0, 0.1, 0.3, 0.7])),
            notice_seconds=draw(st.sampled_from([0.0, 600.0])),
            ramp_seconds=60.0,
        )
        events.append(event)
        end = event.end_seconds
    return tuple(events)


@st.composite
def problems(
    draw: st.DrawFn,
    max_jobs: int = 40,
    is_stochastic: bool = False,
    detailed: bool | None = None,
    packers: Sequence[str] = (),
    has_grid: bool = False,
) -> Problem:
    """A whole problem; if `is_stochastic`, nodes may boot late, fail or be taken back; if `has_grid`, power is limited.

    Nodes are detailed, or not, or either. It has one of these `packers`, which need detailed nodes, or any.
    """
    cluster = draw(clusters(is_stochastic))
    is_detailed = draw(st.booleans()) if detailed is None else detailed
    second_resources = is_detailed and draw(st.booleans())
    if not packers:
        packers = PACKERS.listed if second_resources else SCORED if is_detailed else tuple(COUNTED)
    rows = draw(st.lists(jobs(cluster), min_size=draw(st.sampled_from([1, max_jobs // 2])), max_size=max_jobs))
    submit = np.cumsum([row[0] for row in rows])
    has_facts, regions = draw(st.booleans()), draw(st.sampled_from(REGIONS))
    columns = {
        "job_id": [str(number) for number in range(len(rows))],
        "submit_time_seconds": submit,
        "duration_seconds": [row[1] for row in rows],
        "gpu_milli": [row[2] for row in rows],
        "gpu_models": [row[3] for row in rows],
        "workload": draw(st.lists(st.sampled_from([None, "resnet50", "bert"]), min_size=len(rows), max_size=len(rows))),
        "min_gpus": [1 if row[2] >= 1000 and index % 3 == 0 else None for index, row in enumerate(rows)],
        "max_gpus": [row[2] // 500 if row[2] >= 1000 and index % 3 == 0 else None for index, row in enumerate(rows)],
        "image": draw(st.lists(st.sampled_from([None, "a", "b"]), min_size=len(rows), max_size=len(rows))),
        "data_gb": draw(st.lists(st.sampled_from(DATA_GB), min_size=len(rows), max_size=len(rows))),
        "data_region": draw(_nulls(st.sampled_from(region_names(regions)), len(rows))),
        "checkpoint_interval_seconds": draw(st.lists(INTERVALS_SECONDS, min_size=len(rows), max_size=len(rows))),
        "flexibility": draw(st.lists(TIERS, min_size=len(rows), max_size=len(rows))),
        **draw(requests(len(rows))),
        "predicted_duration_seconds": draw(st.lists(PREDICTIONS_SECONDS, min_size=len(rows), max_size=len(rows))),
        **(draw(job_facts(submit)) if has_facts else {}),
    }
    trace = that_fit(cluster, columns)
    settle = draw(st.sampled_from([1.0, 30.0, 60.0]))
    config = EnvironmentConfig(
        settle_seconds=settle,
        decision_interval_seconds=draw(INTERVALS),
        resync_interval_seconds=settle * draw(st.sampled_from([1.0, 5.0, 20.0])),
        packer=draw(st.sampled_from(packers)),
        physics=PhysicsConfig(
            tracks_work=draw(st.booleans()),
            restart_seconds=draw(st.sampled_from([0.0, 0.5, 60.0])),
            max_suspend_seconds=draw(st.sampled_from([0.0, 60.0, 3600.0])),
            seed=draw(st.integers(0, 2**63 - 1)),
            curves=draw(curves()),
            queue=draw(queues(max(row[2] for row in rows) / 1000)) if has_facts else QueueConfig(),
            second_resources=second_resources,
        ),
        debug=draw(st.booleans()),
        move_seconds=draw(st.sampled_from([0.0, 0.5, 120.0])),
        codec=CodecLayout(
            max_pools=draw(st.sampled_from([3, 4])),
            window_slots=draw(st.sampled_from([0, 2, 5])),
            max_hold_seconds=draw(st.sampled_from([0.0, 600.0])),
            consolidation=draw(st.booleans()),
            power_caps=draw(st.booleans()),
            elastic_width=draw(st.booleans()),
            suspension=draw(st.booleans()),
            reserve_nodes=draw(st.booleans()),
            grid_events=draw(st.booleans()),
            job_hints=draw(st.booleans()),
            data_transfer=draw(st.booleans()),
            signals=draw(st.booleans()),
            arrival_features=draw(st.booleans()),
            balance_similar_pools=draw(st.booleans()),
            cost_aware_placement=draw(st.booleans()),
            expected_run_seconds=draw(st.sampled_from([60.0, 3600.0])),
            consolidation_interval_seconds=draw(st.sampled_from([0.0, 60.0, 1800.0])),
        ),
        objective=ObjectiveConfig(
            usd_per_kwh=0.2,
            usd_per_gpu_hour=draw(st.sampled_from([0.0, 0.1])),
            usd_per_tonne=draw(st.sampled_from([0.0, 90.0])),
        ),
        regions=regions,
        grid_events=draw(grid_events()) if has_grid else (),
    )
    return make_problem(trace, in_regions(cluster, config), config)


@st.composite
def crowded_problems(
    draw: st.DrawFn, max_jobs: int = 25, backfill_policies: Sequence[str] = BACKFILL_POLICIES
) -> Problem:
    """Too many jobs for a small cluster without curves, so that the rules of the queue decide much.

    Boots take a minute, or as long as is drawn; the queue has one of these backfill policies.
    """
    sizes = [draw(st.sampled_from([1, 2, 4, 8])) for _ in range(draw(st.sampled_from([1, 1, 2])))]
    cluster = ClusterConfig(
        tuple(
            PoolConfig(
                f"p{index}",
                draw(st.integers(1, 4)),
                draw(st.sampled_from([0, 1])),
                gpus,
                boot_seconds=60.0,
                boot=draw(BOOTS),
                cpus_per_node=draw(st.sampled_from([None, 8.0, 16.5])),
                memory_gib_per_node=draw(st.sampled_from([None, 32.0])),
            )
            for index, gpus in enumerate(sizes)
        )
    )
    second_resources = draw(st.booleans())
    rows = draw(st.lists(jobs(cluster), min_size=max_jobs // 2, max_size=max_jobs))
    submit = np.cumsum([min(row[0], 60.0) for row in rows])
    columns = {
        "submit_time_seconds": submit,
        "duration_seconds": [row[1] for row in rows],
        "gpu_milli": [row[2] for row in rows],
        "checkpoint_interval_seconds": [None if index % 5 == 0 else 600.0 for index in range(len(rows))],
        **draw(job_facts(submit)),
        **(draw(requests(len(rows))) if second_resources else {}),
    }
    trace = that_fit(cluster, columns) if second_resources else Trace.from_columns(columns)
    config = EnvironmentConfig(
        settle_seconds=draw(st.sampled_from([1.0, 60.0])),
        decision_interval_seconds=draw(INTERVALS),
        packer=draw(st.sampled_from(PACKERS.listed)),
        debug=draw(st.booleans()),
        physics=PhysicsConfig(
            queue=draw(queues(max(row[2] for row in rows) / 1000, backfill_policies)),
            second_resources=second_resources,
            seed=draw(st.integers(0, 2**63 - 1)),
        ),
        codec=CodecLayout(
            max_pools=2,
            window_slots=draw(st.sampled_from([0, 3])),
            max_hold_seconds=600.0,
            suspension=draw(st.booleans()),
            reserve_nodes=draw(st.booleans()),
        ),
    )
    return make_problem(trace, cluster, config)
