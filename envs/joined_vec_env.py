"""Several batches of environments as one, for a policy that is trained on different problems at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from envs.vec_env import TrainingVecEnv


class JoinedInfos(Sequence[dict[str, Any]]):
    """The infos of several batches, one after the other; each stays where it is.

    Args:
        parts: of each batch.
    """

    __slots__ = ("_firsts", "_parts")

    def __init__(self, parts: Sequence[Sequence[dict[str, Any]]]) -> None:
        self._parts = parts
        self._firsts = np.cumsum([0, *(len(part) for part in parts)])

    def __getitem__(self, index: Any) -> Any:
        """The info of an environment, or a list of several."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = int(np.searchsorted(self._firsts, place, side="right")) - 1
        return self._parts[part][place - int(self._firsts[part])]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each info in turn."""
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        """The number of environments."""
        return int(self._firsts[-1])


class JoinedVecEnv(TrainingVecEnv):
    """Batches with the same spaces, side by side; each plays its own problem.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[TrainingVecEnv]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([part.num_envs for part in parts])[:-1]
        self.render_mode = None
        num_envs = sum(part.num_envs for part in parts)
        super().__init__(num_envs, parts[0].observation_space, parts[0].action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed all environments, in turn, for the next reset."""
        firsts = [0, *self._ends.tolist()]
        seeds = [
            part.seed(None if seed is None else seed + first) for part, first in zip(self._parts, firsts, strict=True)
        ]
        return list(chain.from_iterable(seeds))

    def reset(self) -> NDArray[Any]:
        """Begin a new episode in every environment."""
        found = np.concatenate([np.asarray(part.reset()) for part in self._parts])
        self.reset_infos = list(chain.from_iterable(part.reset_infos for part in self._parts))
        return found

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step."""
        for part, mine in zip(self._parts, np.split(actions, self._ends), strict=True):
            part.step_async(mine)

    def step_wait(self) -> VecEnvStepReturn:
        """Step every environment; one that is done begins anew."""
        results = [part.step_wait() for part in self._parts]
        observations, rewards, dones = (np.concatenate([result[at] for result in results]) for at in range(3))
        infos = cast("list[dict[str, Any]]", JoinedInfos([result[3] for result in results]))
        return observations, rewards, dones, infos

    @property
    def step_seconds(self) -> NDArray[Any]:
        """[num_envs] time that the last step of each environment took."""
        return np.concatenate([part.step_seconds for part in self._parts])

    def observations(self) -> NDArray[Any]:
        """[num_envs, ...] what every environment shows now; a copy."""
        return np.concatenate([part.observations() for part in self._parts])

    def state_dict(self) -> dict[str, Any]:
        """What the future of this object depends on, see `TrainingVecEnv`."""
        states = [part.state_dict() for part in self._parts]
        arrays = {f"{at}/{name}": each for at, state in enumerate(states) for name, each in state["arrays"].items()}
        return {"arrays": arrays, "generator": [state["generator"] for state in states]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it belongs to another configuration.
        """
        for at, (part, generator) in enumerate(zip(self._parts, state["generator"], strict=True)):
            prefix = f"{at}/"
            mine = {
                name.removeprefix(prefix): each for name, each in state["arrays"].items() if name.startswith(prefix)
            }
            part.load_state_dict({"arrays": mine, "generator": generator})

    def close(self) -> None:
        """Close all batches."""
        for part in self._parts:
            part.close()

    def _shares(self, indices: VecEnvIndices) -> list[tuple[TrainingVecEnv, list[int]]]:
        """The batches of the environments that are asked for, and which of them these are there."""
        wanted = np.array(list(self._get_indices(indices)), np.int64)
        of_part, firsts = np.searchsorted(self._ends, wanted, side="right"), [0, *self._ends.tolist()]
        return [(self._parts[at], (wanted[of_part == at] - firsts[at]).tolist()) for at in np.unique(of_part).tolist()]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each environment asked for."""
        return list(chain.from_iterable(part.get_attr(attr_name, share) for part, share in self._shares(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute, where the batches allow it."""
        for part, share in self._shares(indices):
            part.set_attr(attr_name, value, share)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each environment asked for."""
        shares = self._shares(indices)
        answers = [part.env_method(method_name, *method_args, indices=share, **method_kwargs) for part, share in shares]
        return list(chain.from_iterable(answers))

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """Whether the environments do what a wrapper does."""
        shares = self._shares(indices)
        return list(chain.from_iterable(part.env_is_wrapped(wrapper_class, share) for part, share in shares))

    def get_images(self) -> Sequence[Any]:
        """Pictures of all environments."""
        return list(chain.from_iterable(part.get_images() for part in self._parts))
