"""The tuned heuristic: the constant setpoint, lever choices and packer that cost least on a training window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.constant import ConstantSetpoint
from agents.baselines.training_window import TRIED_PACKERS, TrainingWindow
from configs.serialize import to_dict
from envs.gpu_cluster.codec import (
    ALWAYS_ON,
    CONSOLIDATION_CHOICES,
    HEADROOM_FRACTIONS,
    IDLE_AGE_EDGES_SECONDS,
    POWER_CAP_FRACTIONS,
    RESERVE_NODES,
    RULE_CONSOLIDATION,
    RULE_POWER_CAP,
    RULE_RESERVE_NODES,
    RULE_SETPOINT,
    RULE_SIZE,
    RULE_WIDTH,
    WIDTH_CHOICES,
    CodecLayout,
)
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import Simulator

OPTIMUM = "grid_optimum"

BATCH_RULES = 25
"""Rules that are replayed side by side, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result of a search over all setpoints and packers.

    Attributes:
        idle_timeout_seconds: of the best setpoint.
        headroom: of the best setpoint, a fraction of the demand.
        packer: the best packer.
        usd_per_window: what it cost on a window of the training part, without the energy of GPUs that work.
        usd_per_hour: the same per hour of the windows.
        half_usd_per_window: (first half, second half): the same for what a search on every other window would have
            chosen.
        half_choices: the setpoint and consolidation of those two: how much that choice depends on the sample.
        consolidation: the best choice of the consolidation lever, 0 where the lever is off.
        power_cap: of the power lever, likewise.
        width: of the width lever, likewise.
        reserve_nodes: of the reserve in nodes, likewise.
        simulated_jobs: jobs that the search simulated.
        grid_usd: [reserves][time-outs] what each setpoint cost with the best packer and the same consolidation, on a
            window of the training part.
        reserve_grid_usd: [reserves in nodes][time-outs] the same of reserves in nodes, where that lever is on.
    """

    idle_timeout_seconds: float
    headroom: float
    packer: str
    usd_per_window: float
    usd_per_hour: float
    half_usd_per_window: tuple[float, float]
    half_choices: tuple[str, str]
    consolidation: int = 0
    power_cap: int = 0
    width: int = 0
    reserve_nodes: int = 0
    simulated_jobs: int = 0
    grid_usd: tuple[tuple[float, ...], ...] = ()
    reserve_grid_usd: tuple[tuple[float, ...], ...] = ()

    @property
    def edges(self) -> tuple[str, ...]:
        """The ends of the grid at which the choice lies, where a wider grid might have a better one; empty: inside.

        No time-out and no reserve are no such ends: there is nothing below them. Nor is always on.
        """
        at = []
        if self.headroom != ALWAYS_ON and self.idle_timeout_seconds == IDLE_AGE_EDGES_SECONDS[-1]:
            at.append("time-out")
        if self.headroom == HEADROOM_FRACTIONS[-1]:
            at.append("reserve")
        if self.reserve_nodes == len(RESERVE_NODES) - 1:
            at.append("reserve in nodes")
        return tuple(at)

    @property
    def optimum(self) -> str:
        """Where in the grid the choice lies, in words."""
        return f"at the edge: {' and '.join(self.edges)}" if self.edges else "inside"

    def policy(self, config: EnvironmentConfig) -> ConstantSetpoint:
        """The policy, for the codec layout of `config`."""
        return ConstantSetpoint(
            config.codec,
            self.idle_timeout_seconds,
            self.headroom,
            name="reactive-tuned",
            packer=self.packer,
            consolidation=self.consolidation,
            power_cap=self.power_cap,
            width=self.width,
            reserve_nodes=self.reserve_nodes,
        )

    def describe(self) -> str:
        """The choice in words."""
        levers = (
            ("consolidate", CONSOLIDATION_CHOICES[self.consolidation], self.consolidation),
            ("power cap", f"{POWER_CAP_FRACTIONS[self.power_cap]:g}", self.power_cap),
            ("width", WIDTH_CHOICES[self.width], self.width),
            ("reserve in nodes", str(RESERVE_NODES[self.reserve_nodes]), self.reserve_nodes),
        )
        chosen = "".join(f", {name} {text}" for name, text, choice in levers if choice > 0)
        edge = f", {self.optimum} of the grid" if self.edges else ""
        rule = f"{self.packer}, idle time-out {self.idle_timeout_seconds:g} s, headroom {self.headroom:g}{chosen}{edge}"
        return f"{rule} ({self.simulated_jobs:,} jobs simulated)" if self.simulated_jobs else rule

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tuned:
        """The inverse of `to_dict`."""
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        grids = {name: tuple(map(tuple, values.get(name, ()))) for name in ("grid_usd", "reserve_grid_usd")}
        named = {name: value for name, value in {**values, **lists}.items() if name != OPTIMUM}
        return cls(**{**named, **grids})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, and whether the optimum lies inside the grid."""
        return {**to_dict(self), OPTIMUM: self.optimum}


def tune(training: TrainingWindow, progress: Callable[[int], None] | None = None) -> Tuned:
    """Replay every setpoint with every packer on parts of a training window and choose the cheapest on average.

    Where the consolidation lever is on, each of its choices is tried with each of these. After that comes what is on
    of: reserves in nodes, each with every time-out and no other reserve, with the best packer and consolidation; then
    the choices of the power and the width lever, together, with what came out best.

    The window is cut twice, with the cuts of the second time in the middle of the first, so that no choice hangs on
    where the cuts are.

    Args:
        training: what it is tuned on; the packer of its settings is ignored.
        progress: called with 1 after each packer.

    Raises:
        ClusterError: trace, cluster and codec do not fit together, or the window has no job.
    """
    return tune_together([training], progress)


def tune_together(trainings: Sequence[TrainingWindow], progress: Callable[[int], None] | None = None) -> Tuned:
    """The same for the choice that is best on several traces, each of which counts by shares of its own lowest cost.

    Args:
        trainings: a training window of each trace, with one codec.
        progress: called with 1 after each packer of each trace.

    Raises:
        ClusterError: as `tune`.
    """
    rules = grid_rules(trainings[0].config.codec)
    return choose_together(trainings, [grid_costs(training, rules, progress) for training in trainings])


def grid_rules(layout: CodecLayout) -> NDArray[np.int64]:
    """[rules, RULE_SIZE] int64, all setpoints, each with all choices of consolidation where that lever is on."""
    moves = range(len(CONSOLIDATION_CHOICES) if layout.consolidation else 1)
    rules = np.zeros((len(moves) * len(layout.setpoints), RULE_SIZE), np.int64)
    rules[:, : RULE_CONSOLIDATION + 1] = [(each, move) for move in moves for each in range(len(layout.setpoints))]
    return rules


def grid_costs(
    training: TrainingWindow, rules: NDArray[np.int64], progress: Callable[[int], None] | None = None
) -> NDArray[np.float64]:
    """[packers, rules, windows] float64, USD of every rule with each of `TRIED_PACKERS`."""
    return np.stack([_replayed(training, packer, rules, progress) for packer in TRIED_PACKERS])


def choose_together(trainings: Sequence[TrainingWindow], costs: Sequence[NDArray[np.float64]]) -> Tuned:
    """The cheapest choice on average over several traces, from what the grid cost on each.

    Args:
        trainings: as in `tune_together`.
        costs: of `grid_costs`, one for each.
    """
    layout = trainings[0].config.codec
    rules, scales = grid_rules(layout), _scales(costs)
    joined = np.concatenate([each * scale for each, scale in zip(costs, scales, strict=True)], axis=2)
    best = _cheapest(joined)
    packer, rule, usd = TRIED_PACKERS[best[0]], rules[best[1]], float(joined[best].mean())
    jobs = sum(training.jobs for training in trainings)
    simulated = joined.shape[0] * joined.shape[1] * jobs
    reserve_grid: tuple[tuple[float, ...], ...] = ()
    if layout.reserve_nodes:
        reserves = _reserve_rules(layout, rule)
        means = _mean_costs(trainings, scales, packer, reserves)
        reserve_grid = tuple(tuple(row) for row in means.reshape(-1, len(IDLE_AGE_EDGES_SECONDS)).tolist())
        simulated += len(reserves) * jobs
        if means.min() < usd:
            rule, usd = reserves[means.argmin()], float(means.min())
    if layout.power_caps or layout.elastic_width:
        others = _other_rules(layout, rule)
        means = _mean_costs(trainings, scales, packer, others)
        rule, usd = others[means.argmin()], float(means.min())
        simulated += len(others) * jobs
    halves = [_cheapest(joined[:, :, half::2] if joined.shape[2] > 1 else joined) for half in (0, 1)]
    timeout, headroom = layout.setpoints[rule[RULE_SETPOINT]]
    return Tuned(
        idle_timeout_seconds=timeout,
        headroom=headroom,
        packer=packer,
        usd_per_window=usd,
        usd_per_hour=float(np.mean([training.per_hour(usd) for training in trainings])),
        half_usd_per_window=(float(joined[halves[0]].mean()), float(joined[halves[1]].mean())),
        half_choices=(_text(layout, halves[0], rules), _text(layout, halves[1], rules)),
        consolidation=int(rule[RULE_CONSOLIDATION]),
        power_cap=int(rule[RULE_POWER_CAP]),
        width=int(rule[RULE_WIDTH]),
        reserve_nodes=int(rule[RULE_RESERVE_NODES]),
        simulated_jobs=simulated,
        reserve_grid_usd=reserve_grid,
        grid_usd=_grid(joined[best[0]].mean(axis=1), rules, int(rule[RULE_CONSOLIDATION])),
    )


def _grid(usd: NDArray[np.float64], rules: NDArray[np.int64], consolidation: int) -> tuple[tuple[float, ...], ...]:
    """What the setpoints of one choice of consolidation cost, a row for each reserve; always on is left out."""
    same = usd[rules[:, RULE_CONSOLIDATION] == consolidation]
    timeouts = len(IDLE_AGE_EDGES_SECONDS)
    return tuple(tuple(row) for row in same[: timeouts * len(HEADROOM_FRACTIONS)].reshape(-1, timeouts).tolist())


def _scales(costs: Sequence[NDArray[np.float64]]) -> list[float]:
    """Factors by which each trace counts, so that the cheapest choice of each costs the same; 1 for one trace."""
    lowest = [max(float(each.mean(axis=2).min()), 1e-9) for each in costs]
    return [float(np.mean(lowest)) / each for each in lowest] if len(lowest) > 1 else [1.0]


def _cheapest(costs: NDArray[np.float64]) -> tuple[int, int]:
    packer, rule = np.unravel_index(costs.mean(axis=2).argmin(), costs.shape[:2])
    return int(packer), int(rule)


def _text(layout: CodecLayout, choice: tuple[int, int], rules: NDArray[np.int64]) -> str:
    rule = rules[choice[1]]
    timeout, headroom = layout.setpoints[rule[RULE_SETPOINT]]
    moves = f", consolidate {CONSOLIDATION_CHOICES[rule[RULE_CONSOLIDATION]]}" if layout.consolidation else ""
    return f"{TRIED_PACKERS[choice[0]]}, {timeout:g} s, {headroom:g}{moves}"


def _reserve_rules(layout: CodecLayout, rule: NDArray[np.int64]) -> NDArray[np.int64]:
    """A rule with each reserve in nodes but none, each with all time-outs and no share of the demand."""
    timeouts = [layout.setpoint(timeout, 0.0) for timeout in IDLE_AGE_EDGES_SECONDS]
    pairs = [(reserve, setpoint) for reserve in range(1, len(RESERVE_NODES)) for setpoint in timeouts]
    rules = np.tile(rule, (len(pairs), 1))
    rules[:, [RULE_RESERVE_NODES, RULE_SETPOINT]] = pairs
    return rules


def _other_rules(layout: CodecLayout, rule: NDArray[np.int64]) -> NDArray[np.int64]:
    """A rule with all choices of the power and the width lever together, where they are on."""
    caps = range(len(POWER_CAP_FRACTIONS) if layout.power_caps else 1)
    widths = range(len(WIDTH_CHOICES) if layout.elastic_width else 1)
    return np.array([(*rule[:RULE_POWER_CAP], cap, width, *rule[RULE_WIDTH + 1 :]) for cap in caps for width in widths])


def _mean_costs(
    trainings: Sequence[TrainingWindow], scales: Sequence[float], packer: str, rules: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[rules] float64, what each costs on a window in the mean of all traces, times their factors."""
    costs = [_replayed(each, packer, rules, None) * scale for each, scale in zip(trainings, scales, strict=True)]
    means: NDArray[np.float64] = np.concatenate(costs, axis=1).mean(axis=1)
    return means


def _replayed(
    training: TrainingWindow, packer: str, rules: NDArray[np.int64], progress: Callable[[int], None] | None
) -> NDArray[np.float64]:
    """[rules, windows] USD of one packer; some rules at a time."""
    problem = training.problem(packer)
    episodes = training.episodes(problem)
    parts = []
    for batch in np.split(rules, range(BATCH_RULES, len(rules), BATCH_RULES)):
        simulator = Simulator.from_problem(problem, len(batch) * len(episodes))
        simulator.reset(np.arange(simulator.num_clusters), np.tile(episodes, (len(batch), 1)))
        simulator.replay(np.repeat(batch, len(episodes), axis=0))
        parts.append(simulator.decided_usd().reshape(len(batch), len(episodes)))
    if progress is not None:
        progress(1)
    return np.concatenate(parts)
