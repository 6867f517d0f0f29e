"""What there is to say about a policy: as an object, as JSON, and in sentences that an operator understands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines import ConstantSetpoint
from agents.policy import Policy
from autoscaler.evaluation.candidates import TUNED
from autoscaler.evaluation.comparison import Comparison
from autoscaler.evaluation.formats import duration, moment_text, number, percent
from autoscaler.evaluation.insight.choices import (
    DecisionMap,
    Difference,
    decision_map,
    differences,
    reserve_text,
    timeout_text,
)
from autoscaler.evaluation.insight.influence import Influence, influences
from autoscaler.evaluation.insight.moments import moments_of, reserves_of, timeouts_of
from autoscaler.evaluation.insight.turning import Turn, turns
from autoscaler.evaluation.tables import Table
from autoscaler.progress import Reporter
from envs.gpu_cluster.codec import LEVERS, RULE_SETPOINT, CodecLayout

SCHEMA = "autoscaler.explanation/1"
SHOWN_FEATURES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a policy decides as it does, and which of its decisions paid.

    Attributes:
        policy: its name in the comparison.
        heuristic: [RULE_SIZE] int64, the tuned heuristic.
        layout: the codec layout.
        moments: decisions that were looked at.
        influences: which features move which choice, the most important first.
        map: what it chooses over load and hour.
        differences: where it differs from the tuned heuristic.
        turns: the stretches of time that decided the result.
        saved_usd: by the policy against the heuristic, mean of the windows.
        start_time: local time of second 0 of the trace, None where unknown.
    """

    policy: str
    heuristic: NDArray[np.int64]
    layout: CodecLayout
    moments: int
    influences: list[Influence]
    map: DecisionMap
    differences: list[Difference]
    turns: list[Turn]
    saved_usd: float
    start_time: datetime | None

    def document(self) -> dict[str, Any]:
        """What `autoscaler explain RUN --json` writes, see docs/json.md."""
        return {
            "schema": SCHEMA,
            "policy": self.policy,
            "moments": self.moments,
            "saved_usd": self.saved_usd,
            "heuristic": self.heuristic_text,
            "influences": [asdict(entry) for entry in self.influences],
            "map": {
                "loads": self.map.row_names(),
                "hours": self.map.column_names(),
                "choices": [
                    [self.cell(row, column) for column in range(self.map.timeouts.shape[1])]
                    for row in range(len(self.map.timeouts))
                ],
            },
            "differences": [asdict(entry) for entry in self.differences],
            "turns": [asdict(entry) for entry in self.turns],
        }

    @property
    def heuristic_choice(self) -> tuple[int, int]:
        """Indices of the time-out and the reserve of the tuned heuristic."""
        setpoint = self.heuristic[RULE_SETPOINT]
        return int(timeouts_of(setpoint)), int(reserves_of(setpoint))

    @property
    def heuristic_text(self) -> str:
        """The setpoint of the tuned heuristic, and the levers that are on."""
        timeout, reserve = self.heuristic_choice
        levers = [
            f", {lever.name} {lever.choices[choice]}"
            for lever, choice in zip(LEVERS, self.heuristic[RULE_SETPOINT + 1 :], strict=True)
            if getattr(self.layout, lever.switch)
        ]
        return f"{timeout_text(timeout)}, reserve {reserve_text(reserve)}{''.join(levers)}"

    def cell(self, row: int, column: int) -> str:
        """The choice in a cell of the map; empty: too few moments."""
        timeout, reserve = int(self.map.timeouts[row, column]), int(self.map.reserves[row, column])
        return "" if timeout < 0 else f"{timeout_text(timeout)}, {reserve_text(reserve)}"

    def tables(self) -> list[Table]:
        """What moves its choices, and what it chooses over load and hour."""
        shown = self.influences[:SHOWN_FEATURES]
        levers = [each.lever for each in shown[0].levers] if shown else []
        has_levers = bool(self.layout.lever_sizes)
        moves = Table(
            "What moves its choices, one standard deviation of each feature",
            [
                "feature",
                *("time-out, choices", "reserve, choices", *(f"{name}, choices" for name in levers)),
                *("setpoints that change", "placements that change", *(["levers that change"] if has_levers else [])),
            ],
            [
                [
                    entry.feature,
                    *(
                        _signed(each)
                        for each in (entry.timeout, entry.reserve, *(lever.choices for lever in entry.levers))
                    ),
                    percent(entry.changed),
                    percent(entry.placed),
                    *([percent(entry.pulled)] if has_levers else []),
                ]
                for entry in shown
            ],
        )
        columns = range(self.map.timeouts.shape[1])
        rows = [[name, *(self.cell(row, at) for at in columns)] for row, name in enumerate(self.map.row_names())]
        header = ["GPUs at work", *self.map.column_names()]
        return [moves, Table("What it chooses: median time-out of idle nodes, reserve", header, rows)]

    def sentences(self) -> list[str]:
        """How it differs from the tuned heuristic, and the moments that decided the result."""
        verb = "saves" if self.saved_usd >= 0.0 else "costs"
        saved = f"{self.policy} {verb} {abs(self.saved_usd):,.2f} USD a window against the tuned heuristic"
        told = [_difference_text(entry) for entry in self.differences]
        return [f"{saved} ({self.heuristic_text}).", *told, *(self._turn_text(turn) for turn in self.turns)]

    def _turn_text(self, turn: Turn) -> str:
        span = f"{moment_text(self.start_time, turn.start_ms, clock=True)} (window {turn.window + 1})"
        verb = "saved" if turn.saved_usd >= 0.0 else "lost"
        hours = (turn.end_ms - turn.start_ms) / 3.6e6
        parts = (
            (turn.waited_gpu_hours, "GPU-hours of jobs that waited"),
            (turn.idle_node_hours, "node-hours idle"),
            (turn.unused_gpu_hours, "GPU-hours unused on busy nodes"),
        )
        told = "; ".join(f"{number(ours)} and {number(theirs)} {words}" for (ours, theirs), words in parts)
        return (
            f"{span}: {verb} {abs(turn.saved_usd):,.2f} USD in {hours:g} h: {told}; "
            f"{number(turn.submitted_gpus)} GPUs were submitted."
        )


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _difference_text(entry: Difference) -> str:
    told = [
        f"{each.feature} is {_with_unit(each.differing, each.unit)}, else {_with_unit(each.other, each.unit)}"
        for each in entry.contrasts
    ]
    when = f": then {'; '.join(told)}" if told else ""
    return f"It {entry.kind} in {percent(entry.share)} of its decisions{when}."


def _with_unit(value: float, unit: str) -> str:
    return duration(value) if unit == "seconds" else f"{number(value)} {unit}"


def explanation_of(comparison: Comparison, name: str, seed: int = 0) -> Explanation | None:
    """What there is to say about a policy of a comparison; None where it cannot be told.

    The comparison must have timelines and `reactive-tuned` as its reference.

    Args:
        comparison: in which the policy takes part.
        name: of the policy; its first seed is looked at.
        seed: of the permutations.
    """
    result = comparison.results[name]
    if comparison.reference != TUNED or name == TUNED or not result.timelines:
        return None
    policy: Policy = result.contender.policies[0]
    heuristic = comparison.results[TUNED].contender.policies[0]
    assert isinstance(heuristic, ConstantSetpoint)
    scenario = comparison.scenario
    moments = moments_of(policy, scenario, comparison.windows)
    costs = [comparison.results[each].values["objective_usd"][0].mean() for each in (TUNED, name)]
    return Explanation(
        policy=name,
        heuristic=heuristic.rule,
        layout=policy.layout,
        moments=len(moments.time_ms),
        influences=influences(policy, moments, np.random.default_rng(seed)),
        map=decision_map(moments, policy.layout, scenario.trace.week_offset_seconds),
        differences=differences(moments, policy.layout, heuristic.rule),
        turns=turns(comparison, name, TUNED),
        saved_usd=float(costs[0] - costs[1]),
        start_time=scenario.trace.metadata.start_time,
    )


def explain(
    run: str | Path,
    *,
    trace: str | None = None,
    overrides: Sequence[str] = (),
    windows: int = 5,
    progress: bool | Reporter = False,
) -> Explanation:
    """Say why a trained policy decides as it does, and which of its decisions paid.

    It plays the windows of `autoscaler.evaluate` beside `reactive-tuned`.

    Args:
        run: folder of a run or an artifact, or `pretrained:NAME`.
        trace: URI of other jobs than those of the run.
        overrides: changes of the environment's settings, `key.of.field=value` each.
        windows: equal windows that the tested part of the trace is cut into.
        progress: see `autoscaler.progress`.

    Raises:
        ArtifactError: the run is damaged, or was made for another version of the codec.
        TraceError: the trace cannot be loaded.
        ConfigError: an override does not fit.
        ClusterError: trace and cluster do not fit together.
    """
    from autoscaler.evaluation.evaluate import evaluate

    comparison = evaluate(
        str(run), baselines=TUNED, trace=trace, overrides=overrides, windows=windows, progress=progress
    )
    name = next(each for each in comparison.results if each != TUNED)
    found = explanation_of(comparison, name)
    assert found is not None
    return found
