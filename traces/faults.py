"""Faults of machines: recorded intervals, and the model of failures of a pool that fits them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.words import counted

REPAIR_QUANTILES = 41
"""Points of the distribution of measured repairs: so many keep the mean of a heavy tail."""


@dataclass(frozen=True, slots=True)
class FaultSummary:
    """Statistics of faults.

    Attributes:
        source: the data set.
        licence: licence of the data.
        nodes: machines that were observed.
        span_seconds: length of the observation, seconds.
        faults: number of faults.
        faults_per_node_day: faults a machine and day.
        repair_seconds: `mean, p10, p50, p90, p99`, seconds, of faults whose end was seen.
        causes: class of the fault -> faults.
        unrepaired: faults whose end was not seen.
        failures: the section `failures` of a pool that fits: `mean_seconds`, `repair_seconds`, `repair_sigma`.
        measured: the same with the lengths of repairs as they were: `mean_seconds`, `repair_quantiles_seconds`.
        bad_rows: reason -> events that were left out.
    """

    source: str
    licence: str
    nodes: int
    span_seconds: float
    faults: int
    faults_per_node_day: float
    repair_seconds: Mapping[str, float]
    causes: Mapping[str, int]
    unrepaired: int
    failures: Mapping[str, float]
    measured: Mapping[str, Any]
    bad_rows: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """Faults by their start. Build one with `traces.load_faults(uri)` or `Faults.from_intervals`.

    Attributes:
        node_id: machine of each fault.
        start_seconds: [faults] float64, seconds from the start of the observation, ascending.
        end_seconds: [faults] float64, seconds, >= start; infinite where the end was not seen.
        cause: class of each fault.
        nodes: machines that were observed.
        span_seconds: length of the observation, seconds.
        source: the data set.
        licence: licence of the data.
        bad_rows: reason -> events that were left out.
    """

    node_id: tuple[str, ...]
    start_seconds: NDArray[np.float64]
    end_seconds: NDArray[np.float64]
    cause: tuple[str, ...]
    nodes: int
    span_seconds: float
    source: str = "unknown"
    licence: str = "unknown"
    bad_rows: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_intervals(
        cls,
        intervals: Sequence[tuple[str, float, float, str]],
        *,
        nodes: int,
        span_seconds: float,
        source: str = "unknown",
        licence: str = "unknown",
        bad_rows: Mapping[str, int] | None = None,
    ) -> Self:
        """The faults of (node, start, end, cause), seconds.

        Raises:
            TraceValueError: there is none, one ends before its start, or more machines fail than there are.
        """
        ordered = sorted(intervals, key=lambda each: (each[1], each[0]))
        ids = tuple(each[0] for each in ordered)
        if not ordered:
            raise TraceValueError(f"{source}: no fault; check that it is the right file")
        if len(set(ids)) > nodes:
            problem = f"{len(set(ids))} machines have faults, but only {nodes} were observed"
            raise TraceValueError(f"{source}: {problem}; set option nodes")
        for node, start, end, _ in ordered:
            if not end >= start:
                raise TraceValueError(f"{source}: a fault of {node} at {start:g} s ends at {end:g} s, before its start")
        starts, ends = (np.array([each[index] for each in ordered], np.float64) for index in (1, 2))
        causes = tuple(each[3] for each in ordered)
        return cls(ids, starts, ends, causes, nodes, span_seconds, source, licence, bad_rows or {})

    @property
    def repair_seconds(self) -> NDArray[np.float64]:
        """Lengths of the faults whose end was seen, [faults] float64, seconds."""
        lengths = self.end_seconds - self.start_seconds
        seen: NDArray[np.float64] = lengths[np.isfinite(lengths)]
        return seen

    def fit(self) -> dict[str, float]:
        """The section `failures` of a pool: exponential times to failure, log-normal times of repair.

        Time under repair does not count as time in which a machine could fail. Faults that ended at once count as
        faults, and say nothing about repairs.
        """
        repairs = self._repairs
        logs = np.log(repairs) if len(repairs) else np.array([np.log(3600.0)])
        return {
            "mean_seconds": self._mean_up_seconds,
            "repair_seconds": float(np.exp(np.median(logs))),
            "repair_sigma": float(logs.std()),
        }

    def measured(self) -> dict[str, Any]:
        """The section `failures` of a pool whose repairs take as long as these did: each length as often.

        Empty where fewer than two repairs were seen.
        """
        if len(self._repairs) < 2:
            return {}
        points = np.percentile(self._repairs, np.linspace(0, 100, REPAIR_QUANTILES)).round(1).clip(0.1)
        return {"mean_seconds": self._mean_up_seconds, "repair_quantiles_seconds": points.tolist()}

    @property
    def _repairs(self) -> NDArray[np.float64]:
        return self.repair_seconds[self.repair_seconds > 0]

    @property
    def _mean_up_seconds(self) -> float:
        """Time without a fault of all machines, for each fault."""
        down = np.minimum(self.end_seconds, self.span_seconds) - self.start_seconds
        return max(self.nodes * self.span_seconds - float(down.sum()), 1.0) / len(self.node_id)

    def summary(self) -> FaultSummary:
        """Its statistics."""
        repairs = self.repair_seconds
        percents = (10, 50, 90, 99)
        points = np.percentile(repairs, percents).tolist() if len(repairs) else [float("nan")] * len(percents)
        middle = {f"p{percent}": point for percent, point in zip(percents, points, strict=True)}
        return FaultSummary(
            source=self.source,
            licence=self.licence,
            nodes=self.nodes,
            span_seconds=self.span_seconds,
            faults=len(self.node_id),
            faults_per_node_day=len(self.node_id) / (self.nodes * self.span_seconds / 86_400),
            repair_seconds={"mean": float(repairs.mean()) if len(repairs) else float("nan"), **middle},
            causes=dict(Counter(self.cause).most_common()),
            unrepaired=int(np.isinf(self.end_seconds).sum()),
            failures=self.fit(),
            measured=self.measured(),
            bad_rows=dict(self.bad_rows),
        )


def _yaml(value: Any) -> str:
    return f"[{', '.join(f'{each:.6g}' for each in value)}]" if isinstance(value, list) else f"{value:.6g}"


def rows(summary: FaultSummary) -> list[tuple[str, Any]]:
    """A summary for humans: names and texts."""
    lengths = ", ".join(f"{name} {seconds / 3600:.1f} h" for name, seconds in summary.repair_seconds.items())
    failures = ", ".join(f"{name}: {value:.6g}" for name, value in summary.failures.items())
    measured = ", ".join(f"{name}: {_yaml(value)}" for name, value in summary.measured.items())
    shown = [
        ("source", f"{summary.source}; licence: {summary.licence}"),
        ("faults", f"{summary.faults:,} of {summary.nodes:,} machines in {summary.span_seconds / 86_400:.1f} d"),
        ("rate", f"{summary.faults_per_node_day:.4f} faults a machine and day"),
        ("repair", lengths),
        ("not repaired", f"{summary.unrepaired:,} until the end"),
        ("causes", ", ".join(f"{name} {count:,}" for name, count in summary.causes.items())),
        ("fits a pool with", f"failures: {{{failures}}}"),
    ]
    if measured:
        shown.append(("repairs as measured", f"failures: {{{measured}}}"))
    return shown + [
        ("cannot be used", counted(count, "event", f": {reason}")) for reason, count in summary.bad_rows.items()
    ]
