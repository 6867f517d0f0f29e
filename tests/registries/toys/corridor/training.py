"""How the corridor is trained on: the score is the steps to its end, beside those of going on at each step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.scores import Actor, Metric
from envs.training import GymnasiumTraining


class GoOn:
    """Goes on at each step, which is best here."""

    def reset(self, num_envs: int, /) -> None:
        """Remember nothing."""

    def act(self, observations: NDArray[Any], action_masks: Any, /) -> NDArray[Any]:
        """1 everywhere."""
        return np.ones(len(observations), np.int64)


class CorridorTraining(GymnasiumTraining):
    """Steps to the end of the corridor, the fewer the better."""

    metric = Metric(
        name="steps",
        description="steps to the end of the corridor",
        higher_is_better=False,
        baseline="going on at each step",
        baseline_key="going_on",
    )

    def score(self, actor: Actor) -> float:
        """The mean number of steps."""
        return -float(self.returns(actor).mean())

    def baseline_score(self) -> float:
        """That of going on at each step."""
        return self.score(GoOn())
