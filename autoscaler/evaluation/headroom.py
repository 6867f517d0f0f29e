"""Headroom: what a scenario has to win by setpoints, before anything is trained; what `autoscaler headroom` calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traces
from agents.baselines.tuned import Tuned
from autoscaler.evaluation.clairvoyant import Known, LookAhead, run_clairvoyant
from autoscaler.evaluation.cost_bounds import cost_bound
from autoscaler.evaluation.formats import duration, number, percent
from autoscaler.evaluation.metrics import spent
from autoscaler.evaluation.provenance import provenance, trace_digest
from autoscaler.evaluation.rollouts import Rollout, Scenario, run
from autoscaler.evaluation.tables import Table
from autoscaler.evaluation.windows import MS_PER_SECOND, Window, equal_windows, jobs_of
from autoscaler.experiment import ExperimentConfig, load_experiment
from autoscaler.progress import Reporter, make_reporter, note_bad_rows
from autoscaler.simulation import note_compiling
from autoscaler.training import tune_heuristic
from envs.gpu_cluster.codec import HEADROOM_FRACTIONS, IDLE_AGE_EDGES_SECONDS
from envs.gpu_cluster.simulator.problem import Problem

SCHEMA = "autoscaler.headroom/1"
PARTS = ("waiting", "idle", "fragmentation", "rest")
"""Of the decidable cost: delay of jobs; nodes that run nothing, boot or are off; unused GPUs on busy nodes above the
bound, by their energy; and what is left (carbon, nodes, work at other hours)."""
COLUMNS = {Known.ALL: "clairvoyant", Known.ARRIVALS: "arrivals_known", Known.RUN_TIMES: "run_times_known"}
"""What a look-ahead is called in JSON, by what it knows."""
WORDS = {Known.ALL: "arrivals and run times", Known.ARRIVALS: "arrivals", Known.RUN_TIMES: "run times"}


@dataclass(frozen=True, slots=True, eq=False)
class Headroom:
    """What the tuned heuristic and one who knows the future cost on the same W windows.

    Attributes:
        scenario: trace, cluster and settings.
        windows: the windows.
        tuned: the heuristic, tuned on the training part.
        look_ahead: how far the look-aheads saw.
        tuned_usd: [W, len(PARTS)] float64, the decidable cost of the heuristic by its parts.
        known_usd: [W, len(PARTS)] float64 for each of `Known`: that of a look-ahead that knows so much of the future.
    """

    scenario: Scenario
    windows: tuple[Window, ...]
    tuned: Tuned
    look_ahead: LookAhead
    tuned_usd: NDArray[np.float64]
    known_usd: Mapping[Known, NDArray[np.float64]]

    @property
    def clairvoyant_usd(self) -> NDArray[np.float64]:
        """[W, len(PARTS)] float64, of the look-ahead that knows all of the future."""
        return self.known_usd[Known.ALL]

    @property
    def share(self) -> float:
        """The share of the heuristic's decidable cost that knowing the future saves."""
        return self.share_of(Known.ALL)

    def share_of(self, known: Known) -> float:
        """The same of a look-ahead that knows so much."""
        return 1.0 - float(self.known_usd[known].sum() / self.tuned_usd.sum())

    def document(self) -> dict[str, Any]:
        """What `autoscaler headroom --json` writes, see docs/json.md."""
        uri = self.scenario.trace.uri
        return {
            "schema": SCHEMA,
            "trace": {"uri": uri, "sha256": trace_digest(self.scenario.trace)},
            "tuned": self.tuned.to_dict(),
            "look_ahead": {
                "horizon_seconds": self.look_ahead.horizon_seconds,
                "hold_seconds": self.look_ahead.hold_seconds,
                "days": self.look_ahead.days,
            },
            "decidable_usd": {
                "tuned": _parts(self.tuned_usd.mean(axis=0)),
                **{COLUMNS[known]: _parts(usd.mean(axis=0)) for known, usd in self.known_usd.items()},
            },
            "share": self.share,
            "information": {known.value: self.share_of(known) for known in Known},
            "windows": [
                {
                    "start_seconds": window.start_ms / MS_PER_SECOND,
                    "end_seconds": window.end_ms / MS_PER_SECOND,
                    "tuned_usd": float(ours.sum()),
                    "clairvoyant_usd": float(theirs.sum()),
                }
                for window, ours, theirs in zip(self.windows, self.tuned_usd, self.clairvoyant_usd, strict=True)
            ],
            "provenance": provenance(),
        }

    def tables(self) -> list[Table]:
        """By part, by information, and the grid of the heuristic, as tables of text."""
        means = self.tuned_usd.mean(axis=0), self.clairvoyant_usd.mean(axis=0)
        rows = [[name, *_cells(*pair)] for name, *pair in zip(PARTS, *means, strict=True)]
        rows.append(["decidable", *_cells(float(means[0].sum()), float(means[1].sum()))])
        hours = self.look_ahead.horizon_seconds / 3600.0
        title = (
            f"{self.scenario.trace.uri}: decidable USD per window, mean of {len(self.windows)}; the look-ahead knows "
            f"{hours:g} h"
        )
        found = Table(title, ["part", "reactive-tuned", "clairvoyant", "to win", "share"], rows)
        return [found, self._information_table(), *([_grid_table(self.tuned)] if self.tuned.grid_usd else [])]

    def _information_table(self) -> Table:
        """What knowing each part of the future saves."""
        ours, *theirs = (float(usd.sum(axis=1).mean()) for usd in (self.tuned_usd, *self.known_usd.values()))
        rows = [["nothing (reactive-tuned)", number(ours), "", ""]]
        rows += [[WORDS[known], *_cells(ours, usd)[1:]] for known, usd in zip(self.known_usd, theirs, strict=True)]
        title = (
            "By information: the same look-ahead where run times are drawn from earlier jobs, or where those to come "
            f"are of the same hours of {self.look_ahead.days} days before"
        )
        return Table(title, ["known of the future", "decidable", "to win", "share"], rows)


def _grid_table(tuned: Tuned) -> Table:
    """What each constant cost on the training part, the choice in brackets."""
    rows = []
    for reserve, costs in zip(HEADROOM_FRACTIONS, tuned.grid_usd, strict=True):
        chosen = [
            (timeout, reserve) == (tuned.idle_timeout_seconds, tuned.headroom) for timeout in IDLE_AGE_EDGES_SECONDS
        ]
        cells = [f"[{number(usd)}]" if here else number(usd) for usd, here in zip(costs, chosen, strict=True)]
        rows.append([percent(reserve), *cells])
    title = f"The grid of reactive-tuned, USD per training window without GPUs at work; optimum {tuned.optimum}"
    return Table(title, ["reserve", *(duration(timeout) for timeout in IDLE_AGE_EDGES_SECONDS)], rows)


def _parts(row: NDArray[np.float64]) -> dict[str, float]:
    return {**dict(zip(PARTS, row.tolist(), strict=True)), "total": float(row.sum())}


def _cells(ours: float, theirs: float) -> list[str]:
    share = percent((theirs - ours) / ours, signed=True) if ours > 0.0 else "-"
    return [number(ours), number(theirs), number(ours - theirs), share]


def headroom(
    experiment: ExperimentConfig | Mapping[str, Any] | str | Path,
    *,
    overrides: Sequence[str] = (),
    windows: int = 5,
    look_ahead: LookAhead | None = None,
    tuned: Tuned | None = None,
    progress: bool | Reporter = False,
) -> Headroom:
    """Measure what an experiment has to win on the part of its trace that is not trained on.

    Args:
        experiment: a config, its plain values, a YAML file, or a preset.
        overrides: `key.of.field=value` each.
        windows: equal windows of the tested part.
        look_ahead: how far the look-ahead sees.
        tuned: the heuristic, where it was tuned on the training part before.
        progress: see `autoscaler.progress`.

    Raises:
        ConfigError: the experiment cannot be read, or has a value without meaning.
        TraceError: the trace cannot be loaded.
        ClusterError: trace, cluster and codec do not fit together.
        EvaluationError: a window has no job.
    """
    described, reporter = load_experiment(experiment, overrides), make_reporter(progress)
    jobs = traces.load(described.trace)
    note_bad_rows(reporter, jobs)
    scenario = Scenario(jobs, described.described_cluster(jobs), described.environment)
    chosen = equal_windows(jobs, described.split.train, 1.0, windows)
    note_compiling(reporter)
    found = tuned or tune_heuristic(described, reporter)
    rule, sight = found.policy(described.environment), look_ahead or LookAhead()
    ours = run(rule, scenario, chosen)
    problem, theirs = scenario.problem(), {}
    for known in Known:
        with reporter.progress(f"look ahead, {WORDS[known]} known", jobs_of(jobs, chosen), "jobs") as bar:
            rollouts = run_clairvoyant(rule, scenario, chosen, sight, bar.advance, known=known)
        theirs[known] = np.array([_decidable(each, problem) for each in rollouts])
    return Headroom(scenario, chosen, found, sight, np.array([_decidable(each, problem) for each in ours]), theirs)


def _decidable(rollout: Rollout, problem: Problem) -> list[float]:
    """The decidable cost of a rollout by `PARTS`."""
    own, bound = spent(rollout, problem), cost_bound(problem, rollout.window)
    energy = own.energy_usd
    idle = energy.idle + energy.boot + energy.off
    fragmentation = energy.fragmentation - bound.fragmentation_energy_usd
    rest = own.total_usd - bound.total_usd - own.delay_usd - idle - fragmentation
    # What is left where there is nothing else is the rounding of the sum.
    return [own.delay_usd, idle, fragmentation, rest if abs(rest) > 1e-9 * own.total_usd else 0.0]
