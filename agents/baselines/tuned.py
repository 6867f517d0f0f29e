"""The tuned heuristic: the constant setpoint and packer that cost least on a training window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.constant import ConstantSetpoint
from envs.cluster import ClusterConfig
from envs.config import PACKERS, EnvironmentConfig
from envs.episodes import equal_windows
from envs.errors import ClusterError
from envs.simulator import Simulator
from envs.simulator import state as st
from envs.simulator.problem import make_problem
from traces.trace import Trace


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
        half_choices: what those two searches chose: how much the choice depends on the sample.
    """

    idle_timeout_seconds: float
    headroom: float
    packer: str
    usd_per_window: float
    usd_per_hour: float
    half_usd_per_window: tuple[float, float]
    half_choices: tuple[str, str]

    def policy(self, config: EnvironmentConfig) -> ConstantSetpoint:
        """The policy, for the codec layout of `config`."""
        return ConstantSetpoint(
            config.codec, self.idle_timeout_seconds, self.headroom, name="reactive-tuned", packer=self.packer
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tuned:
        """The inverse of `to_dict`."""
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def tune(
    trace: Trace,
    cluster: ClusterConfig,
    config: EnvironmentConfig,
    start_seconds: float,
    end_seconds: float,
    windows: int = 6,
    progress: Callable[[int], None] | None = None,
) -> Tuned:
    """Replay every setpoint with every packer on windows of [start, end) and choose the cheapest on average.

    The window is cut twice, with the cuts of the second time in the middle of the first, so that no choice hangs on
    where the cuts are.

    Args:
        trace: the jobs.
        cluster: the pools.
        config: settings and prices; its packer is ignored.
        start_seconds: where the training window begins, in the trace's time.
        end_seconds: where it ends.
        windows: parts that the training window is cut into.
        progress: called with 1 after each packer.

    Raises:
        ClusterError: trace, cluster and codec do not fit together, or the window has no job.
    """
    costs = np.stack(
        [_costs(trace, cluster, replace(config, packer=packer), start_seconds, end_seconds, windows, progress)
         for packer in PACKERS]
    )  # fmt: skip
    setpoints = config.codec.setpoints
    best = _cheapest(costs)
    halves = [_cheapest(costs[:, :, half::2] if costs.shape[2] > 1 else costs) for half in (0, 1)]
    return Tuned(
        idle_timeout_seconds=setpoints[best[1]][0],
        headroom=setpoints[best[1]][1],
        packer=PACKERS[best[0]],
        usd_per_window=float(costs[best].mean()),
        usd_per_hour=float(costs[best].mean()) * windows * 3600.0 / (end_seconds - start_seconds),
        half_usd_per_window=(float(costs[halves[0]].mean()), float(costs[halves[1]].mean())),
        half_choices=tuple(  # type: ignore[arg-type]
            f"{PACKERS[packer]}, {setpoints[setpoint][0]:g} s, {setpoints[setpoint][1]:g}"
            for packer, setpoint in halves
        ),
    )


def _cheapest(costs: NDArray[np.float64]) -> tuple[int, int]:
    packer, setpoint = np.unravel_index(costs.mean(axis=2).argmin(), costs.shape[:2])
    return int(packer), int(setpoint)


def _costs(
    trace: Trace,
    cluster: ClusterConfig,
    config: EnvironmentConfig,
    start_seconds: float,
    end_seconds: float,
    windows: int,
    progress: Callable[[int], None] | None,
) -> NDArray[np.float64]:
    """[setpoints, windows] USD of one packer."""
    problem = make_problem(trace, cluster, config)
    half = (end_seconds - start_seconds) / windows / 2
    episodes = np.concatenate([
        equal_windows(problem, start_seconds, end_seconds, windows),
        equal_windows(problem, start_seconds + half, end_seconds - half, windows - 1),
    ]) if windows > 1 else equal_windows(problem, start_seconds, end_seconds, 1)  # fmt: skip
    if len(episodes) == 0:
        raise ClusterError(
            f"{trace.uri}: no job is submitted in the training window from {start_seconds} s to {end_seconds} s; use a "
            "longer trace or a larger split.train"
        )
    setpoints = len(config.codec.setpoints)
    simulator = Simulator.from_problem(problem, setpoints * len(episodes))
    simulator.reset(np.arange(simulator.num_clusters), np.tile(episodes, (setpoints, 1)))
    simulator.replay(np.repeat(np.arange(setpoints), len(episodes)))
    if progress is not None:
        progress(1)
    return cost_usd(simulator).reshape(setpoints, len(episodes))


def cost_usd(simulator: Simulator) -> NDArray[np.float64]:
    """[N] what each cluster's episode cost so far in USD, without the energy of GPUs that work."""
    objective = simulator.problem.config.objective
    waiting = simulator.world.clusters.clock[:, st.WAITED_MILLI_MS] / 3.6e9 * objective.usd_per_gpu_hour
    energy = [simulator.energy(index) for index in range(simulator.num_clusters)]
    return np.asarray([parts.total - parts.busy for parts in energy]) * objective.usd_per_kwh + waiting
