"""Compare policies on windows of a trace: what `autoscaler evaluate` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traces
from agents.baselines import ConstantSetpoint
from agents.baselines.baseline import TunedRule
from agents.baselines.tuned import Tuned
from agents.policy import Policy
from autoscaler.evaluation.candidates import (
    TUNED,
    codec_differences,
    environment_config,
    make_rule,
    rule_names,
    tuned_for,
)
from autoscaler.evaluation.clairvoyant import CLAIRVOYANT, run_clairvoyant
from autoscaler.evaluation.comparison import Comparison, Contender, compare
from autoscaler.evaluation.errors import EvaluationError
from autoscaler.evaluation.kept import kept_text
from autoscaler.evaluation.metrics import spent
from autoscaler.evaluation.rollouts import Scenario, check_fit, warm_up
from autoscaler.evaluation.runs import Run, contenders_of, load_run
from autoscaler.evaluation.windows import Window, equal_windows, jobs_of
from autoscaler.experiment import ExperimentConfig
from autoscaler.progress import Reporter, make_reporter, note_bad_rows
from autoscaler.simulation import note_compiling
from configs.errors import did_you_mean
from envs.gpu_cluster.cluster import ClusterConfig, load_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from traces.trace import Trace


def evaluate(
    policies: str | Path | Policy | Sequence[str | Path | Policy] = (),
    *,
    baselines: str | Sequence[str] = "basic",
    trace: Trace | str | None = None,
    cluster: ClusterConfig | str | None = None,
    environment: EnvironmentConfig | None = None,
    overrides: Sequence[str] = (),
    windows: int = 5,
    start: float | None = None,
    until: float = 1.0,
    seed: int = 0,
    reference: str | None = None,
    progress: bool | Reporter = False,
) -> Comparison:
    """Run policies and fixed rules on the same windows of a trace, with intervals and paired differences.

    Trace, cluster, physics and prices are one for all; where nothing else is said, they are those of the first run.
    Each policy brings its own codec: what it sees, and which levers it has. Costs are compared with those of
    `reactive-tuned`, which is tuned on the training part of the trace only.

    Args:
        policies: folders of trained runs, of which runs of one experiment join as its seeds; or policies, by their
            names.
        baselines: `basic` (quick fixed rules), `literature`, `all`, `none`, or names, as one text with commas between
            them too.
        trace: the jobs, or their URI; None: those of the first run, else the default trace.
        cluster: pools, `auto`, a YAML file, or `openb-nodes:PATH`; None: that of the first run, else `auto`.
        environment: settings; None: those that the first run was trained with, else the defaults.
        overrides: changes of them, `key.of.field=value` each.
        windows: equal windows that the tested part of the trace is cut into; five or more give intervals.
        start: where that part begins, as a fraction of the trace; None: after the part that the first run was trained
            on.
        until: where it ends.
        seed: of the intervals, and of rules that draw at random.
        reference: `clairvoyant`: `gap_closed` counts against a look-ahead that knows the jobs to come; None: against
            the bound.
        progress: see `autoscaler.progress`.

    Returns:
        All results; `write_report`, `write_figure` and `write_json` write them to files.

    Raises:
        EvaluationError: there is nothing to evaluate, two policies have one name, or a window has no meaning or no job.
        PolicyFitError: the codec of a policy has fewer pools than the cluster.
        UnknownPolicyError: there is no such rule.
        PolicyNeedsLeverError: a rule needs a lever that is off.
        ArtifactError: a run is damaged, or was made for another version of the codec.
        ConfigError: an override does not fit, or the cluster's file cannot be read.
        TraceError: the trace cannot be loaded.
        ClusterError: trace and cluster do not fit together.
    """
    reporter = make_reporter(progress)
    runs, given = _split(policies)
    experiment = _experiment(runs, given, trace, environment, overrides)
    names = rule_names(baselines, experiment.environment.codec)
    if not names and not runs and not given:
        raise EvaluationError("there is nothing to evaluate; give a run, or rules with --baselines")
    jobs = trace if isinstance(trace, Trace) else traces.load(experiment.trace)
    scenario = Scenario(jobs, _cluster(cluster, experiment, jobs), experiment.environment)
    for policy in (*(run.policy for run in runs), *given):
        check_fit(policy, scenario.cluster)
    chosen = equal_windows(jobs, experiment.split.train if start is None else start, until, windows)
    _tell_differences(runs, experiment, chosen[0].start_ms / 1000.0, jobs, reporter)
    saved = _saved_heuristic(runs, experiment) if not overrides and environment is None else None
    contenders = [
        *contenders_of(runs),
        *(Contender(policy.name, (policy,), "given") for policy in given),
        *(make_rule(name, scenario.config, seed, partial(_tuned, saved, experiment, jobs, reporter)) for name in names),
    ]
    _check_names(contenders)
    _check_reference(reference, names)
    scenario.problem()  # bad input is refused before kernels are compiled
    note_compiling(reporter)
    kinds = {(type(policy), policy.layout): policy for contender in contenders for policy in contender.policies}
    for policy in kinds.values():
        warm_up(policy, scenario)
    total = sum(len(contender.policies) for contender in contenders) * jobs_of(jobs, chosen)
    known = None if reference is None else _clairvoyant(contenders, scenario, chosen, reporter)
    with reporter.progress("evaluate", total, "jobs") as bar:
        comparison = compare(
            scenario, contenders, chosen, np.random.default_rng(seed),
            reference=TUNED if TUNED in names else None, on_jobs=bar.advance, clairvoyant=known,
        )  # fmt: skip
    for name, result in comparison.results.items():
        rate = result.decisions / result.wall_seconds
        reporter.note(f"{name}: {result.decisions:,} decisions in {result.wall_seconds:.1f} s, {rate:,.0f} steps/s")
    return replace(comparison, seed=seed, cluster_source=_cluster_source(cluster, experiment))


def _split(policies: str | Path | Policy | Sequence[str | Path | Policy]) -> tuple[list[Run], list[Policy]]:
    """The runs that are named, loaded, and the policies that are given."""
    several = policies if isinstance(policies, Sequence) and not isinstance(policies, str) else [policies]
    runs = [load_run(str(each)) for each in several if isinstance(each, str | Path)]
    return runs, [each for each in several if not isinstance(each, str | Path)]


def _saved_heuristic(runs: Sequence[Run], experiment: ExperimentConfig) -> Tuned | None:
    """What was tuned beside the first run, where that was on the trace of this comparison alone."""
    if not runs:
        return None
    theirs = runs[0].experiment
    return None if theirs.train.traces or theirs.trace != experiment.trace else runs[0].tuned


def _experiment(
    runs: Sequence[Run],
    given: Sequence[Policy],
    trace: Trace | str | None,
    environment: EnvironmentConfig | None,
    overrides: Sequence[str],
) -> ExperimentConfig:
    """The frame of the comparison: the experiment of the first run, or the default one, with what the caller says."""
    experiment = runs[0].experiment if runs else ExperimentConfig()
    if given and not runs and environment is None:
        environment = EnvironmentConfig(codec=given[0].layout)
    uri = trace.uri if isinstance(trace, Trace) else trace or experiment.trace
    settings = environment_config(environment or experiment.environment, overrides)
    return replace(experiment, trace=uri, environment=settings)


def _cluster(cluster: ClusterConfig | str | None, experiment: ExperimentConfig, trace: Trace) -> ClusterConfig:
    if isinstance(cluster, ClusterConfig):
        return cluster
    if cluster is None:
        return experiment.described_cluster(trace)
    return load_cluster(cluster, trace, second_resources=experiment.environment.physics.second_resources)


def _cluster_source(cluster: ClusterConfig | str | None, experiment: ExperimentConfig) -> str:
    if isinstance(cluster, str):
        return cluster
    if cluster is not None:
        return "given"
    return experiment.cluster if isinstance(experiment.cluster, str) else "experiment"


def _tuned(saved: Tuned | None, experiment: ExperimentConfig, trace: Trace, reporter: Reporter, name: str) -> TunedRule:
    """The heuristic that was tuned beside the first run, or a rule that is tuned now."""
    if saved is not None and name == TUNED:
        return saved
    reporter.note(f"tuning {name} on the training window")
    tuned = tuned_for(name, experiment, trace)
    reporter.note(f"{name}: {tuned.describe()}")
    return tuned


def _check_reference(reference: str | None, names: Sequence[str]) -> None:
    if reference is None:
        return
    if reference != CLAIRVOYANT:
        raise EvaluationError(f"reference {reference!r} is none{did_you_mean(reference, [CLAIRVOYANT])}")
    if TUNED not in names:
        raise EvaluationError(f"reference {CLAIRVOYANT} looks ahead from {TUNED}; name that among the baselines")


def _clairvoyant(
    contenders: Sequence[Contender], scenario: Scenario, windows: Sequence[Window], reporter: Reporter
) -> NDArray[np.float64]:
    """[W] float64, the objective of the look-ahead on the same windows, USD."""
    rule = next(each.policies[0] for each in contenders if each.name == TUNED)
    assert isinstance(rule, ConstantSetpoint)
    with reporter.progress("look ahead", jobs_of(scenario.trace, windows), "jobs") as bar:
        rollouts = run_clairvoyant(rule, scenario, windows, on_jobs=bar.advance)
    problem = scenario.problem()
    return np.array([spent(rollout, problem).total_usd for rollout in rollouts])


def _check_names(contenders: Sequence[Contender]) -> None:
    names = [contender.name for contender in contenders]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"two policies are called {name!r}; give one of them another name")


def _tell_differences(
    runs: Sequence[Run], experiment: ExperimentConfig, start_seconds: float, trace: Trace, reporter: Reporter
) -> None:
    """Say what a reader of the results must know about where they come from."""
    note_bad_rows(reporter, trace)
    for run in runs:
        reporter.note(f"{run.source}: {kept_text(run.kept)}")
        used = replace(experiment.environment, codec=run.experiment.environment.codec)
        if differences := differing_fields(run.experiment.environment, used):
            listed = ", ".join(f"{name} {ours} (here {theirs})" for name, (ours, theirs) in differences.items())
            reporter.note(f"{run.source}: was trained with {listed}")
        if codec := codec_differences(run.policy.layout, experiment.environment.codec):
            listed = ", ".join(f"{name}={ours}" for name, (ours, _) in codec.items())
            reporter.note(f"{run.source}: brings its own codec ({listed}); fixed rules use that of the evaluation")
        own_end = run.experiment.training_window(trace)[1]
        if run.experiment.trace == experiment.trace and own_end > start_seconds + 1.0:
            share = f"{run.experiment.split.train:g}"
            reporter.note(f"{run.source}: was trained on a part of these windows; choose --from {share} or later")


def differing_fields(ours: Any, theirs: Any, prefix: str = "") -> dict[str, tuple[object, object]]:
    """The fields in which two configs of one class differ, by dotted name -> (ours, theirs)."""
    found: dict[str, tuple[object, object]] = {}
    for item in fields(ours):
        left, right = getattr(ours, item.name), getattr(theirs, item.name)
        if is_dataclass(left) and type(left) is type(right):
            found |= differing_fields(left, right, f"{prefix}{item.name}.")
        elif left != right:
            found[f"{prefix}{item.name}"] = (left, right)
    return found
