"""`autoscaler evaluate`: compare policies with baselines and a bound; write a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from autoscaler.cli._common import JsonOption, OverridesOption, QuietOption, checked_output, note, write_json
from autoscaler.progress import make_reporter

if TYPE_CHECKING:
    from agents.baselines.tuned import Tuned
    from autoscaler.evaluation.comparison import Comparison, Contender, Result
    from autoscaler.evaluation.rollouts import Scenario
    from autoscaler.evaluation.runs import Run
    from autoscaler.evaluation.windows import Window
    from autoscaler.experiment import ExperimentConfig


def _picture_path(path: str | None) -> str | None:
    if path is not None and not path.endswith((".png", ".svg")):
        raise typer.BadParameter(f"{path}: the picture is a .png or a .svg; end the name in one of them")
    return checked_output(path)


def command(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Folders of trained runs; seeds of one policy join.")
    ] = None,
    trace: Annotated[str | None, typer.Option("--trace", metavar="URI", help="Jobs; else those of the run.")] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="auto, a YAML file or openb-nodes:PATH; else that of the run.")
    ] = None,
    baselines: Annotated[
        str, typer.Option("--baselines", metavar="NAMES", help="all, none, or fixed rules with commas between them.")
    ] = "all",
    windows: Annotated[int, typer.Option(min=1, help="Equal windows that the tested part is cut into.")] = 5,
    start: Annotated[
        float | None, typer.Option("--from", help="Where it begins, as a fraction of the trace; else after training.")
    ] = None,
    until: Annotated[float, typer.Option("--until", help="Where it ends.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="For the intervals and for policies that draw lots.")] = 0,
    overrides: OverridesOption = None,
    report: Annotated[
        str | None, typer.Option("--report", metavar="PATH", callback=checked_output, help="Write an HTML report.")
    ] = None,
    figure: Annotated[
        str | None, typer.Option("--figure", metavar="PATH", callback=_picture_path, help="Write one .png or .svg.")
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare policies with baselines and a bound; write a report.

    Every policy runs the same windows of the trace, by default of the part behind the one that it was trained on. Costs
    are compared with those of reactive-tuned, which is tuned on the training part only. --set changes the environment,
    for example --set objective.usd_per_kwh=0.3.
    """
    from autoscaler.evaluation.candidates import rule_names

    loaded = _load_runs(runs or [], quiet)
    experiment = _experiment(loaded, trace, overrides or [])
    names = rule_names(baselines, experiment.environment.codec)
    if not names and not loaded:
        raise typer.BadParameter("there is nothing to evaluate; give a RUN, or rules with --baselines")
    scenario, chosen = _scenario(experiment, trace, cluster, windows, start, until)
    contenders = _contenders(loaded, names, experiment, scenario, seed, retune=bool(overrides), quiet=quiet)
    comparison = _compare(scenario, contenders, chosen, seed, quiet)
    source = cluster or (experiment.cluster if isinstance(experiment.cluster, str) else "experiment")
    _write(comparison, source, seed, report, figure, json_to)
    if json_to != "-":
        _print(comparison)


def _load_runs(sources: Sequence[str], quiet: bool) -> list[Run]:
    if not sources:
        return []
    from autoscaler.evaluation.runs import load_run

    loaded = [load_run(source) for source in sources]
    first = loaded[0]
    for run in loaded[1:]:
        if run.experiment.environment != first.experiment.environment:
            note(
                f"{run.source}: trained with other settings than {first.source}, whose settings are used for all", quiet
            )
    return loaded


def _experiment(loaded: Sequence[Run], trace: str | None, overrides: Sequence[str]) -> ExperimentConfig:
    """The experiment that is the frame of the comparison: that of the first run, or the default one on the trace."""
    from autoscaler.evaluation.candidates import environment_config
    from autoscaler.experiment import ExperimentConfig

    if loaded:
        experiment = loaded[0].experiment
    else:
        experiment = ExperimentConfig() if trace is None else ExperimentConfig(trace=trace)
    return replace(experiment, environment=environment_config(experiment.environment, overrides))


def _scenario(
    experiment: ExperimentConfig,
    trace: str | None,
    cluster: str | None,
    windows: int,
    start: float | None,
    until: float,
) -> tuple[Scenario, tuple[Window, ...]]:
    import traces
    from autoscaler.evaluation.rollouts import Scenario
    from autoscaler.evaluation.windows import equal_windows
    from envs.gpu_cluster.cluster import load_cluster

    jobs = traces.load(trace or experiment.trace)
    has_second = experiment.environment.physics.second_resources
    if cluster is None:
        described = experiment.described_cluster(jobs)
    else:
        described = load_cluster(cluster, jobs, second_resources=has_second)
    begin = experiment.split.train if start is None else start
    return Scenario(jobs, described, experiment.environment), equal_windows(jobs, begin, until, windows)


def _contenders(
    loaded: Sequence[Run],
    names: Sequence[str],
    experiment: ExperimentConfig,
    scenario: Scenario,
    seed: int,
    retune: bool,
    quiet: bool,
) -> list[Contender]:
    from autoscaler.evaluation.candidates import make_rule, tuned_for
    from autoscaler.evaluation.rollouts import check_fit

    def tune() -> Tuned:
        if loaded and loaded[0].tuned is not None and not retune:
            return loaded[0].tuned
        note("tuning reactive-tuned on the training window", quiet)
        tuned = tuned_for(experiment, scenario.trace)
        note(f"reactive-tuned: {tuned.describe()}", quiet)
        return tuned

    contenders = []
    if loaded:
        from autoscaler.evaluation.runs import contenders_of

        contenders = contenders_of(loaded)
        for run in loaded:
            check_fit(run.policy, scenario.cluster)  # before seconds go into tuning
    return [*contenders, *(make_rule(name, scenario.config, seed, tune) for name in names)]


def _compare(
    scenario: Scenario, contenders: Sequence[Contender], windows: Sequence[Window], seed: int, quiet: bool
) -> Comparison:
    import numpy as np

    from autoscaler.evaluation.candidates import TUNED
    from autoscaler.evaluation.comparison import compare
    from autoscaler.evaluation.rollouts import warm_up
    from autoscaler.evaluation.windows import jobs_of
    from autoscaler.simulation import note_compiling

    scenario.problem()  # bad input is refused before kernels are compiled
    reporter = make_reporter(not quiet)
    note_compiling(reporter)
    kinds = {(type(policy), policy.layout): policy for contender in contenders for policy in contender.policies}
    for policy in kinds.values():
        warm_up(policy, scenario)
    runs = sum(len(contender.policies) for contender in contenders)
    with reporter.progress("evaluate", runs * jobs_of(scenario.trace, windows), "jobs") as bar:
        comparison = compare(
            scenario, contenders, windows, np.random.default_rng(seed),
            reference=TUNED if any(contender.name == TUNED for contender in contenders) else None,
            on_jobs=bar.advance,
        )  # fmt: skip
    for name, result in comparison.results.items():
        rate = result.decisions / result.wall_seconds
        note(f"{name}: {result.decisions:,} decisions in {result.wall_seconds:.1f} s, {rate:,.0f} steps/s", quiet)
    return comparison


def _write(
    comparison: Comparison, cluster_source: str, seed: int, report: str | None, figure: str | None, json_to: str | None
) -> None:
    if report is None and figure is None and json_to is None:
        return
    from autoscaler.evaluation.documents import comparison_document

    document = comparison_document(comparison, cluster_source, seed)
    if report is not None:
        from autoscaler.evaluation.report import write_report

        write_report(comparison, document, report)
    if figure is not None:
        from autoscaler.evaluation.report import write_picture

        write_picture(comparison, figure)
    if json_to is not None:
        write_json(document, json_to)


def _print(comparison: Comparison) -> None:
    from autoscaler.cli._table import print_columns
    from autoscaler.evaluation.report.words import headline, incident_texts

    header = ["policy", "USD per window", f"against {comparison.reference or 'reference'}", "energy, kWh"]
    header += ["mean wait", "p95 wait", "node-hours / bound"]
    moves = comparison.scenario.config.codec.consolidation
    header += ["moves / job"] if moves else []
    windows = f"{len(comparison.windows)} windows" if len(comparison.windows) > 1 else "1 window"
    rows = [_row(result, comparison.reference, moves) for result in comparison.ranking]
    print_columns(f"{comparison.scenario.trace.uri}: {windows}, means, cheapest first", header, rows)
    if comparison.incidents:
        header = ["policy", *comparison.incidents.values()]
        rows = [[result.contender.name, *incident_texts(comparison, result)] for result in comparison.ranking]
        print_columns("what happened, means per window", header, rows)
    verdict = headline(comparison)
    typer.echo(f"{verdict.title}. {verdict.detail}")


def _row(result: Result, reference: str | None, moves: bool) -> list[str]:
    from autoscaler.evaluation.formats import UNKNOWN, duration, number, percent

    versus = "reference" if result.contender.name == reference else UNKNOWN
    if result.versus is not None:
        share = result.versus.objective_share
        versus = percent(share.mean, signed=True)
        if share.low is not None and share.high is not None:
            versus += f" [{percent(share.low, signed=True)}, {percent(share.high, signed=True)}]"
    estimates = result.estimates
    seeds = len(result.contender.policies)
    return [
        result.contender.name + (f" ({seeds} seeds)" if seeds > 1 else ""),
        f"{estimates['objective_usd'].mean:,.2f}",
        versus,
        number(estimates["energy_kwh.total"].mean),
        duration(estimates["metrics.wait_seconds.mean"].mean),
        duration(estimates["metrics.wait_seconds.p95"].mean),
        f"{estimates['metrics.node_hours_over_bound'].mean:.3f}",
        *([f"{estimates['metrics.moves_per_job'].mean:.3f}"] if moves else []),
    ]
