"""`autoscaler simulate`: replay a trace with one policy and print what it cost."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscaler.cli._common import JsonOption, OverridesOption, QuietOption, write_json
from autoscaler.cli._outputs import check_folders, note_compiling
from autoscaler.cli._progress import progress

if TYPE_CHECKING:
    from agents.policy import Policy
    from autoscaler.evaluation.metrics import Measures
    from autoscaler.evaluation.rollouts import Rollout, Scenario
    from envs.gpu_cluster.simulator import Simulator

SCHEMA = "autoscaler.simulate/1"

TraceOption = Annotated[
    str, typer.Option("--trace", metavar="URI", help="Jobs to replay, see `autoscaler traces list`.")
]
ClusterOption = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="CLUSTER",
        help="auto (one pool of 8-GPU nodes, large enough that nobody must wait), a YAML file, or openb-nodes:PATH.",
    ),
]


def command(
    trace: TraceOption,
    policy: Annotated[
        str, typer.Option("--policy", metavar="NAME|RUN", help="A fixed rule or a trained run.")
    ] = "reactive",
    cluster: ClusterOption = "auto",
    seed: Annotated[int, typer.Option(help="For policies that draw lots.", min=0)] = 0,
    packer: Annotated[str | None, typer.Option(help="In-pool packer; else the policy's own.")] = None,
    overrides: OverridesOption = None,
    events: Annotated[
        str | None,
        typer.Option("--events", metavar="PATH", help="Write what happened to jobs and nodes as Parquet."),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Check every invariant after every event; many times slower.")
    ] = False,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Replay a trace with one policy and print what it cost.

    The whole trace runs, from its first submission until its last job has ended. --set changes the environment, for
    example --set objective.usd_per_kwh=0.3.
    """
    import traces
    from autoscaler.evaluation.candidates import load_candidate
    from autoscaler.evaluation.rollouts import Scenario
    from envs.gpu_cluster.cluster import load_cluster

    check_folders(json_to, events)
    jobs = traces.load(trace)
    changes = [*(overrides or []), *(["debug=true"] if debug else [])]
    candidate = load_candidate(policy, jobs, seed=seed, packer=packer, overrides=changes)
    has_second = candidate.environment.physics.second_resources
    described = load_cluster(cluster, jobs, second_resources=has_second)
    scenario = Scenario(jobs, described, candidate.environment)
    document, rows = simulate(candidate.policy, scenario, cluster, seed, events, quiet=quiet)
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_pairs

        print_pairs(f"{candidate.policy.name} on {jobs.uri}", rows)


def simulate(
    policy: Policy, scenario: Scenario, cluster_source: str, seed: int, events: str | None = None, quiet: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Replay the whole trace of a scenario.

    Args:
        policy: who decides.
        scenario: trace, cluster and settings.
        cluster_source: what the user called the cluster.
        seed: of the policy.
        events: where the event log goes, None: nothing is logged.
        quiet: show no progress.

    Returns:
        The JSON document, and the rows of a table for humans.

    Raises:
        ClusterError: trace and cluster do not fit together.
        PolicyFitError: the codec of the policy has fewer pools than the cluster.
        SimulatorError: an invariant does not hold, in debug mode.
        OutputFileError: the event log cannot be written.
    """
    from autoscaler.evaluation.metrics import measure, nested
    from autoscaler.evaluation.rollouts import execute, prepare, warm_up
    from autoscaler.evaluation.windows import whole_trace
    from configs.loader import to_dict

    problem = scenario.problem(policy)
    note_compiling(quiet)
    compile_seconds = warm_up(policy, scenario)
    windows = [whole_trace(scenario.trace)]
    simulator = prepare(policy, scenario, windows, log_rows=0 if events is None else None)
    with progress("simulate", scenario.trace.num_jobs, "jobs", quiet=quiet) as bar:
        started = time.perf_counter()
        rollout = execute(policy, simulator, windows, on_jobs=bar.advance)[0]
        wall_seconds = time.perf_counter() - started
    if events is not None:
        _write_events(simulator, policy, scenario, events)
    trace, measures = scenario.trace, measure(rollout, problem)
    document = {
        "schema": SCHEMA,
        "trace": {"uri": trace.uri, "jobs": trace.num_jobs, "span_seconds": trace.span_seconds},
        "cluster": {"source": cluster_source, **to_dict(scenario.cluster)},
        "policy": policy.name,
        "seed": seed,
        "wall_seconds": wall_seconds,
        "compile_seconds": compile_seconds,
        "jobs_per_second": trace.num_jobs / wall_seconds,
        **nested(measures),
    }
    return document, _rows(document, measures, scenario, rollout)


def _write_events(simulator: Simulator, policy: Policy, scenario: Scenario, path: str) -> None:
    from envs.gpu_cluster.simulator import write_log

    pools = json.dumps([pool.name for pool in scenario.cluster.pools])
    write_log(simulator.event_log(), path, {"trace": scenario.trace.uri, "policy": policy.name, "pools": pools})


def _rows(document: dict[str, Any], measures: Measures, scenario: Scenario, rollout: Rollout) -> list[tuple[str, str]]:
    from autoscaler.evaluation.formats import duration, number, percent
    from autoscaler.evaluation.metrics import INCIDENTS

    def spread(name: str, text: Any) -> str:
        return ", ".join(f"{part} {text(measures[f'metrics.{name}.{part}'])}" for part in ("mean", "p50", "p95", "p99"))

    def amount(value: float) -> str:
        return f"{value:,}" if isinstance(value, int) else number(value)

    prices, total = scenario.config.objective, measures["energy_kwh.total"]
    parts = [(name, measures[f"energy_kwh.{name}"]) for name in ("busy", "fragmentation", "idle", "boot", "off")]
    energy_usd = total * prices.usd_per_kwh
    waiting_usd = measures["metrics.waited_gpu_hours"] * prices.usd_per_gpu_hour
    overhead = measures["metrics.overhead_gpu_hours"]
    overhead_usd = overhead * prices.usd_per_gpu_hour
    moves = f"{measures['metrics.moves']:,}, {measures['metrics.moves_per_job']:.3f} per job; "
    over = f"{measures['metrics.node_hours_over_bound']:.3f} times the packed bound"
    lost = f", overhead {overhead_usd:,.2f}" if overhead else ""
    scaling = f"up {measures['metrics.scale_ups_per_hour']:.2f}, down {measures['metrics.scale_downs_per_hour']:.2f}"
    jobs = f"{measures['metrics.jobs_finished']:,} of {measures['metrics.jobs_submitted']:,} finished"
    speed = f"{document['jobs_per_second']:,.0f} jobs/s in {document['wall_seconds']:.3f} s"
    return [
        ("jobs", f"{jobs} in {duration(rollout.elapsed_ms / 1000)}"),
        ("cluster", "\n".join(_pool_text(pool) for pool in scenario.cluster.pools)),
        (
            "objective",
            f"{measures['objective_usd']:,.2f} USD (energy {energy_usd:,.2f}, waiting {waiting_usd:,.2f}{lost})",
        ),
        ("energy", f"{total:,.1f} kWh ({', '.join(f'{name} {percent(kwh / total)}' for name, kwh in parts if kwh)})"),
        ("wait", spread("wait_seconds", duration)),
        ("job completion time", spread("jct_seconds", duration)),
        ("bounded slowdown", spread("bounded_slowdown", number)),
        ("node-hours", f"{measures['metrics.node_hours']:,.1f} ({over})"),
        *([("moves", f"{moves}{overhead:,.1f} GPU-hours of overhead")] if measures["metrics.moves"] else []),
        ("utilization", percent(measures["metrics.utilization"])),
        ("scaling actions / h", f"{scaling}; {measures['metrics.nodes_added']:,} nodes ordered"),
        *[(words, amount(measures[name])) for name, words in INCIDENTS.items() if measures[name]],
        ("speed", f"{speed} (compiling or loading kernels: {document['compile_seconds']:.1f} s)"),
    ]


def _pool_text(pool: Any) -> str:
    nodes = f"{pool.min_nodes} to {pool.max_nodes:,} nodes of {pool.gpus_per_node} GPUs"
    return f"{pool.name}: {nodes}, boot {pool.boot_seconds:g} s"
