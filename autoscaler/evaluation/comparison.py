"""Comparison: several policies on the same windows, with intervals and paired differences to one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from autoscaler.evaluation.kept import Kept
from autoscaler.evaluation.metrics import INCIDENTS, measure, nested, waits_seconds
from autoscaler.evaluation.references import References, references
from autoscaler.evaluation.rollouts import OnJobs, Rollout, Scenario, check_fit, run
from autoscaler.evaluation.statistics import Bootstrap, Estimate
from autoscaler.evaluation.timeline import DEFAULT_SAMPLES, Timeline
from autoscaler.evaluation.windows import Window
from autoscaler.recordings.stretch import WHOLE, Stretch
from configs.files import json_text, write_text

EXCEEDANCE = np.logspace(0.0, -4.0, 161)
"""Shares of the jobs for which the wait distribution is kept, from all down to 1 in 10,000."""

PAIRED = {
    "objective_usd": "objective_usd",
    "energy_kwh": "energy_kwh.total",
    "wait_seconds": "metrics.wait_seconds.mean",
    "waited_gpu_hours": "metrics.waited_gpu_hours",
    "node_hours": "metrics.node_hours",
}
"""Numbers whose paired difference is reported: their name there, and among the measures."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy in a comparison.

    Attributes:
        name: unique in the comparison.
        policies: one per training seed, or one.
        kind: "trained" (from a run folder), "given" (an object that the caller made) or "rule".
        seeds: the seed of each of `policies`, None where it has none.
        sources: the run folders of a trained policy.
        kept: of a trained policy, which step of its training each of `policies` is.
        settings: what tuning chose, for humans and for the record.
    """

    name: str
    policies: tuple[Policy, ...]
    kind: str
    seeds: tuple[int | None, ...] = (None,)
    sources: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Versus:
    """A policy less the reference, on the same windows.

    Attributes:
        difference: by the names of `PAIRED`.
        objective_share: difference of the objective as a share of the reference's.
        gap_closed: share that the policy saves of what lies between the reference and the bound, or the clairvoyant
            look-ahead where that was asked for; 1: it costs as little.
        by_window: [W] float64, difference of the objective in each window, USD, mean over seeds; below 0: cheaper.
    """

    difference: Mapping[str, Estimate]
    objective_share: Estimate
    gap_closed: Estimate
    by_window: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a contender did on W windows with S seeds.

    Attributes:
        contender: who.
        values: measure -> [S, W] float64; see `autoscaler.evaluation.metrics`.
        estimates: measure -> mean and interval.
        versus: against the reference; None for the reference itself, and without one.
        timelines: one per window, of the first seed.
        wait_quantiles_seconds: [len(EXCEEDANCE)] float64, the wait that this share of all jobs exceeds.
        wall_seconds: how long it took.
    """

    contender: Contender
    values: Mapping[str, NDArray[np.float64]]
    estimates: Mapping[str, Estimate]
    versus: Versus | None
    timelines: tuple[Timeline, ...]
    wait_quantiles_seconds: NDArray[np.float64]
    wall_seconds: float

    @property
    def decisions(self) -> int:
        """Decisions on all windows with all seeds."""
        return int(self.values["metrics.decisions"].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """All results.

    Attributes:
        scenario: trace, cluster and settings.
        windows: what every policy ran.
        results: by name, in the order of the contenders.
        reference: the name that the others are compared with, None for none.
        draws_seed: of the resampled windows, which all policies share.
        seed: that the caller gave, of the intervals and of rules that draw at random.
        cluster_source: what the caller called the cluster.
        clairvoyant: [W] float64, the objective of the clairvoyant look-ahead in USD, where it was asked for.
    """

    scenario: Scenario
    windows: tuple[Window, ...]
    results: Mapping[str, Result]
    reference: str | None
    draws_seed: int
    seed: int = 0
    cluster_source: str = "given"
    clairvoyant: NDArray[np.float64] | None = None

    @property
    def goal(self) -> str:
        """What `gap_closed` counts against, in words."""
        return "the bound" if self.clairvoyant is None else "the clairvoyant look-ahead"

    @property
    def clairvoyant_usd(self) -> tuple[float, float] | None:
        """Means of what the look-ahead costs, and of what of it is decidable; None where it was not asked for."""
        if self.clairvoyant is None or self.reference is None:
            return None
        usd, theirs = float(self.clairvoyant.mean()), self.results[self.reference].estimates
        return usd, usd - theirs["objective_usd"].mean + theirs["decidable_usd"].mean

    @property
    def ranking(self) -> list[Result]:
        """The results, cheapest first."""
        return sorted(self.results.values(), key=lambda result: result.estimates["objective_usd"].mean)

    def share_between(self, name: str, other: str) -> Estimate:
        """How much more one policy costs than another on the same windows, as a share of the other: -0.02 is 2 % less.

        Args:
            name: of a result.
            other: of another one; its seeds, if it has several, are averaged.
        """
        ours, theirs = (self.results[each].values["objective_usd"] for each in (name, other))
        bootstrap = Bootstrap(ours.shape[0], ours.shape[1], np.random.default_rng(self.draws_seed))
        return bootstrap.ratio(ours, np.broadcast_to(theirs.mean(axis=0), ours.shape))

    def document(self) -> dict[str, Any]:
        """What `autoscaler evaluate --json` writes, see docs/json.md."""
        from autoscaler.evaluation.documents import comparison_document

        return comparison_document(self)

    def write_json(self, path: str | Path) -> None:
        """Write `document()`.

        Raises:
            OutputFileError: the file cannot be written.
        """
        write_text(path, json_text(self.document()))

    def write_report(self, path: str | Path) -> None:
        """Write the HTML report, one file that opens offline.

        Raises:
            OutputFileError: the file cannot be written.
        """
        from autoscaler.evaluation.report import render

        write_text(path, render(self, self.document()))

    def write_figure(self, path: str | Path) -> None:
        """Write one picture for a README or slides; the name of the file ends in .png or .svg.

        Raises:
            EvaluationError: it ends otherwise.
            OutputFileError: the file cannot be written.
        """
        from autoscaler.evaluation.report import write_picture

        write_picture(self, path)

    def write_recording(self, folder: str | Path, window: int = 0, stretch: Stretch = WHOLE) -> None:
        """Run every policy once more, the first seed of each, and record what it does, for `autoscaler dashboard`.

        Args:
            folder: of the recording; it must be empty or missing.
            window: number of the window.
            stretch: what of the window is recorded.

        Raises:
            RecordingError: the folder is not empty, or nothing runs in the stretch.
            OutputFileError: it cannot be written.
        """
        from autoscaler.recordings.simulated import Recorded, record_policies

        policies = [
            Recorded(name, result.contender.policies[0], name == self.reference)
            for name, result in self.results.items()
        ]
        title = f"window {window + 1} of {len(self.windows)} of {self.scenario.trace.uri}"
        record_policies(folder, self.scenario, self.windows[window], policies, title, stretch)

    @property
    def incidents(self) -> dict[str, str]:
        """The measures of `INCIDENTS`, with their words, of which any policy has some."""
        values = [result.values for result in self.results.values()]
        return {name: words for name, words in INCIDENTS.items() if any(run[name].any() for run in values)}


OnResult = Callable[[str, int, float], None]
"""Called when a policy is done, with its name, its decisions and the seconds that it took."""


def compare(
    scenario: Scenario,
    contenders: Sequence[Contender],
    windows: Sequence[Window],
    generator: np.random.Generator,
    *,
    reference: str | None = None,
    samples: int = DEFAULT_SAMPLES,
    on_jobs: OnJobs | None = None,
    on_result: OnResult | None = None,
    clairvoyant: NDArray[np.float64] | None = None,
) -> Comparison:
    """Run every policy over the same windows.

    Args:
        scenario: trace, cluster and settings.
        contenders: who takes part, by unique names.
        windows: at least one.
        generator: for the bootstrap.
        reference: name of the contender that the others are compared with.
        samples: most samples of each timeline; 0: none.
        on_jobs: progress.
        on_result: told when a policy is done.
        clairvoyant: [W] float64, the objective of the look-ahead on the same windows in USD: `gap_closed` then counts
            against it.

    Raises:
        PolicyFitError: the codec of a policy has fewer pools than the cluster.
        ClusterError: trace, cluster and codec do not fit together.
    """
    for contender in contenders:
        for policy in contender.policies:
            check_fit(policy, scenario.cluster)
    runs, bounds = {}, [references(scenario.problem(), window) for window in windows]
    for contender in contenders:
        runs[contender.name] = _run_all(contender, scenario, windows, bounds, samples, on_jobs)
        if on_result is not None:
            on_result(contender.name, runs[contender.name].decisions, runs[contender.name].wall_seconds)
    base = runs[reference].values if reference is not None else None
    seed = int(generator.integers(2**63))
    results = {
        name: _judge(done, base if name != reference else None, seed, clairvoyant) for name, done in runs.items()
    }
    return Comparison(scenario, tuple(windows), results, reference, seed, clairvoyant=clairvoyant)


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    contender: Contender
    values: dict[str, NDArray[np.float64]]
    timelines: tuple[Timeline, ...]
    wait_quantiles_seconds: NDArray[np.float64]
    wall_seconds: float

    @property
    def decisions(self) -> int:
        return int(self.values["metrics.decisions"].sum())


def _run_all(
    contender: Contender,
    scenario: Scenario,
    windows: Sequence[Window],
    bounds: Sequence[References],
    samples: int,
    on_jobs: OnJobs | None,
) -> _Done:
    started = time.perf_counter()
    problem = scenario.problem()
    rows, waits, timelines = [], [], []
    for index, policy in enumerate(contender.policies):
        rollouts = run(policy, scenario, windows, samples=samples if index == 0 else 0, on_jobs=on_jobs)
        rows.append([measure(rollout, problem, known) for rollout, known in zip(rollouts, bounds, strict=True)])
        waits += [waits_seconds(rollout) for rollout in rollouts]
        timelines += _timelines(rollouts)
    values = {name: np.array([[cell[name] for cell in row] for row in rows], np.float64) for name in rows[0][0]}
    quantiles = np.quantile(np.concatenate(waits), 1.0 - EXCEEDANCE)
    return _Done(contender, values, tuple(timelines), quantiles, time.perf_counter() - started)


def _timelines(rollouts: Sequence[Rollout]) -> list[Timeline]:
    return [rollout.timeline for rollout in rollouts if rollout.timeline is not None]


def _judge(
    done: _Done,
    base: Mapping[str, NDArray[np.float64]] | None,
    seed: int,
    clairvoyant: NDArray[np.float64] | None,
) -> Result:
    shape = done.values["objective_usd"].shape
    # The windows are drawn first and from the same seed, so every policy is judged on the same draws of windows.
    bootstrap = Bootstrap(shape[0], shape[1], np.random.default_rng(seed))
    versus = None
    if base is not None:
        # The reference's own seeds, if it has several, are averaged: the difference is to what it does on the whole.
        names = ("objective_usd", "decidable_usd", *PAIRED.values())
        means = {name: np.broadcast_to(base[name].mean(axis=0), shape) for name in names}
        difference = {name: bootstrap.mean(done.values[key] - means[key]) for name, key in PAIRED.items()}
        share = bootstrap.ratio(done.values["objective_usd"], means["objective_usd"])
        saved = means["decidable_usd"] - done.values["decidable_usd"]
        gap = means["decidable_usd"] if clairvoyant is None else means["objective_usd"] - clairvoyant
        # A ratio less 1 is what the bootstrap gives.
        closed = bootstrap.ratio(saved + gap, np.broadcast_to(gap, shape))
        by_window = (done.values["objective_usd"] - means["objective_usd"]).mean(axis=0)
        versus = Versus(difference, share, closed, by_window)
    return Result(
        contender=done.contender,
        values=done.values,
        estimates={name: bootstrap.mean(values) for name, values in done.values.items()},
        versus=versus,
        timelines=done.timelines,
        wait_quantiles_seconds=done.wait_quantiles_seconds,
        wall_seconds=done.wall_seconds,
    )


def result_document(result: Result) -> dict[str, Any]:
    """What `evaluate --json` holds of one policy."""
    contender = result.contender
    versus = None
    if result.versus is not None:
        versus = {
            "objective_share": result.versus.objective_share.to_dict(),
            **{name: estimate.to_dict() for name, estimate in result.versus.difference.items()},
            "objective_usd_by_window": result.versus.by_window.tolist(),
        }
    return {
        "kind": contender.kind,
        "seeds": list(contender.seeds),
        "runs": list(contender.sources),
        "kept_steps": [kept.step for kept in contender.kept],
        "total_steps": [kept.total_steps for kept in contender.kept],
        "codec_fingerprint": contender.policies[0].codec_fingerprint,
        "settings": dict(contender.settings),
        **nested({name: estimate.to_dict() for name, estimate in result.estimates.items()}),
        "gap_closed": None if result.versus is None else result.versus.gap_closed.to_dict(),
        "versus_reference": versus,
    }
