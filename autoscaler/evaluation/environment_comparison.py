"""Compare policies of an environment that is no GPU cluster: what `autoscaler evaluate` does with their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.artifact import CONFIG, find_artifact
from agents.loading import load_policy
from autoscaler.evaluation.environments import (
    Row,
    environment_of,
    make_evaluation,
)
from autoscaler.evaluation.errors import EvaluationError
from autoscaler.evaluation.formats import number, percent
from autoscaler.evaluation.provenance import provenance
from autoscaler.evaluation.statistics import CONFIDENCE, DRAWS, METHOD, Bootstrap, Estimate
from autoscaler.evaluation.tables import Table
from autoscaler.experiment import ExperimentConfig, LoggingConfig
from autoscaler.progress import Reporter, make_reporter
from configs.errors import did_you_mean
from configs.loader import load_config, overridden
from envs.recording import check_folder

SCHEMA = "autoscaler.evaluate.environment/1"
COMPARED = ("objective_usd", "decidable_usd")


@dataclass(frozen=True, slots=True, eq=False)
class EnvironmentResult:
    """A policy on all windows.

    Attributes:
        name: of the policy.
        kind: `trained` or `rule`.
        sources: folders of its seeds.
        settings: what tuning chose.
        values: column -> [S, W] float64, a value for each seed and window.
        estimates: column -> mean with its interval.
        versus: of `COMPARED`, how much more than the reference, as a share; without entries for the reference.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    values: dict[str, NDArray[np.float64]]
    estimates: dict[str, Estimate]
    versus: dict[str, Estimate]


@dataclass(frozen=True, slots=True, eq=False)
class EnvironmentComparison:
    """All policies, cheapest first.

    Attributes:
        env: id of the environment.
        kwargs: its arguments, of what policies are judged on.
        windows: begin and end of each window, s.
        reference: the rule that costs are compared with; None: it did not run.
        results: one for each policy.
        seed: of the intervals.
    """

    env: str
    kwargs: Mapping[str, Any]
    windows: tuple[tuple[float, float], ...]
    reference: str | None
    results: tuple[EnvironmentResult, ...]
    seed: int

    def document(self) -> dict[str, Any]:
        """What `evaluate --json` writes, see docs/json.md."""
        return {
            "schema": SCHEMA,
            "env": self.env,
            "env_kwargs": dict(self.kwargs),
            "reference": self.reference,
            "windows": [{"start_seconds": begin, "end_seconds": end} for begin, end in self.windows],
            "policies": {result.name: _entry(result) for result in self.results},
            "provenance": {
                **provenance(),
                "seed": self.seed,
                "intervals": {"confidence": CONFIDENCE, "draws": DRAWS, "method": METHOD},
            },
        }

    def tables(self) -> list[Table]:
        """For humans."""
        count = len(self.windows)
        versus = [] if self.reference is None else [f"against {self.reference}", "decidable, against it"]
        header = [
            "policy",
            "USD per window",
            *versus,
            "decidable USD",
            "energy, kWh",
            "CO2e, kg",
            "cold",
            "late",
            "p95, s",
        ]
        title = f"{self.env}: {count} window{'s' if count > 1 else ''}, means, cheapest first"
        return [Table(title, header, [self._row(result) for result in self.results])]

    def _row(self, result: EnvironmentResult) -> list[str]:
        seeds = len(result.values["objective_usd"])
        mean = {name: estimate.mean for name, estimate in result.estimates.items()}
        versus: list[str] = []
        if self.reference is not None:
            versus = ["reference", "-"] if not result.versus else [_share(result.versus[name]) for name in COMPARED]
        return [
            result.name + (f" ({seeds} seeds)" if seeds > 1 else ""),
            number(mean["objective_usd"]),
            *versus,
            number(mean["decidable_usd"]),
            number(mean["energy_kwh_total"]),
            number(mean["carbon_kg_total"]),
            percent(mean["cold_share"]),
            percent(mean["late_share"]),
            number(mean["response_seconds_p95"]),
        ]


def evaluate_environment(
    runs: Sequence[str],
    *,
    baselines: str = "basic",
    overrides: Sequence[str] = (),
    windows: int = 5,
    seed: int = 0,
    record: str | Path | None = None,
    progress: bool | Reporter = False,
) -> EnvironmentComparison:
    """Compare trained runs of one environment with its fixed rules, on what their training has not seen.

    Args:
        runs: folders; those of one experiment join as its seeds.
        baselines: `basic` or `all` (every rule), `none`, or names with commas between them.
        overrides: changes of the arguments of the environment, `key.of.field=value`.
        windows: how many.
        seed: of the intervals.
        record: folder of a recording of the first window, for which policies run once more; None: none.
        progress: see `autoscaler.progress`.

    Raises:
        EvaluationError: there is no such rule, or the environment has no such argument.
        ArtifactError: a run is damaged.
        RecordingError: the folder of the recording is not empty.
        OutputFileError: it cannot be written.
        UserError: the arguments have no meaning.
    """
    if record is not None:
        check_folder(record)
    env, reporter = str(environment_of(runs)), make_reporter(progress)
    experiments = {source: load_config(find_artifact(source) / CONFIG, ExperimentConfig) for source in runs}
    trained = experiments[runs[0]].env_kwargs
    evaluation = make_evaluation(env, trained, trained, windows)
    kwargs = overridden(evaluation.held_out(trained), overrides)
    names = _rule_names(baselines, evaluation.rules)
    evaluation = make_evaluation(env, trained, kwargs, windows)
    found: list[tuple[str, str, tuple[str, ...], dict[str, Any], list[list[Row]]]] = []
    with reporter.progress("evaluate", len(runs) + len(names), "policies") as bar:
        for name, sources in seeds_of(experiments).items():
            rows = [evaluation.play(load_policy(source)) for source in sources]
            found.append((name, "trained", sources, {}, rows))
            bar.advance(len(sources))
        for name in names:
            rule, settings = evaluation.make_rule(name)
            found.append((name, "rule", (), settings, [evaluation.play(rule)]))
            bar.advance()
    if record is not None:
        evaluation.record(record, {name: load_policy(each[0]) for name, each in seeds_of(experiments).items()})
    reference = evaluation.reference if evaluation.reference in names else None
    results = _compared(found, reference, seed)
    return EnvironmentComparison(env, kwargs, tuple(evaluation.windows), reference, results, seed)


def _rule_names(given: str, rules: Sequence[str]) -> list[str]:
    if given in ("basic", "all"):
        return list(rules)
    names = [] if given == "none" else [name.strip() for name in given.split(",")]
    for name in names:
        if name not in rules:
            raise EvaluationError(f"unknown rule {name!r}{did_you_mean(name, rules)}")
    return names


def seeds_of(experiments: Mapping[str, ExperimentConfig]) -> dict[str, tuple[str, ...]]:
    """Runs that are seeds of one policy, by its name."""
    groups: dict[ExperimentConfig, list[str]] = {}
    for source, experiment in experiments.items():
        groups.setdefault(replace(experiment, seed=0, logging=LoggingConfig()), []).append(source)
    agents = [experiment.agent.name for experiment in groups]
    named = {}
    for experiment, sources in groups.items():
        agent = experiment.agent.name
        named[agent if agents.count(agent) == 1 else f"{agent} ({sources[0]})"] = tuple(sources)
    return named


def _compared(
    found: Sequence[tuple[str, str, tuple[str, ...], dict[str, Any], list[list[Row]]]], reference: str | None, seed: int
) -> tuple[EnvironmentResult, ...]:
    tables = {
        name: {column: np.array([[row[column] for row in each] for each in rows]) for column in rows[0][0]}
        for name, _, _, _, rows in found
    }
    results = []
    for name, kind, sources, settings, rows in found:
        values = tables[name]
        bootstrap = Bootstrap(len(rows), len(rows[0]), np.random.default_rng(seed))
        versus = {}
        if reference is not None and name != reference:
            others = {column: np.repeat(tables[reference][column], len(rows), axis=0) for column in COMPARED}
            versus = {column: bootstrap.ratio(values[column], others[column]) for column in COMPARED}
        estimates = {column: bootstrap.mean(each) for column, each in values.items()}
        results.append(EnvironmentResult(name, kind, sources, settings, values, estimates, versus))
    return tuple(sorted(results, key=lambda result: result.estimates["objective_usd"].mean))


def _entry(result: EnvironmentResult) -> dict[str, Any]:
    return {
        "kind": result.kind,
        "sources": list(result.sources),
        "settings": dict(result.settings),
        "measures": {name: estimate.to_dict() for name, estimate in result.estimates.items()},
        "versus": {name: estimate.to_dict() for name, estimate in result.versus.items()},
        "windows": {name: values.tolist() for name, values in result.values.items()},
    }


def _share(estimate: Estimate) -> str:
    text = percent(estimate.mean, signed=True)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{percent(estimate.low, signed=True)}, {percent(estimate.high, signed=True)}]"
