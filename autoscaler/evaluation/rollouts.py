"""Rollouts: a policy runs windows of a trace, side by side in one batch of the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agents.baselines import ConstantSetpoint
from agents.policy import Policy
from agents.setpoints import LearnedSetpoints
from autoscaler.evaluation.errors import PolicyFitError
from autoscaler.evaluation.timeline import Recorder, Timeline
from autoscaler.evaluation.windows import Window, whole_trace
from envs.compiled.compiler import cache_folder
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import NEVER, PoolTotals, Simulator
from envs.gpu_cluster.simulator.planning import REPLAY_CHUNK
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace

STEPS_PER_REPORT = 64
"""Steps between two calls of a rollout's progress function: some milliseconds."""

OnJobs = Callable[[int], None]
"""Called now and then with the number of jobs that have ended since the last call."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where policies run.

    Attributes:
        trace: the jobs.
        cluster: the pools.
        config: settings of the environment and of the objective.
    """

    trace: Trace
    cluster: ClusterConfig
    config: EnvironmentConfig

    def problem(self, policy: Policy | None = None) -> Problem:
        """The checked inputs of the simulator.

        Args:
            policy: what it brings along, its codec layout, its packer and by which prices of pools it places, takes the
                place of the environment's own; physics, costs and cluster stay those of the scenario.

        Raises:
            ClusterError: trace, cluster and codec do not fit together.
            PolicyFitError: the codec of the policy has fewer pools than the cluster.
        """
        config, cluster = self.config, self.cluster
        if policy is not None:
            check_fit(policy, cluster)
            config = replace(config, codec=policy.layout, packer=policy.packer or config.packer)
        if isinstance(policy, ConstantSetpoint) and policy.placement_prices:
            cluster = _priced(policy, cluster)
        return make_problem(self.trace, cluster, config)


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """What a policy did in a window of J jobs on P pools, as exact integers.

    Attributes:
        window: the window.
        elapsed_ms: from its start until the last job ended.
        decisions: how often the policy decided.
        waited_milli_ms: integral of the GPUs that waiting jobs request.
        deadline_misses: jobs that ended after their deadline, where that is counted.
        excess_kw_seconds: power above the budget of grid events, over time.
        pools: counters and integrals of each pool.
        spendings: [P, len(AMOUNTS), len(SPENDINGS)] float64, what the energy cost and emitted.
        submit_ms: [J] int64, submission of the window's own jobs.
        duration_ms: [J] int64, their run time.
        gpu_milli: [J] int64, the GPUs that they request.
        start_ms: [J] int64, their start; `envs.gpu_cluster.simulator.NEVER` for a job that has not started.
        end_ms: [J] int64, their end; likewise.
        timeline: integrals over time, where they were wanted.
    """

    window: Window
    elapsed_ms: int
    decisions: int
    waited_milli_ms: int
    deadline_misses: int
    excess_kw_seconds: float
    pools: tuple[PoolTotals, ...]
    spendings: NDArray[np.float64]
    submit_ms: NDArray[np.int64]
    duration_ms: NDArray[np.int64]
    gpu_milli: NDArray[np.int64]
    start_ms: NDArray[np.int64]
    end_ms: NDArray[np.int64]
    timeline: Timeline | None

    @property
    def totals(self) -> PoolTotals:
        """Counters and integrals of all pools together."""
        return PoolTotals.sum(self.pools)


def check_fit(policy: Policy, cluster: ClusterConfig) -> None:
    """Refuse a policy whose observation has no place for every pool of a cluster.

    Raises:
        PolicyFitError: as above.
    """
    if policy.layout.max_pools < len(cluster.pools):
        raise PolicyFitError(
            f"policy {policy.name} was made with codec.max_pools {policy.layout.max_pools}, the cluster has "
            f"{len(cluster.pools)} pools; train it with codec.max_pools {len(cluster.pools)} or more, "
            f"or choose another cluster with --cluster"
        )


def _priced(policy: ConstantSetpoint, cluster: ClusterConfig) -> ClusterConfig:
    """The cluster with the prices of a policy, by which jobs are placed.

    Raises:
        PolicyFitError: the policy was tuned on another number of pools.
    """
    prices, pools = policy.placement_prices, cluster.pools
    if len(prices) != len(pools):
        raise PolicyFitError(f"policy {policy.name} was tuned on {len(prices)} pools, the cluster has {len(pools)}")
    slopes = policy.placement_slopes or tuple(pool.placement_slopes for pool in pools)
    priced = [
        replace(pool, placement_usd_per_node_hour=price, placement_slopes=slope)
        for pool, price, slope in zip(pools, prices, slopes, strict=True)
    ]
    return replace(cluster, pools=tuple(priced))


def run(
    policy: Policy,
    scenario: Scenario,
    windows: Sequence[Window],
    *,
    samples: int = 0,
    on_jobs: OnJobs | None = None,
    always_step: bool = False,
) -> list[Rollout]:
    """Run a policy over windows until every job of each has ended.

    A fixed rule, or learned setpoints, run inside one compiled call; any other policy gives the actions of all windows
    at once.

    Args:
        policy: who decides; it brings its codec layout along, and its packer where it has one.
        scenario: trace, cluster and settings.
        windows: at least one.
        samples: most samples of each window's timeline; 0: none.
        on_jobs: progress.
        always_step: let these act step by step too, to check that both ways agree.

    Returns:
        One rollout per window.

    Raises:
        PolicyFitError: the codec of the policy has fewer pools than the cluster.
        ClusterError: trace, cluster and codec do not fit together.
    """
    simulator = prepare(policy, scenario, windows)
    return execute(policy, simulator, windows, samples=samples, on_jobs=on_jobs, always_step=always_step)


def replay_rules(
    rules: NDArray[np.int64], scenario: Scenario, windows: Sequence[Window], batch: int = 25
) -> list[list[Rollout]]:
    """Replay many fixed rules over windows, side by side.

    Args:
        rules: [R, RULE_SIZE] int64, see `envs.gpu_cluster.codec`.
        scenario: trace, cluster and settings.
        windows: at least one.
        batch: rules in memory at once.

    Returns:
        For each rule a rollout per window, without timelines.

    Raises:
        ClusterError: trace, cluster and codec do not fit together.
    """
    problem, found = scenario.problem(), []
    spans = np.array([(window.start_ms, NEVER, window.last_job) for window in windows], np.int64)
    for part in np.split(rules, range(batch, len(rules), batch)):
        simulator = Simulator.from_problem(problem, num_clusters=len(part) * len(windows), log_rows=0)
        simulator.reset(np.arange(simulator.num_clusters), np.tile(spans, (len(part), 1)))
        simulator.replay(np.repeat(part, len(windows), axis=0))
        done = [rollout_of(simulator, index, windows[index % len(windows)]) for index in range(simulator.num_clusters)]
        found += [done[first : first + len(windows)] for first in range(0, len(done), len(windows))]
    return found


def prepare(
    policy: Policy, scenario: Scenario, windows: Sequence[Window], log_rows: int | None = 0, end_ms: int = NEVER
) -> Simulator:
    """A batch of clusters at the start of their windows.

    Args:
        policy: who will decide.
        scenario: trace, cluster and settings.
        windows: at least one.
        log_rows: of the event log, as of `Simulator`.
        end_ms: where they end; `NEVER`: when the last job of the window has.

    Raises:
        PolicyFitError: the codec of the policy has fewer pools than the cluster.
        ClusterError: trace, cluster and codec do not fit together.
    """
    simulator = Simulator.from_problem(scenario.problem(policy), num_clusters=len(windows), log_rows=log_rows)
    simulator.reset(
        np.arange(len(windows)),
        np.array([(window.start_ms, end_ms, window.last_job) for window in windows], np.int64),
    )
    return simulator


def is_compiled() -> bool:
    """Whether compiled kernels lie in the cache; without them the first rollout takes about a minute longer."""
    folder = cache_folder("gpu_cluster")
    return folder is not None and any(folder.rglob("*.nbi"))


def warm_up(policy: Policy, scenario: Scenario) -> float:
    """Compile the kernels that a policy needs, or load them from the cache, by a replay of one job.

    The policy itself does not act, so that a stochastic one draws the same numbers with and without this.

    Args:
        policy: who will decide.
        scenario: trace, cluster and settings, checked.

    Returns:
        Seconds that it took.
    """
    started = time.perf_counter()
    tiny = replace(scenario, trace=scenario.trace.head(1))
    is_compiled = isinstance(policy, ConstantSetpoint | LearnedSetpoints)
    actor = policy if isinstance(policy, LearnedSetpoints) else ConstantSetpoint(policy.layout)
    run(actor, tiny, [whole_trace(tiny.trace)], always_step=not is_compiled)
    return time.perf_counter() - started


def execute(
    policy: Policy,
    simulator: Simulator,
    windows: Sequence[Window],
    *,
    samples: int = 0,
    on_jobs: OnJobs | None = None,
    always_step: bool = False,
) -> list[Rollout]:
    """Run what `prepare` made to its end.

    Args:
        policy: who decides.
        simulator: of `prepare`.
        windows: those of the simulator's clusters.
        samples: as of `run`.
        on_jobs: as of `run`.
        always_step: as of `run`.

    Returns:
        One rollout per window.
    """
    policy.reset(len(windows))
    recorder = Recorder(simulator, samples) if samples > 0 else None
    report = _Report(simulator, on_jobs)
    advance = advance_of(policy, simulator, always_step)
    done = bool(simulator.done.all())
    while not done:
        if recorder is not None:
            recorder.record()
        done = advance(recorder.stride if recorder is not None else None)
        report()
    if recorder is not None:
        recorder.record()
    return [rollout_of(simulator, index, window, recorder) for index, window in enumerate(windows)]


def event_log(policy: Policy, scenario: Scenario, window: Window, end_ms: int) -> pa.Table:
    """What happens in a window up to a moment, a table of `envs.gpu_cluster.simulator.EVENT_SCHEMA`.

    Args:
        policy: who decides.
        scenario: trace, cluster and settings.
        window: the window.
        end_ms: the moment.
    """
    simulator = prepare(policy, scenario, [window], log_rows=None, end_ms=end_ms)
    execute(policy, simulator, [window])
    return simulator.event_log()


Advance = Callable[[int | None], bool]
"""Run for a number of decisions (None: for a while) and return whether every cluster is done."""


def advance_of(policy: Policy, simulator: Simulator, always_step: bool = False) -> Advance:
    """How a policy plays a batch of clusters: inside compiled calls where it can.

    Args:
        policy: who decides; reset.
        simulator: of `prepare`.
        always_step: step by step all the same.
    """
    if isinstance(policy, ConstantSetpoint) and not always_step:
        return _replay(policy, simulator)
    if isinstance(policy, LearnedSetpoints) and not always_step:
        return _replay_learned(policy, simulator)
    return _step(policy, simulator)


def _replay(policy: ConstantSetpoint, simulator: Simulator) -> Advance:
    rules = np.tile(policy.rule, (simulator.num_clusters, 1))

    def advance(decisions: int | None) -> bool:
        return simulator.replay_decisions(rules, REPLAY_CHUNK if decisions is None else decisions)

    return advance


def _replay_learned(policy: LearnedSetpoints, simulator: Simulator) -> Advance:
    numbers = np.zeros(simulator.num_clusters, np.int64)

    def advance(decisions: int | None) -> bool:
        each = REPLAY_CHUNK if decisions is None else decisions
        return simulator.replay_policy_decisions(policy.policies, numbers, policy.rule, each)

    return advance


def _step(policy: Policy, simulator: Simulator) -> Advance:
    def advance(decisions: int | None) -> bool:
        for _ in range(STEPS_PER_REPORT if decisions is None else decisions):
            simulator.step(policy.act(simulator.observations, simulator.action_masks))
            if simulator.done.all():
                return True
        return False

    return advance


class _Report:
    """Tells progress how many jobs have ended since the last call."""

    def __init__(self, simulator: Simulator, on_jobs: OnJobs | None) -> None:
        self._finished_jobs, self._on_jobs, self._finished = simulator.finished_jobs, on_jobs, 0

    def __call__(self) -> None:
        if self._on_jobs is not None:
            finished = int(self._finished_jobs.sum())
            self._on_jobs(finished - self._finished)
            self._finished = finished


def rollout_of(simulator: Simulator, index: int, window: Window, recorder: Recorder | None = None) -> Rollout:
    """What a cluster of a simulator did in its window.

    Args:
        simulator: at the end of the window, or at any time before.
        index: of the cluster.
        window: its window.
        recorder: of its timeline.
    """
    jobs = simulator.job_times(index)
    return Rollout(
        window=window,
        elapsed_ms=int(simulator.elapsed_ms[index]),
        decisions=int(simulator.decisions[index]),
        waited_milli_ms=int(simulator.waited_milli_ms[index]),
        deadline_misses=int(simulator.deadline_misses[index]),
        excess_kw_seconds=float(simulator.excess_kw_seconds[index]),
        pools=simulator.pool_totals(index),
        spendings=simulator.spendings(index),
        submit_ms=jobs.submit_ms,
        duration_ms=jobs.duration_ms,
        gpu_milli=jobs.gpu_milli,
        start_ms=jobs.start_ms,
        end_ms=jobs.end_ms,
        timeline=None if recorder is None else recorder.timeline(index),
    )
