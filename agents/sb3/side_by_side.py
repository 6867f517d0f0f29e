"""sb3-contrib's ARS on a batch of clusters: all candidates of an update play at the same time."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import ARS
from sb3_contrib.common.vec_env import AsyncEval
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor


class StoppedError(Exception):
    """A callback asked to stop, which ARS itself does not hear."""


class SideBySideARS(ARS):
    """Augmented random search whose candidates play side by side.

    sb3-contrib plays one candidate after the other on all environments. Here the environments are shared out: each
    candidate plays one episode on each of its own, so an update takes as many steps as the longest episode.

    Args:
        args: of sb3-contrib's class.
        n_eval_episodes: episodes of each candidate; None: as many as there are environments for.
        kwargs: of sb3-contrib's class.
    """

    def __init__(self, *args: Any, n_eval_episodes: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.env is not None
        self.n_eval_episodes = n_eval_episodes or max(self.env.num_envs // self.pop_size, 1)

    def _do_one_update(self, callback: BaseCallback, async_eval: AsyncEval | None) -> None:
        """Tell the callback first, so that a checkpoint is taken before anything random is drawn."""
        callback.on_rollout_start()
        super()._do_one_update(callback, async_eval)

    def evaluate_candidates(
        self, candidate_weights: Tensor, callback: BaseCallback, async_eval: AsyncEval | None
    ) -> Tensor:
        """Returns [pop_size] of the candidates.

        Args:
            candidate_weights: [pop_size, weights].
            callback: called after each step of the batch and at the end.
            async_eval: unused: nothing runs in other processes.

        Raises:
            StoppedError: the callback asked for it.
        """
        policies = []
        for weights in candidate_weights:
            policy = copy.deepcopy(self.policy)
            policy.load_from_vector(weights.cpu().numpy())
            policy.set_training_mode(False)
            policies.append(policy)
        returns, lengths = self._play(policies, callback)
        callback.on_rollout_end()
        self.ep_info_buffer = []  # type: ignore[assignment]
        self._mimic_monitor_wrapper(returns.tolist(), lengths.tolist())
        totals = (returns + self.alive_bonus_offset * lengths).reshape(len(policies), -1).sum(axis=1)
        return torch.as_tensor(totals, dtype=torch.float32)

    def _play(
        self, policies: list[BasePolicy], callback: BaseCallback
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """[pop_size * n_eval_episodes] returns and lengths of the first episode of each environment."""
        env = self.env
        assert isinstance(env, VecEnv)
        episodes = len(policies) * self.n_eval_episodes
        returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        running = np.ones(episodes, np.bool_)
        observations: Any = env.reset()
        while running.any():
            observations, rewards, dones, infos = env.step(self._actions(policies, observations))
            returns += np.where(running, rewards[:episodes], 0.0)
            lengths += running
            running &= ~dones[:episodes]
            self.num_timesteps += env.num_envs
            callback.update_locals({"rewards": rewards, "dones": dones, "infos": infos})
            if not callback.on_step():
                raise StoppedError
        return returns, lengths

    def _actions(self, policies: list[BasePolicy], observations: NDArray[np.float32]) -> NDArray[Any]:
        """Environment i plays candidate i // n_eval_episodes; those left over play the last one."""
        parts = np.split(observations, self.n_eval_episodes * np.arange(1, len(policies)))
        return np.concatenate([policy.predict(part)[0] for policy, part in zip(policies, parts, strict=True)])

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """Progress towards the whole training, also where it was resumed: ARS counts what is left of it only."""
        super()._update_current_progress_remaining(num_timesteps, self._total_timesteps)

    def adopt_policy(self) -> None:
        """Search on from the weights of the policy, after they were loaded into it."""
        weights: Any = torch.nn.utils.parameters_to_vector(self.policy.parameters()).detach()
        self.weights = weights

    def learn(self, *args: Any, **kwargs: Any) -> SideBySideARS:
        """Train; see Stable-Baselines3. A callback can stop it."""
        try:
            super().learn(*args, **kwargs)
        except StoppedError:
            self.logger.debug("stopped by a callback")
        return self
