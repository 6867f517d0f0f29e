"""A training by gradients: roll-outs inside the kernels, updates in torch, and the policy that validation chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.config import DISCOUNT_SECONDS
from agents.es.arena import Ground
from agents.es.run import WINDOWS, SetpointRun
from agents.ppo.learner import Learner, Whitening, choices_of
from agents.ppo.rollouts import Rollout, advantages, roll_out
from envs.gpu_cluster.codec import start_of

NOISE, MINIBATCHES, CRITIC = 3, 4, 5
"""Streams of random numbers of an experiment's seed, beside those of `agents.es.run`."""

HOUR_MS = 3_600_000.0


class PPORun(SetpointRun):
    """Iterations of roll-outs and updates until the steps are done; see `SetpointRun`."""

    keeps_best: ClassVar[bool] = True

    def _begin_at(self, weights: NDArray[np.float64]) -> None:
        self._learner: Learner | None = None
        self._weights, self._average, self._averaged = weights, np.zeros(len(weights)), 0.0
        self._scales: dict[int, float] = {}

    def _found(self) -> NDArray[np.float64]:
        """The average of the policies of all iterations, of which the last ones count most."""
        found: NDArray[np.float64] = self._average / self._averaged if self._averaged else self._weights
        return found

    def _scale(self, number: int, ground: Ground) -> float:
        """Makes the constants' discounted cost 1, so that each ground counts by shares of it."""
        if number not in self._scales:
            windows = ground.whole()
            hours = float((windows[:, 1] - windows[:, 0]).mean()) / HOUR_MS
            usd = float(ground.costs(self._zero[None], windows).mean())
            horizon_hours = DISCOUNT_SECONDS / 3600.0 / (1.0 - self._settings.gamma)
            self._scales[number] = hours / max(abs(usd) * horizon_hours, 1e-9)
        return self._scales[number]

    def _make_learner(self, whitening: Whitening) -> Learner:
        start = self._arena.start
        levers = self._settings.levers_of(start.layout)
        constants = start_of(start.layout, start.rule, levers)
        seed = int(np.random.default_rng([self._task.seed, CRITIC]).integers(1 << 31))
        return Learner(self._settings, self._weights, constants, choices_of(levers), whitening, seed)

    def _run_generation(self) -> None:
        settings, seed, now = self._settings, self._task.seed, self._generation
        scales = [self._scale(number, ground) for number, ground in enumerate(self._arena.grounds)]
        windows = self._arena.draw(np.random.default_rng([seed, WINDOWS, now]))
        noise = np.random.default_rng([seed, NOISE, now])
        outputs = settings.sizes(self._task.layout)[-1]
        sigma = np.full(outputs, settings.sigma) if self._learner is None else self._learner.sigma
        before, parts = self._arena.steps, []
        for ground, episodes, scale in zip(self._arena.grounds, windows, scales, strict=True):
            if len(episodes):
                arguments = (self._weights, episodes, settings.replicas, sigma, settings.noise_seconds, noise)
                parts.append((roll_out(ground, *arguments), scale))
        steps = self._arena.steps - before
        told = self._learn([part for part, _ in parts], [scale for _, scale in parts])
        assert self._learner is not None
        self._weights = self._learner.policy.weights()
        self._average = settings.averaging * self._average + (1.0 - settings.averaging) * self._weights
        self._averaged = settings.averaging * self._averaged + 1.0 - settings.averaging
        self.steps, self._generation = self.steps + steps, now + 1
        self._hooks.advance(steps)
        self._write(told)

    def _learn(self, parts: list[Rollout], scales: list[float]) -> dict[str, float]:
        """Update policy and critic by roll-outs, of a ground each."""
        settings = self._settings
        inputs = np.concatenate([part.inputs[:, :-1][part.is_row] for part in parts])
        if self._learner is None:
            self._learner = self._make_learner(Whitening.of(inputs))
        found = [
            advantages(part, self._learner.values(part.inputs), scale, settings.gamma, settings.gae_lambda)
            for part, scale in zip(parts, scales, strict=True)
        ]
        gains, returns = (
            np.concatenate([each[column][part.is_row] for each, part in zip(found, parts, strict=True)])
            for column in (0, 1)
        )
        outputs = np.concatenate([part.outputs[part.is_row] for part in parts])
        left = 1.0 - self.steps / self._task.train.total_steps
        rate = max(left, 0.0) if settings.learning_rate_schedule == "linear" else 1.0
        minibatches = np.random.default_rng([self._task.seed, MINIBATCHES, self._generation])
        told = self._learner.learn(inputs, outputs, gains, returns, minibatches, rate)
        ends = [part.costs[np.arange(len(part.drawn)), part.drawn].sum() / part.pools for part in parts]
        hours = [part.minutes[np.arange(len(part.drawn)), part.drawn].sum() / part.pools / 60.0 for part in parts]
        return {
            "rollout/usd_per_hour": float(sum(ends) / sum(hours)),
            "rollout/samples": float(len(inputs)),
            "rollout/advantage_spread": float(gains.std()),
            **{f"train/{name}": value for name, value in told.items()},
        }

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        values, arrays = super()._kept()
        learner = {} if self._learner is None else self._learner.state()
        own = {"now": self._weights, "average": self._average, "averaged": np.array(self._averaged)}
        return values, {**arrays, **own, **{f"learner.{name}": array for name, array in learner.items()}}

    def _restore(self, values: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> None:
        super()._restore(values, arrays)
        self._average, self._averaged = arrays["average"], float(arrays["averaged"])
        prefix = "learner."
        learner = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
        if learner:
            self._weights = self._anchor
            self._learner = self._make_learner(Whitening(learner["mean"], learner["matrix"]))
            self._learner.load_state(learner)
        self._weights = arrays["now"]
