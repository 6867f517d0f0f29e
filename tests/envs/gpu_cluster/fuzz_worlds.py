"""Random worlds for the fuzzer: every switch of the physics, in the combinations that the settings allow.

Larger than the worlds of the property tests (`worlds.py`), and drawn from one seed without hypothesis.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from envs.gpu_cluster.cluster import BootConfig, ClusterConfig, FailureConfig, PoolConfig, SpotConfig
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
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.registry import PACKERS, QUEUE_ORDERS
from envs.gpu_cluster.simulator import NEVER
from envs.gpu_cluster.simulator.packing.counted import COUNTED
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.envs.gpu_cluster.worlds import (
    BOOT_CONFIGS,
    DATA_GB,
    FAILURE_CONFIGS,
    MODELS,
    REGIONS,
    SCORED,
    SPOT_CONFIGS,
    TRANSFERS,
    in_regions,
    region_names,
    that_fit,
)
from traces.trace import Trace

FAILURES = (*FAILURE_CONFIGS, FailureConfig(10_000.0, 60.0))
SPOTS = (*SPOT_CONFIGS, SpotConfig(10_000.0))


def _grid_events(generator: np.random.Generator) -> tuple[GridEventConfig, ...]:
    """One to four grid events, after each other."""
    events: list[GridEventConfig] = []
    end = 0.0
    for _ in range(int(generator.integers(1, 5))):
        event = GridEventConfig(
            start_seconds=end + round(float(generator.exponential(2000.0)), 3),
            duration_seconds=61.0 + round(float(generator.exponential(3000.0)), 3),
            fraction=float(generator.choice([0.0, 0.1, 0.3, 0.6])),
            notice_seconds=float(generator.choice([0.0, 600.0])),
            ramp_seconds=60.0,
        )
        events.append(event)
        end = event.end_seconds
    return tuple(events)


class Draw:
    """Random draws of one world, and what kind of world it is.

    Attributes:
        generator: of the draws.
        is_loose: there is much to consolidate.
        is_detailed: nodes have CPUs, memory and numbered GPUs.
        is_tight: jobs are small and request CPUs and memory of which nodes have few.
        has_queue: the queue has rules.
        is_crowded: there are few nodes, so that jobs wait.
        max_suspend_seconds: for how long a job may be suspended, None: jobs are not; some then have a flexibility tier.
        tiers: of the next jobs.
        grid_events: times of limited power.
        regions: places of pools and data.
        others: of draws that came later.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.is_loose = self.chance(0.3)
        self.is_detailed = self.chance(0.4)
        self.is_tight = self.is_detailed and self.chance(0.5)
        self.has_queue = self.chance(0.7)
        self.is_crowded = self.has_queue and self.chance(0.4 if self.is_tight else 0.8)
        others = generator.spawn(1)[0]  # so that worlds without suspension stay what they were
        self.max_suspend_seconds = float(others.choice([60.0, 600.0, 14400.0])) if others.random() < 0.4 else None
        self.tiers = others.integers(-4, 4, 200) if self.max_suspend_seconds else np.full(200, -1)
        self.grid_events = _grid_events(others) if others.random() < 0.4 else ()
        self.regions = REGIONS[int(others.integers(len(REGIONS)))]
        self.others = others

    def of(self, *options: Any) -> Any:
        """One of the options, each as likely."""
        return options[int(self.generator.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        """Whether something happens."""
        return bool(self.generator.random() < probability)

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.generator.integers(low, high + 1))

    def seconds(self, mean: float, digits: int) -> float:
        """A time, many of them short and a few long."""
        return round(float(self.generator.exponential(mean)), digits)


def draw_pool(draw: Draw, index: int, has_lots: bool) -> PoolConfig:
    """A pool; some of them have more nodes than one word of a bit set."""
    most = 70 if draw.chance(0.05) else draw.between(1, 20)
    if draw.is_crowded or draw.is_tight:
        most = draw.between(1, 8 if draw.is_tight else 4)
    gpus = draw.of(4, 8, 8, 16) if draw.is_tight else draw.of(1, 2, 4, 8, 8, 8, 16)
    cpus, memory = (1.0, 2.0), (4.0, 8.0)
    if not draw.is_tight:
        cpus, memory = (None, *cpus, 4.0, 96.0), (None, None, *memory, 256.0)
    cpus_per_gpu, gib_per_gpu = draw.of(*cpus), draw.of(*memory)
    return PoolConfig(
        name=f"pool{index}",
        max_nodes=most,
        min_nodes=draw.between(0, min(3, most)) if draw.chance(0.3) else 0,
        gpus_per_node=gpus,
        gpu_model=draw.of(None, None, *MODELS),
        boot_seconds=draw.of(0.0, 0.5, 60.0, 300.0),
        boot=draw.of(BootConfig(), *BOOT_CONFIGS) if has_lots else BootConfig(),
        failures=draw.of(FailureConfig(), *FAILURES) if has_lots else FailureConfig(),
        spot=draw.of(SpotConfig(), *SPOTS) if has_lots else SpotConfig(),
        pull_seconds=draw.of(0.0, 30.0, 90.0) if has_lots else 0.0,
        power=PowerConfig(off_watts=draw.of(0.0, 10.0), pue=draw.of(1.0, 1.3)),
        cpus_per_node=None if cpus_per_gpu is None else cpus_per_gpu * gpus + draw.of(0.0, 0.0, 0.5),
        memory_gib_per_node=None if gib_per_gpu is None else gib_per_gpu * gpus,
        linked_gpus=draw.of(None, 1, max(1, gpus // 2)),
        transfer=TRANSFERS[int(draw.others.integers(len(TRANSFERS)))],
    )


def draw_trace(draw: Draw, cluster: ClusterConfig) -> Trace:
    """Jobs that some pool can run, in bursts and lulls; where it is loose, small ones that may be moved."""
    count = draw.between(30, 100) if draw.is_crowded or draw.is_tight else draw.between(1, 150)
    movable, shares = draw.of(0.0, 0.9, 1.0, 1.0), draw.of(0.0, 0.0, 0.2, 0.7)
    gangs, elastic = draw.of(0.0, 0.1), draw.of(0.0, 0.5)
    most = 3 if draw.is_loose or draw.is_tight else 16
    if draw.is_loose:
        movable, shares, gangs = 1.0, 0.0, 0.0
    pace = draw.of(5.0, 60.0) if draw.is_tight else draw.of(5.0, 60.0, 600.0)
    columns: dict[str, list[Any]] = collections.defaultdict(list)
    now = 0.0
    for number in range(count):
        now += 0.0 if draw.chance(0.3) else draw.seconds(pace, draw.of(0, 3))
        home = draw.of(*cluster.pools)
        model = home.gpu_model if draw.chance(0.5) else None
        largest = home.max_nodes * home.gpus_per_node
        if draw.chance(shares):
            milli = draw.of(1, 125, 250, 500, 750, 999)
        elif draw.chance(gangs):
            milli = 1000 * draw.between(1, largest)
        else:
            milli = 1000 * draw.between(1, min(largest, most, home.gpus_per_node))
        is_elastic = milli >= 1000 and draw.chance(elastic)
        row = {
            "submit_time_seconds": now,
            "duration_seconds": draw.of(0.001, 60.0, 300.0, draw.seconds(4000.0, 3) + 1.0),
            "gpu_milli": milli,
            "gpu_models": None if model is None else [model],
            "image": draw.of(None, "a", "b", "c"),
            "workload": draw.of(None, "resnet50", "bert"),
            "min_gpus": draw.between(1, milli // 1000) if is_elastic else None,
            "max_gpus": draw.between(milli // 1000, milli // 250) if is_elastic else None,
            "checkpoint_interval_seconds": draw.of(60.0, 600.0, 3600.0) if draw.chance(movable) else None,
            "flexibility": int(draw.tiers[number]) if draw.tiers[number] >= 0 else None,
        }
        for name, value in (row | draw_data(draw) | draw_facts(draw, row) | draw_requests(draw, row)).items():
            columns[name].append(value)
    return that_fit(cluster, columns)


def draw_data(draw: Draw) -> dict[str, Any]:
    """The data of a job, and where they are."""
    places = [None, *region_names(draw.regions)]
    return {
        "data_gb": DATA_GB[int(draw.others.integers(len(DATA_GB)))],
        "data_region": places[int(draw.others.integers(len(places)))],
    }


def draw_facts(draw: Draw, job: dict[str, Any]) -> dict[str, Any]:
    """What the rules of the queue need to know of a job; any of it may be unknown, and the estimate wrong."""
    submit, duration = job["submit_time_seconds"], job["duration_seconds"]
    return {
        "user": draw.of(None, "ada", "bob", "eve"),
        "group": draw.of(None, "red", "blue"),
        "priority": draw.of(None, -1, 0, 5),
        "predicted_duration_seconds": draw.of(None, duration, 3.0 * duration, max(0.001, 0.3 * duration), 5000.0),
        "latest_start_seconds": submit + draw.seconds(2000.0, 3) if draw.chance(0.5) else None,
        "deadline_seconds": submit + duration + draw.seconds(2000.0, 3) if draw.chance(0.5) else None,
    }


def draw_requests(draw: Draw, job: dict[str, Any]) -> dict[str, Any]:
    """CPUs and memory of a job, some of them more than go with its GPUs; what cannot be divided goes with the last."""
    gpus = max(1, job["gpu_milli"] // 1000)
    cpus = (100, 2001, 4000) if draw.is_tight else (0, 100, 1000, 2001, 4000, 9000)
    return {
        "cpu_milli": None if draw.chance(0.2) else gpus * draw.of(*cpus) + draw.of(0, 0, 7),
        "memory_mib": None if draw.chance(0.5) else gpus * draw.of(0, 100, 4096, 5001, 16384) + draw.of(0, 0, 7),
    }


def draw_queue(draw: Draw, largest_gpus: float) -> QueueConfig:
    """Rules of the queue under which every job can start."""
    priorities = draw.chance(0.6)
    quota = draw.of(None, None, largest_gpus, 1.5 * largest_gpus)
    return QueueConfig(
        order=draw.of(*QUEUE_ORDERS.listed),
        priorities=priorities,
        backfill_policy=draw.of(*BACKFILL_POLICIES, "backfill"),
        estimates=draw.of(*ESTIMATES),
        preemption=priorities and draw.chance(0.6),
        max_victims=draw.of(1, 3, 99),
        preemption_notice=draw.chance(0.5),
        owner=draw.of(*OWNERS),
        usage_halving_seconds=draw.of(None, 60.0, 3600.0),
        quotas_gpus={} if quota is None or draw.chance(0.3) else {"ada": quota, "red": quota},
        default_quota_gpus=None if draw.chance(0.3) else quota,
        deferral=draw.chance(0.5),
        deferral_is_free=draw.chance(0.7),
        deadlines=draw.chance(0.7),
    )


def draw_problem(draw: Draw) -> Problem:
    """A whole world, with the debug mode on."""
    has_lots, second_resources = draw.chance(0.4), draw.is_tight or (draw.is_detailed and draw.chance(0.5))
    cluster = ClusterConfig(tuple(draw_pool(draw, index, has_lots) for index in range(draw.between(1, 3))))
    trace = draw_trace(draw, cluster)
    packers = PACKERS.listed if second_resources else SCORED if draw.is_detailed else tuple(COUNTED)
    presets = {"speeds": "gavel", "spread": "pollux", "scaling": "elasticflow", "power_caps": "V100"}
    curves = {name: f"preset:{preset}" for name, preset in presets.items() if draw.chance(0.4)}
    has_curves = draw.chance(0.6)
    settle = draw.of(1.0, 30.0, 60.0, 60.0)
    config = EnvironmentConfig(
        settle_seconds=settle,
        decision_interval_seconds=draw.of(0.0, 10.0, 100.0, 600.0),
        resync_interval_seconds=settle * draw.of(1.0, 5.0, 20.0),
        packer="worst-fit" if draw.is_loose and "worst-fit" in packers else draw.of(*packers),
        physics=PhysicsConfig(
            tracks_work=draw.chance(0.5),
            restart_seconds=draw.of(0.0, 60.0),
            max_suspend_seconds=draw.max_suspend_seconds or 0.0,
            seed=draw.between(0, 2**62),
            curves=CurvesConfig(**(curves if has_curves else {}), resize_seconds=draw.of(0.0, 30.0)),
            queue=draw_queue(draw, max(trace.gpu_milli) / 1000) if draw.has_queue else QueueConfig(),
            second_resources=second_resources,
        ),
        debug=True,
        move_seconds=draw.of(0.0, 0.5, 120.0),
        codec=CodecLayout(
            max_pools=len(cluster.pools) + draw.of(0, 0, 1),
            window_slots=draw.of(2, 8) if draw.is_tight else draw.of(0, 2, 8),
            max_hold_seconds=draw.of(0.0, 600.0, 3600.0),
            consolidation=draw.is_loose or draw.chance(0.5),
            power_caps=has_curves and draw.chance(0.5),
            elastic_width=has_curves and draw.chance(0.7),
            suspension=draw.max_suspend_seconds is not None,
            reserve_nodes=draw.chance(0.3),
            grid_events=bool(draw.grid_events),
            job_hints=draw.chance(0.5),
            data_transfer=draw.chance(0.5),
            signals=draw.chance(0.5),
            arrival_features=bool(draw.others.random() < 0.5),
            balance_similar_pools=draw.chance(0.3),
            cost_aware_placement=draw.chance(0.7),
            expected_run_seconds=draw.of(60.0, 3600.0),
            consolidation_interval_seconds=draw.of(0.0, 60.0) if draw.is_loose else draw.of(0.0, 60.0, 1800.0),
        ),
        objective=ObjectiveConfig(
            usd_per_kwh=0.2, usd_per_gpu_hour=draw.of(0.0, 0.1), usd_per_tonne=draw.of(0.0, 90.0)
        ),
        regions=draw.regions,
        grid_events=draw.grid_events,
    )
    return make_problem(trace, in_regions(cluster, config), config)


def draw_episode(draw: Draw, problem: Problem) -> tuple[int, int, int]:
    """Start and end in ms and the first job that does not count: the whole trace, or a part from its middle."""
    submit = problem.submit_ms
    if draw.chance(0.6):
        return int(submit[0]), NEVER, problem.num_jobs
    start = draw.between(0, int(submit[-1]) + 1000)
    last = draw.between(int(np.searchsorted(submit, start)), problem.num_jobs)
    return start, draw.of(NEVER, start + 1000, start + 3_600_000), last
