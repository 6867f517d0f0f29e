"""The table of a grid: every policy against the bound and against a reference, over all scenarios."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from autoscaler.bench import statistics
from autoscaler.bench.errors import BenchError
from autoscaler.bench.learning_cost import Assumptions, LearningCost, learning_cost
from autoscaler.bench.statistics import Profile, Strata
from autoscaler.bench.store import read_results
from autoscaler.evaluation.environments import reference_rules
from autoscaler.evaluation.formats import number, percent
from autoscaler.evaluation.statistics import CONFIDENCE, Estimate
from autoscaler.evaluation.tables import Table
from configs.errors import did_you_mean

SCHEMA = "autoscaler.bench.table/1"
REFERENCES = ("tuned-combination", "reactive-tuned")
"""Who policies are compared with on GPU clusters, where nobody says: the first of these that ran."""

THRESHOLDS = (1.01, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0)
"""Ratios to the bound for the performance profile."""

SHOWN = (1.05, 1.1, 1.2, 1.5)
"""Those in the table for humans."""


class ScenarioMeans(NamedTuple):
    """A policy in one scenario; NaN where nothing is known.

    Attributes:
        usd: mean cost of a window.
        ratio: mean of cost over bound.
        gap_closed: the share of the reference's mean decidable cost that it saves.
    """

    usd: float
    ratio: float
    gap_closed: float


class TuningJobs(NamedTuple):
    """Jobs that were simulated to tune a rule, in all scenarios together; of each scenario those of its first seed.

    Attributes:
        simulated_jobs: how many; None: it was not tuned, or does not say.
        budget_jobs: how many might have been: as many as an agent may; None: it knows no budget.
    """

    simulated_jobs: int | None
    budget_jobs: int | None

    @classmethod
    def of(cls, table: pa.Table) -> TuningJobs:
        """What the settings of the rows of a policy say."""
        rows = zip(*(table[name].to_pylist() for name in ("scenario", "seed", "window", "settings")), strict=True)
        first = {scenario: json.loads(text) for scenario, *_, text in sorted(rows, reverse=True)}
        found = [[settings[name] for settings in first.values() if name in settings] for name in cls._fields]
        return cls(*(sum(counts) if counts else None for counts in found))


NOT_TUNED = TuningJobs(None, None)


@dataclass(frozen=True, slots=True, eq=False)
class PolicySummary:
    """A policy over all scenarios that it ran in; None where nothing is known.

    Attributes:
        name: of the policy.
        kind: rule, agent or run.
        scenarios: in which it ran.
        seeds: most of them in a scenario.
        ratio: interquartile mean of cost over bound.
        gap_closed: interquartile mean of the share of the reference's decidable cost that it saves.
        improvement: probability of being better than the reference.
        profile: shares of runs with a ratio of at most `THRESHOLDS`.
        by_scenario: each scenario in which it ran.
        learning: what tuning or training took, None where it learns nothing.
        jobs: what tuning simulated.
    """

    name: str
    kind: str
    scenarios: int
    seeds: int
    ratio: Estimate | None
    gap_closed: Estimate | None
    improvement: Estimate | None
    profile: Profile | None
    by_scenario: dict[str, ScenarioMeans]
    learning: LearningCost | None
    jobs: TuningJobs


@dataclass(frozen=True, slots=True, eq=False)
class BenchTable:
    """All policies, best first.

    Attributes:
        results: folder of the grid.
        scenarios: name -> version.
        references: who policies are compared with, of all scenarios; none: nobody.
        policies: one summary each.
        assumptions: about the cost of learning.
    """

    results: str
    scenarios: dict[str, int]
    references: tuple[str, ...]
    policies: tuple[PolicySummary, ...]
    assumptions: Assumptions

    @property
    def reference(self) -> str | None:
        """The references as a text."""
        return ", ".join(self.references) or None

    def document(self) -> dict[str, Any]:
        """What `autoscaler bench table --json` writes, see docs/json.md."""
        return {
            "schema": SCHEMA,
            "results": self.results,
            "scenarios": [{"name": name, "version": version} for name, version in self.scenarios.items()],
            "reference": self.reference,
            "thresholds": list(THRESHOLDS),
            "intervals": {"confidence": CONFIDENCE, "draws": statistics.DRAWS, "method": statistics.METHOD},
            "assumptions": self.assumptions.to_dict(),
            "policies": {summary.name: _entry(summary) for summary in self.policies},
        }

    def tables(self) -> list[Table]:
        """For humans: all scenarios together, each scenario, and what learning took."""
        base = self.reference or "a reference"
        title = f"{self.results}: {len(self.scenarios)} scenarios, best first"
        header = ["policy", "scenarios", "seeds", "cost / bound, IQM", "gap closed, IQM"]
        header += [
            f"better than {base}",
            *(f"<= {100 * (tau - 1):.0f} % over" for tau in SHOWN),
        ]
        tables = [Table(title, header, [self._row(summary) for summary in self.policies])]
        tables.append(self._by_scenario("USD of a window", "usd", lambda usd: f"{usd:,.2f}"))
        if self.reference is not None:
            title = f"share of the gap to the bound that {base} leaves"
            tables.append(self._by_scenario(title, "gap_closed", lambda share: percent(share, signed=True)))
        learned = [summary for summary in self.policies if summary.learning is not None]
        if learned:
            watts, grams = self.assumptions.watts_per_core, self.assumptions.grams_per_kwh
            title = f"learning, all scenarios, mean of the seeds ({watts:g} W per core and {grams:g} gCO2e/kWh assumed)"
            header = [
                "policy",
                "CPU-hours",
                "kWh",
                "gCO2e",
                f"days until {base} used as much more",
                "jobs simulated to tune",
                "budget, jobs",
            ]
            tables.append(Table(title, header, [_learning_row(summary) for summary in learned]))
        return tables

    def _by_scenario(self, title: str, name: str, text: Callable[[float], str]) -> Table:
        rows = []
        for each in self.policies:
            found = [each.by_scenario.get(scenario) for scenario in self.scenarios]
            values = [np.nan if means is None else getattr(means, name) for means in found]
            rows.append([each.name, *("-" if np.isnan(value) else text(value) for value in values)])
        return Table(title, ["policy", *self.scenarios], rows)

    def _row(self, summary: PolicySummary) -> list[str]:
        shares = ["-"] * len(SHOWN)
        if summary.profile is not None:
            shares = [percent(float(summary.profile.shares[THRESHOLDS.index(tau)])) for tau in SHOWN]
        return [
            summary.name,
            f"{summary.scenarios}/{len(self.scenarios)}",
            str(summary.seeds),
            _text(summary.ratio, lambda value: f"{value:.3f}"),
            "reference" if summary.name in self.references else _text(summary.gap_closed, percent),
            "-" if summary.name in self.references else _text(summary.improvement, percent),
            *shares,
        ]


def bench_table(
    folder: str | Path,
    *,
    scenarios: Sequence[str] = (),
    reference: str | None = None,
    assumptions: Assumptions | None = None,
) -> BenchTable:
    """Summarise the results of a grid.

    Args:
        folder: of `run_bench`.
        scenarios: those that count; none: all.
        reference: who policies are compared with; None: `tuned-combination` where it ran, else `reactive-tuned`; in
            other environments than GPU clusters the rule that their evaluation names.
        assumptions: about the cost of learning.

    Raises:
        BenchError: there are no results, or none of a scenario or of the reference.
    """
    table = read_results(folder)
    found = sorted(set(table["scenario"].to_pylist()))
    for name in scenarios:
        if name not in found:
            raise BenchError(f"{folder}: has no results of {name!r}{did_you_mean(name, found)}")
    table = table.filter(pc.is_in(table["scenario"], pa.array(list(scenarios) or found)))
    names = list(dict.fromkeys(table["policy"].to_pylist()))
    if reference is not None and reference not in names:
        raise BenchError(f"{folder}: has no results of {reference!r}{did_you_mean(reference, names)}")
    runs = {name: _Runs.of(table.filter(pc.equal(table["policy"], name))) for name in names}
    base = _references(runs, reference)
    assumed = assumptions or Assumptions()
    summaries = [_summary(name, each, base, runs, assumed) for name, each in runs.items()]
    versions = dict(zip(table["scenario"].to_pylist(), table["version"].to_pylist(), strict=True))
    # Those that ran everywhere first: scores over different scenarios cannot be compared.
    order = sorted(summaries, key=lambda each: (-each.scenarios, np.inf if each.ratio is None else each.ratio.mean))
    used = tuple(dict.fromkeys(base[scenario] for scenario in sorted(base)))
    return BenchTable(str(folder), dict(sorted(versions.items())), used, tuple(order), assumed)


def _references(runs: dict[str, _Runs], given: str | None) -> dict[str, str]:
    """Who policies are compared with in each scenario."""
    on_clusters = next((name for name in REFERENCES if name in runs), None)
    found: dict[str, str] = {}
    for name in [on_clusters, *reference_rules()] if given is None else [given]:
        for scenario in runs[name].columns if name in runs else ():
            found.setdefault(scenario, str(name))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Columns of one policy, by scenario, each [S, W] float64."""

    kind: str
    columns: dict[str, dict[str, NDArray[np.float64]]]
    jobs: TuningJobs = NOT_TUNED

    @classmethod
    def of(cls, table: pa.Table) -> _Runs:
        wanted = (
            *("objective_usd", "bound_usd", "decidable_usd", "energy_kwh_total", "hours"),
            *("learning_cpu_seconds", "learning_steps"),
        )
        columns: dict[str, dict[str, NDArray[np.float64]]] = {}
        for scenario in sorted(set(table["scenario"].to_pylist())):
            part = table.filter(pc.equal(table["scenario"], scenario)).sort_by(
                [("seed", "ascending"), ("window", "ascending")]
            )
            seeds = len(set(part["seed"].to_pylist()))
            columns[scenario] = {name: part[name].to_numpy().astype(np.float64).reshape(seeds, -1) for name in wanted}
        return cls(str(table["kind"][0]), columns, TuningJobs.of(table))

    def ratios(self) -> dict[str, NDArray[np.float64]]:
        """Cost over bound, of the scenarios that have one."""
        # A bound is negative where jobs run faster than the trace says, or energy is sold; a ratio says nothing then.
        found = {
            name: values["objective_usd"] / values["bound_usd"]
            for name, values in self.columns.items()
            if (values["bound_usd"] > 0.0).all()
        }
        return {name: values for name, values in found.items() if np.isfinite(values).all()}

    def gaps(self, base: _Runs) -> dict[str, NDArray[np.float64]]:
        """The share of the decidable cost of another policy that is saved, of each run."""
        found = {}
        for name in self.columns.keys() & base.columns.keys():
            theirs = base.columns[name]["decidable_usd"].mean(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):  # nothing can be closed where there is no gap
                gap = 1.0 - self.columns[name]["decidable_usd"] / theirs
            if np.isfinite(gap).all():
                found[name] = gap
        return dict(sorted(found.items()))

    def costs(self, among: _Runs) -> dict[str, NDArray[np.float64]]:
        """Costs, of the scenarios that another policy ran too."""
        return {name: values["objective_usd"] for name, values in self.columns.items() if name in among.columns}


def _summary(
    name: str, runs: _Runs, base: dict[str, str], everyone: dict[str, _Runs], assumptions: Assumptions
) -> PolicySummary:
    strata, ratios = Strata(), runs.ratios()
    gap = improvement = None
    compared = {scenario: policy for scenario, policy in base.items() if scenario in runs.columns and policy != name}
    columns = {scenario: everyone[policy].columns[scenario] for scenario, policy in compared.items()}
    other = _Runs("rule", columns) if columns else None
    if other is not None:
        if gaps := runs.gaps(other):
            gap = statistics.iqm(gaps, name, strata)
        if mine := runs.costs(other):
            theirs = other.costs(runs)
            pair = name, ", ".join(dict.fromkeys(compared.values()))
            improvement = statistics.probability_of_improvement(mine, theirs, pair, strata)
    by_scenario = {
        scenario: ScenarioMeans(
            float(values["objective_usd"].mean()),
            float(ratios[scenario].mean()) if scenario in ratios else np.nan,
            _gap(values, everyone[base[scenario]].columns[scenario] if scenario in base else None),
        )
        for scenario, values in runs.columns.items()
    }
    return PolicySummary(
        name=name,
        kind=runs.kind,
        scenarios=len(runs.columns),
        seeds=max(len(values["objective_usd"]) for values in runs.columns.values()),
        ratio=statistics.iqm(ratios, name, strata) if ratios else None,
        gap_closed=gap,
        improvement=improvement,
        profile=statistics.profile(ratios, name, THRESHOLDS, strata) if ratios else None,
        by_scenario=by_scenario,
        learning=learning_cost(runs.columns, None if other is None else other.columns, assumptions),
        jobs=runs.jobs,
    )


def _gap(ours: dict[str, NDArray[np.float64]], theirs: dict[str, NDArray[np.float64]] | None) -> float:
    """The share of the mean decidable cost of another policy that is saved; NaN: there is none."""
    if theirs is None or not theirs["decidable_usd"].mean() > 0.0:
        return np.nan
    return float(1.0 - ours["decidable_usd"].mean() / theirs["decidable_usd"].mean())


def _entry(summary: PolicySummary) -> dict[str, Any]:
    profile = None if summary.profile is None else _plain(summary.profile)
    return {
        "kind": summary.kind,
        "scenarios": {name: _known(means) for name, means in summary.by_scenario.items()},
        "seeds": summary.seeds,
        "ratio_iqm": None if summary.ratio is None else summary.ratio.to_dict(),
        "gap_closed_iqm": None if summary.gap_closed is None else summary.gap_closed.to_dict(),
        "probability_of_improvement": None if summary.improvement is None else summary.improvement.to_dict(),
        "profile": profile,
        "learning": None if summary.learning is None else summary.learning.to_dict(),
        **summary.jobs._asdict(),
    }


def _plain(profile: Profile) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in profile._asdict().items()}


def _known(means: ScenarioMeans) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in means._asdict().items()}


def _text(estimate: Estimate | None, text: Any) -> str:
    if estimate is None:
        return "-"
    interval = "" if estimate.low is None else f" [{text(estimate.low)}, {text(estimate.high)}]"
    return f"{text(estimate.mean)}{interval}"


def _learning_row(summary: PolicySummary) -> list[str]:
    cost = summary.learning
    assert cost is not None
    days = "-" if cost.payback_days is None else number(cost.payback_days)
    if cost.payback_days == float("inf"):
        days = "never: it uses more energy"
    jobs = ["-" if count is None else f"{count:,}" for count in summary.jobs]
    return [summary.name, number(cost.cpu_hours), number(cost.kwh), number(cost.grams), days, *jobs]
