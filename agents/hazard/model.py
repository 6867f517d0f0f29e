"""A hazard model with NumPy, and the policy that it makes, which compiled code plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from agents.hazard.features import NAMES, inputs_of, logit
from agents.hazard.plans import plan
from agents.hazard.view import Floats, View, own_hazards, view_of
from envs.containers.history import BINS
from envs.serverless.codec import ACTION_SIZES
from envs.serverless.network import MOST_DEVIATIONS, MOST_LOGIT, HazardNetwork, choose_all, make_scratch

FRAME = ("prior", "factors", "sleep", "mean", "deviation")
"""Arrays of a model beside its layers."""

Layers = tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class HazardModel:
    """The chance of a request in each bin: the function's own, corrected by a network.

    Attributes:
        prior: [BINS] float64, gaps of the prior by bin.
        factors: [3] float64, of what a cold start costs and of how long a start takes, as plans count them: tuned, for
            functions that share a pool pay for more than their own containers; and of what a cold start costs for a
            container that is spare.
        sleep: [1] int64, the choice of the nodes' idle time-out.
        mean, deviation: [inputs] float32, of the inputs that were fitted.
        layers: weights [inputs, outputs] and biases [outputs], float32, of each layer; between them is tanh.
    """

    prior: Floats
    factors: Floats
    sleep: NDArray[np.int64]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    layers: Layers

    def view_of(self, observations: NDArray[Any]) -> View:
        """The view of observations, [B, features], with the factors on its prices."""
        view = view_of(observations)
        worth_ms = self.factors[0] * view.worth_ms * np.where(view.is_spare, self.factors[2], 1.0)
        return replace(view, worth_ms=worth_ms, start_ms=self.factors[1] * view.start_ms)

    def hazards(self, view: View) -> Floats:
        """[B, BINS] float64, for the functions of a view."""
        own = logit(own_hazards(view, self.prior))
        return chances(own + self.corrections(inputs_of(view, own, self.prior), view))

    def corrections(self, inputs: NDArray[np.float32], view: View) -> NDArray[np.float32]:
        """[B, BINS] float32, log odds, for inputs [B, BINS, inputs]; none for containers beside running requests."""
        values = self.standardised(inputs).reshape(-1, len(NAMES))
        for number, (weights, biases) in enumerate(self.layers):
            values = (np.tanh(values) if number else values) @ weights + biases
        return np.where(view.demand[:, None] == 0.0, values.reshape(inputs.shape[:2]), np.float32(0.0))

    def standardised(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inputs as the layers take them."""
        scaled: NDArray[np.float32] = (inputs - self.mean) / self.deviation
        return np.clip(scaled, -MOST_DEVIATIONS, MOST_DEVIATIONS, out=scaled)

    def shrunk(self, factor: float) -> HazardModel:
        """The same with a factor on the correction."""
        weights, biases = self.layers[-1]
        last = (weights * np.float32(factor), biases * np.float32(factor))
        return replace(self, layers=(*self.layers[:-1], last))

    def actions(self, observations: NDArray[Any]) -> NDArray[np.int64]:
        """[B, 4] the actions that begin the plans which cost least; `network` says the same to compiled code."""
        view = self.view_of(observations)
        return plan(self.hazards(view), view).actions(int(self.sleep[0]))

    def network(self) -> HazardNetwork:
        """The same as compiled code reads it."""
        numbers = [np.concatenate([weights.T.ravel(), biases]) for weights, biases in self.layers]
        sizes = [len(NAMES), *(len(biases) for _, biases in self.layers)]
        return HazardNetwork(
            prior=np.array(self.prior, np.float64),
            factors=np.array(self.factors, np.float64),
            sleep=np.array(self.sleep, np.int64),
            mean=np.array(self.mean, np.float32),
            deviation=np.array(self.deviation, np.float32),
            sizes=np.array(sizes, np.int64),
            numbers=np.concatenate(numbers).astype(np.float32),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name, to be saved."""
        layers = {
            f"{name}{number}": array
            for number, layer in enumerate(self.layers)
            for name, array in zip(("weights", "biases"), layer, strict=True)
        }
        return {**{name: getattr(self, name) for name in FRAME}, **layers}


def mean_of(models: Sequence[HazardModel]) -> HazardModel:
    """The model whose correction is the mean of those of some, which have the same frame and sizes of layers."""
    deep, count = len(models[0].layers) > 1, np.float32(len(models))
    layers: list[Any] = []
    for number in range(len(models[0].layers)):
        weights, biases = zip(*(model.layers[number] for model in models), strict=True)
        is_last = number == len(models[0].layers) - 1
        if is_last:
            joined = np.concatenate(weights) if deep else sum(weights)
            layers.append((joined / count, sum(biases) / count))
        else:
            joined = block_diag(*weights) if number else np.concatenate(weights, axis=1)
            layers.append((joined.astype(np.float32), np.concatenate(biases)))
    return replace(models[0], layers=tuple(layers))


def chances(odds: Floats) -> Floats:
    """Chances of log odds, which count within `MOST_LOGIT`."""
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(odds, -MOST_LOGIT, MOST_LOGIT)))
    return found


def model_of(arrays: Mapping[str, NDArray[Any]]) -> HazardModel:
    """The inverse of `HazardModel.arrays`.

    Raises:
        ValueError: an array is missing, does not fit the others, or has a number that is none.
    """
    layers: list[Any] = []
    try:
        while f"weights{len(layers)}" in arrays:
            layers.append((arrays[f"weights{len(layers)}"], arrays[f"biases{len(layers)}"]))
        model = HazardModel(**{name: arrays[name] for name in FRAME}, layers=tuple(layers))
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    sizes = [len(NAMES), *(len(biases) for _, biases in layers)]
    shapes = [(BINS,), (3,), (1,), (sizes[0],), (sizes[0],), *pairwise(sizes)]
    given = [*(getattr(model, name).shape for name in FRAME), *(weights.shape for weights, _ in layers)]
    if given != shapes or not layers or sizes[-1] != 1:
        raise ValueError(f"arrays of {given} are no hazard model of {len(NAMES)} inputs and {BINS} bins")
    if not all(np.isfinite(array).all() for array in model.arrays().values()):
        raise ValueError("a number is not finite")
    return model


def untrained(prior: Floats, factors: Sequence[float] = (1.0, 1.0, 0.0), sleep: int = 0) -> HazardModel:
    """The model that corrects nothing: the rule `hazard-look-ahead`.

    Args:
        prior: [BINS] float64, gaps of the prior by bin.
        sleep: the choice of the nodes' idle time-out.
        factors: constants of the rule, and what a cold start counts for a container that is spare.
    """
    size = len(NAMES)
    zero, one = np.zeros(size, np.float32), np.ones(size, np.float32)
    layer = (np.zeros((size, 1), np.float32), np.zeros(1, np.float32))
    return HazardModel(prior, np.array(factors, np.float64), np.array([sleep], np.int64), zero, one, (layer,))


class HazardPolicy:
    """A hazard model as an `agents.policy.EnvironmentPolicy`.

    Args:
        name: of the agent.
        model: the model.
        environment: what it plays.
    """

    masked = False

    def __init__(self, name: str, model: HazardModel, environment: Mapping[str, Any]) -> None:
        self.name, self.model, self.environment = name, model, environment
        self.network = model.network()
        self._scratch = make_scratch(self.network)

    def reset(self, num_envs: int, /) -> None:
        """Nothing is remembered."""

    def act(self, observations: NDArray[Any], action_masks: NDArray[np.bool_] | None = None, /) -> NDArray[Any]:
        """The action of each environment; see `agents.policy.EnvironmentPolicy`."""
        seen = np.ascontiguousarray(observations, np.float32)
        actions = np.empty((len(seen), len(ACTION_SIZES)), np.int64)
        choose_all(seen, self.network, self._scratch, actions)
        return actions
