"""Replay a trace with one policy and say what it cost: what `autoscaler simulate` calls."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traces
from agents.names import check_policy
from agents.policy import Policy
from autoscaler.evaluation.candidates import Candidate, environment_config, load_candidate
from autoscaler.evaluation.formats import duration, number, percent
from autoscaler.evaluation.metrics import INCIDENTS, Measures, measure, nested
from autoscaler.evaluation.rollouts import Rollout, Scenario, execute, is_compiled, prepare, warm_up
from autoscaler.evaluation.windows import whole_trace
from autoscaler.progress import Reporter, make_reporter, note_bad_rows
from autoscaler.recordings.simulated import Recorded, describe_pools, record_policies
from autoscaler.recordings.stretch import WHOLE, Stretch
from autoscaler.usage import NamedUsage, check_usage_file, name_usage
from configs.files import check_output_file
from configs.loader import to_dict
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, load_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import Simulator, attribute_usage, write_log
from envs.recording import check_folder
from traces.trace import Trace

SCHEMA = "autoscaler.simulate/1"


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What a policy did on a whole trace.

    Attributes:
        policy: name of the policy.
        scenario: trace, cluster and settings.
        cluster_source: what the caller called the cluster.
        seed: of the policy.
        rollout: the integrals, and when each job started and ended.
        measures: numbers by dotted name, see docs/json.md, such as `objective_usd` and `metrics.wait_seconds.p95`.
        wall_seconds: how long the replay took.
        compile_seconds: how long compiling the simulator, or loading it from the cache, took.
        usage: who used what, where that was asked for.
    """

    policy: str
    scenario: Scenario
    cluster_source: str
    seed: int
    rollout: Rollout
    measures: Measures
    wall_seconds: float
    compile_seconds: float
    usage: NamedUsage | None = None

    @property
    def jobs_per_second(self) -> float:
        """Speed of the replay."""
        return self.scenario.trace.num_jobs / self.wall_seconds

    def document(self) -> dict[str, Any]:
        """What `autoscaler simulate --json` writes, see docs/json.md."""
        trace = self.scenario.trace
        return {
            "schema": SCHEMA,
            "trace": {"uri": trace.uri, "jobs": trace.num_jobs, "span_seconds": trace.span_seconds},
            "cluster": {"source": self.cluster_source, **to_dict(self.scenario.cluster)},
            "policy": self.policy,
            "seed": self.seed,
            "wall_seconds": self.wall_seconds,
            "compile_seconds": self.compile_seconds,
            "jobs_per_second": self.jobs_per_second,
            **nested(self.measures),
            **({} if self.usage is None else {"usage": self.usage.document()}),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Names and values of a table for humans."""
        speed = f"{self.jobs_per_second:,.0f} jobs/s in {self.wall_seconds:.3f} s"
        return [
            *_cost_rows(self),
            *_carbon_rows(self),
            *_job_rows(self.measures),
            *_node_rows(self.measures),
            *[(words, _amount(self.measures[name])) for name, words in INCIDENTS.items() if self.measures[name]],
            ("speed", f"{speed} (compiling or loading kernels: {self.compile_seconds:.1f} s)"),
        ]


def simulate(
    policy: Policy | str | Path = "reactive",
    trace: Trace | str = "synthetic:quickstart?days=30&seed=0",
    *,
    cluster: ClusterConfig | str = "auto",
    environment: EnvironmentConfig | None = None,
    overrides: Sequence[str] = (),
    packer: str | None = None,
    seed: int = 0,
    events: str | Path | None = None,
    record: str | Path | None = None,
    stretch: Stretch = WHOLE,
    usage: bool | str | Path = False,
    progress: bool | Reporter = False,
) -> Simulation:
    """Replay a whole trace with one policy, from its first submission until its last job has ended.

    Args:
        policy: a fixed rule such as `reactive`, the folder of a trained run, or a policy.
        trace: the jobs, or their URI.
        cluster: pools, `auto` (one pool of 8-GPU nodes, as large as the trace's peak), a YAML file, or
            `openb-nodes:PATH`.
        environment: settings; None: those that a run was trained with, else the defaults.
        overrides: changes of them, `key.of.field=value` each.
        packer: in-pool packer; None: the policy's own.
        seed: for rules that draw at random.
        events: where the event log goes as Parquet; None: nothing is logged.
        record: folder of a recording for `autoscaler dashboard`, for which the policy runs once more; None: none.
        stretch: what of the run is recorded.
        usage: whether to attribute energy, carbon and money to jobs, users, groups and pools; a file ending in .csv or
            .parquet: also write the rows of the jobs there.
        progress: see `autoscaler.progress`.

    Raises:
        UnknownPolicyError: there is neither such a rule nor such a folder.
        ArtifactError: the run is damaged.
        TraceError: the trace cannot be loaded.
        ConfigError: an override does not fit, or the cluster's file cannot be read.
        ClusterError: trace and cluster do not fit together.
        PolicyFitError: the codec of the policy has fewer pools than the cluster.
        SimulatorError: an invariant does not hold, in debug mode (`overrides=["debug=true"]`).
        RecordingError: the folder of the recording is not empty, or nothing runs in the stretch.
        OutputFileError: the event log, the recording or the usage cannot be written.
    """
    if events is not None:
        check_output_file(events)
    if record is not None:
        check_folder(record)
    if not isinstance(usage, bool):
        check_usage_file(usage)
    if isinstance(policy, str | Path):
        check_policy(str(policy))  # before a large trace is read
    jobs = traces.load(trace) if isinstance(trace, str) else trace
    reporter = make_reporter(progress)
    note_bad_rows(reporter, jobs)
    candidate = _candidate(policy, jobs, environment, overrides, packer, seed)
    pools = cluster if isinstance(cluster, ClusterConfig) else _pools(cluster, jobs, candidate.environment)
    scenario = Scenario(jobs, pools, candidate.environment)
    source = "given" if isinstance(cluster, ClusterConfig) else cluster
    done = _replay(candidate.policy, scenario, source, seed, events, usage is not False, reporter)
    if done.usage is not None and not isinstance(usage, bool):
        done.usage.write(usage)
    if record is not None:
        window = whole_trace(jobs)
        recorded = Recorded(candidate.policy.name, candidate.policy)
        record_policies(record, scenario, window, [recorded], jobs.uri, stretch)
    return done


def note_compiling(reporter: Reporter) -> None:
    """Say that the simulator is compiled first, where it is not in the cache."""
    if not is_compiled():
        reporter.note("compiling the simulator: about a minute, once after each installation or update")


def _candidate(
    policy: Policy | str | Path,
    trace: Trace,
    environment: EnvironmentConfig | None,
    overrides: Sequence[str],
    packer: str | None,
    seed: int,
) -> Candidate:
    if isinstance(policy, str | Path):
        return load_candidate(
            str(policy), trace, environment=environment, seed=seed, packer=packer, overrides=overrides
        )
    changes = [*overrides, *([] if packer is None else [f"packer={packer}"])]
    return Candidate(policy, environment_config(environment or EnvironmentConfig(codec=policy.layout), changes))


def _pools(source: str, trace: Trace, environment: EnvironmentConfig) -> ClusterConfig:
    return load_cluster(source, trace, second_resources=environment.physics.second_resources)


def _replay(
    policy: Policy,
    scenario: Scenario,
    source: str,
    seed: int,
    events: str | Path | None,
    has_usage: bool,
    reporter: Reporter,
) -> Simulation:
    problem = scenario.problem(policy)
    note_compiling(reporter)
    compile_seconds = warm_up(policy, scenario)
    windows = [whole_trace(scenario.trace)]
    simulator = prepare(policy, scenario, windows, log_rows=None if has_usage or events is not None else 0)
    with reporter.progress("simulate", scenario.trace.num_jobs, "jobs") as bar:
        started = time.perf_counter()
        rollout = execute(policy, simulator, windows, on_jobs=bar.advance)[0]
        wall_seconds = time.perf_counter() - started
    if events is not None:
        _write_events(simulator, policy, scenario, events)
    measures = measure(rollout, problem)
    usage = _usage(simulator, scenario) if has_usage else None
    return Simulation(policy.name, scenario, source, seed, rollout, measures, wall_seconds, compile_seconds, usage)


def _write_events(simulator: Simulator, policy: Policy, scenario: Scenario, path: str | Path) -> None:
    start = scenario.trace.metadata.start_time
    facts = {
        "trace": scenario.trace.uri,
        "policy": policy.name,
        "pools": json.dumps(describe_pools(scenario)),
        **({} if start is None else {"start_time": start.isoformat()}),
    }
    write_log(simulator.event_log(), path, facts)


def _usage(simulator: Simulator, scenario: Scenario) -> NamedUsage:
    pools = [pool.name for pool in scenario.cluster.pools]
    return name_usage(attribute_usage(simulator, simulator.event_log()), scenario.trace, pools)


def _cost_rows(done: Simulation) -> list[tuple[str, str]]:
    measures, prices = done.measures, done.scenario.config.objective
    total = measures["energy_kwh.total"]
    parts = [(name, measures[f"energy_kwh.{name}"]) for name in ("busy", "fragmentation", "idle", "boot", "off")]
    waiting = measures["metrics.waited_gpu_hours"] * prices.usd_per_gpu_hour
    costs = {
        "energy": measures["cost_usd.energy"],
        "carbon": measures["cost_usd.carbon"],
        "nodes": measures["cost_usd.nodes"],
        "waiting": waiting,
        "overhead": measures["cost_usd.delay"] - waiting if measures["metrics.overhead_gpu_hours"] else 0.0,
    }
    usd = ", ".join(f"{name} {cost:,.2f}" for name, cost in costs.items() if cost or name in ("energy", "waiting"))
    jobs = f"{measures['metrics.jobs_finished']:,} of {measures['metrics.jobs_submitted']:,} finished"
    return [
        ("jobs", f"{jobs} in {duration(done.rollout.elapsed_ms / 1000)}"),
        ("cluster", "\n".join(_pool_text(pool) for pool in done.scenario.cluster.pools)),
        ("objective", f"{measures['objective_usd']:,.2f} USD ({usd})"),
        ("energy", f"{total:,.1f} kWh ({', '.join(f'{name} {percent(kwh / total)}' for name, kwh in parts if kwh)})"),
    ]


def _carbon_rows(done: Simulation) -> list[tuple[str, str]]:
    """Carbon, where anything says what energy emits, and which hours of the signals the trace was laid over."""
    problem, measures = done.scenario.problem(), done.measures
    if not measures["carbon_kg.total"] and not problem.prices.alignments:
        return []
    per_job, per_hour = measures["metrics.sci_g_per_job"], measures["metrics.sci_g_per_gpu_hour"]
    embodied = measures["carbon_kg.embodied"]
    parts = f"operation {measures['carbon_kg.operational']:,.1f}" + (f", embodied {embodied:,.1f}" if embodied else "")
    basis = f", {', '.join(problem.prices.bases)}" if problem.prices.bases else ""
    text = f"{measures['carbon_kg.total']:,.1f} kgCO2e ({parts}{basis}, location-based)"
    text += f"; {per_job:,.0f} g per job, {per_hour:,.0f} g per GPU-hour of work"
    unknown = _without_carbon(done.scenario.config)
    if unknown:
        hint = "give carbon signals or objective.carbon_g_per_kwh"
        text = f"{text}; counted as 0 in {', '.join(unknown)}, where it is not known ({hint})"
    return [
        ("carbon", text),
        *[(name, found.describe()) for name, found in problem.prices.alignments.items()],
    ]


def _without_carbon(config: EnvironmentConfig) -> list[str]:
    """Names of the regions of which nothing says what energy emits."""
    if config.objective.carbon_g_per_kwh is not None:
        return []
    return [region.name for region in config.regions if region.carbon is None]


def _job_rows(measures: Measures) -> list[tuple[str, str]]:
    return [
        ("wait", _spread(measures, "wait_seconds", duration)),
        ("job completion time", _spread(measures, "jct_seconds", duration)),
        ("bounded slowdown", _spread(measures, "bounded_slowdown", number)),
    ]


def _node_rows(measures: Measures) -> list[tuple[str, str]]:
    over = f"{measures['metrics.node_hours_over_bound']:.3f} times the packed bound"
    moves = f"{measures['metrics.moves']:,}, {measures['metrics.moves_per_job']:.3f} per job; "
    moves += f"{measures['metrics.overhead_gpu_hours']:,.1f} GPU-hours of overhead"
    scaling = f"up {measures['metrics.scale_ups_per_hour']:.2f}, down {measures['metrics.scale_downs_per_hour']:.2f}"
    return [
        ("node-hours", f"{measures['metrics.node_hours']:,.1f} ({over})"),
        *([("moves", moves)] if measures["metrics.moves"] else []),
        ("utilization", percent(measures["metrics.utilization"])),
        ("scaling actions / h", f"{scaling}; {measures['metrics.nodes_added']:,} nodes ordered"),
    ]


def _spread(measures: Measures, name: str, text: Any) -> str:
    return ", ".join(f"{part} {text(measures[f'metrics.{name}.{part}'])}" for part in ("mean", "p50", "p95", "p99"))


def _amount(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value)


def _pool_text(pool: PoolConfig) -> str:
    nodes = f"{pool.min_nodes} to {pool.max_nodes:,} nodes of {pool.gpus_per_node} GPUs"
    return f"{pool.name}: {nodes}, boot {pool.boot_seconds:g} s"
