"""Small worlds whose numbers can be worked out by hand, and a driver that plays them with one rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import RandomEpisodes
from envs.gpu_cluster.simulator import PoolTotals, Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace

Job = tuple[float, float, float]
"""Submission in s, run time in s, GPUs."""


def make_trace(jobs: Sequence[Job], models: Sequence[list[str] | None] | None = None, **columns: Any) -> Trace:
    """A trace of jobs, in order of submission."""
    return Trace.from_columns(
        {
            "submit_time_seconds": [job[0] for job in jobs],
            "duration_seconds": [job[1] for job in jobs],
            "gpu_milli": [round(job[2] * 1000) for job in jobs],
            "gpu_models": models,
            **columns,
        },
        uri="test:jobs",
    )


def small_problem(
    jobs: Sequence[Job],
    pools: Sequence[PoolConfig] = (PoolConfig("gpu", max_nodes=2),),
    models: Sequence[list[str] | None] | None = None,
    codec: CodecLayout | None = None,
    checkpoint_interval_seconds: Sequence[float | None] | None = None,
    image: Sequence[str | None] | None = None,
    columns: Mapping[str, Any] | None = None,
    **config: Any,
) -> Problem:
    """Jobs, with further `columns`, on pools; decisions are a minute apart, other settings the defaults or `config`."""
    layout = codec or CodecLayout(max_pools=2, window_slots=3)
    return make_problem(
        make_trace(
            jobs,
            models,
            **{"checkpoint_interval_seconds": checkpoint_interval_seconds, "image": image, **(columns or {})},
        ),
        ClusterConfig(tuple(pools)),
        EnvironmentConfig(codec=layout, **{"settle_seconds": 60.0, **config}),
    )


def drawn_episodes(problem: Problem, count: int) -> NDArray[np.int64]:
    """[count, 3] int64, random episodes of a problem."""
    episodes, generator = RandomEpisodes(problem), np.random.default_rng(0)
    return np.concatenate([episodes.draw(generator) for _ in range(count)])


class Play:
    """One cluster that plays its whole trace, or a window, under a constant setpoint."""

    def __init__(self, problem: Problem, timeout: float = 600.0, headroom: float = 0.0) -> None:
        self.simulator = Simulator.from_problem(problem)
        self.simulator.reset_all()
        self.policy = ConstantSetpoint(problem.config.codec, timeout, headroom)
        self.times = [self.now]
        self.rewards: list[float] = []

    @property
    def clock(self) -> NDArray[np.int64]:
        clock: NDArray[np.int64] = self.simulator._world.clusters.clock[0]
        return clock

    @property
    def now(self) -> float:
        return float(self.simulator.time_seconds[0])

    @property
    def done(self) -> bool:
        return self.simulator.is_done()

    def totals(self, pool: int = 0) -> PoolTotals:
        return self.simulator.pool_totals()[pool]

    def pool(self, pool: int = 0) -> NDArray[np.int64]:
        row: NDArray[np.int64] = self.simulator._world.clusters.pool[0, pool]
        return row

    def step(self) -> float:
        self.simulator.step(self.policy.act(self.simulator.observations, self.simulator.action_masks))
        self.times.append(self.now)
        self.rewards.append(float(self.simulator.rewards[0]))
        return self.rewards[-1]

    def run(self, until: float = float("inf")) -> Play:
        while not self.done and self.now < until:
            self.step()
        return self

    def starts(self) -> list[float | None]:
        """When each job of the episode started, in s; None: not yet."""
        return [None if np.isnan(start) else float(start) for start in self.simulator.job_times().start_seconds]
