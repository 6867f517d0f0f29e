"""Fit networks to idle periods: a row for each bin of each period, and whether it ended there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agents.hazard.features import NAMES, inputs_of, logit
from agents.hazard.learned_hazard import LearnedHazard
from agents.hazard.model import HazardModel, Layers
from agents.hazard.periods import Periods
from agents.hazard.view import STARTS, own_hazards, view_of
from envs.containers.history import BINS

CHUNK = 1024
"""Periods whose rows, or plans, are made at once."""
LEAST_DEVIATION = 1e-3
WEIGHTS, ORDER = 1, 2
"""Streams of random numbers of an experiment's seed."""
LEFT_OUT = np.float32(1e30)
"""Deviation of inputs that are left out: standardised they are zero, here and in compiled code."""
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW remembers of each parameter."""


class Rows(NamedTuple):
    """What networks are fitted to: R bins of idle periods.

    A period that lasted until a bin has a row for it and each one before; one that the episode ended has none for the
    bin in which it ended, as nobody knows how that went on.

    Attributes:
        frame: a model with the mean and the deviation of the inputs.
        inputs: [R, inputs] float32, standardised.
        own: [R] float32, log odds of the functions' own hazards.
        ended: [R] float32, 1 where the period ended in the bin, else 0.
        function: [R] int64, whose each is.
    """

    frame: HazardModel
    inputs: torch.Tensor
    own: torch.Tensor
    ended: torch.Tensor
    function: NDArray[np.int64]


class Fit:
    """Networks that are fitted side by side, to the same rows in the same order.

    Args:
        settings: of the agent.
        rows: of all functions.
        fitted: [R] bool, those that are fitted to.
        seed: of weights and order.
    """

    def __init__(self, settings: LearnedHazard, rows: Rows, fitted: NDArray[np.bool_], seed: tuple[int, ...]) -> None:
        self._settings, self._rows, self._seed = settings, rows, seed
        self._fitted = np.flatnonzero(fitted)
        tried = list(product(settings.networks, settings.weight_decays))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([*seed, WEIGHTS]).integers(1 << 31)))
            self._networks = [_network(hidden) for hidden, _ in tried]
        self._optimizers = [
            torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=decay)
            for network, (_, decay) in zip(self._networks, tried, strict=True)
        ]
        self.names = [f"{'x'.join(map(str, hidden)) or 'linear'}, decay {decay:g}" for hidden, decay in tried]

    def epoch(self, number: int, learning_rate: float) -> list[float]:
        """Show all rows once; returns the mean loss of each network, in nats a row.

        Args:
            number: of the epoch, which says the order.
            learning_rate: of its steps.
        """
        order = torch.from_numpy(np.random.default_rng([*self._seed, ORDER, number]).permutation(self._fitted))
        sums = [0.0] * len(self._networks)
        for optimizer in self._optimizers:
            optimizer.param_groups[0]["lr"] = learning_rate
        for rows in torch.split(order, self._settings.batch_size):
            inputs, own, ended = self._rows.inputs[rows], self._rows.own[rows], self._rows.ended[rows]
            for index, (network, optimizer) in enumerate(zip(self._networks, self._optimizers, strict=True)):
                loss = nn.functional.binary_cross_entropy_with_logits(own + network(inputs)[:, 0], ended)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                sums[index] += float(loss.detach()) * len(rows)
        return [total / max(len(self._fitted), 1) for total in sums]

    def start_from(self, model: HazardModel) -> bool:
        """Let networks with the layers of a model begin at it, whatever inputs it was fitted to; whether there is one.

        Args:
            model: as above.
        """
        first, offset = model.layers[0]
        ratio = self._rows.frame.deviation / model.deviation
        shift = (self._rows.frame.mean - model.mean) / model.deviation
        layers: Layers = ((first * ratio[:, None], (offset + shift @ first).astype(np.float32)), *model.layers[1:])
        found = False
        for network in self._networks:
            parameters: list[torch.nn.Parameter] = list(network.parameters())
            flat: list[NDArray[Any]] = []
            for weights, biases in layers:
                flat += [weights.T, biases]
            if [tuple(parameter.shape) for parameter in parameters] == [array.shape for array in flat]:
                found = True
                with torch.no_grad():
                    for parameter, array in zip(parameters, flat, strict=True):
                        parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
        return found

    def models(self) -> list[HazardModel]:
        """The networks as they are now."""
        return [replace(self._rows.frame, layers=tuple(_layers(network))) for network in self._networks]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the future of this object depends on."""
        found: dict[str, NDArray[Any]] = {}
        for index, (network, optimizer) in enumerate(zip(self._networks, self._optimizers, strict=True)):
            for number, parameter in enumerate(network.parameters()):
                name = f"network{index}.{number}"
                found[name] = parameter.detach().numpy().copy()
                for moment in MOMENTS if optimizer.state else ():
                    found[f"{name}.{moment}"] = optimizer.state[parameter][moment].numpy().copy()
        return found

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave.

        Raises:
            KeyError, ValueError, RuntimeError: it belongs to other networks.
        """
        for index, (network, optimizer) in enumerate(zip(self._networks, self._optimizers, strict=True)):
            for number, parameter in enumerate(network.parameters()):
                name = f"network{index}.{number}"
                with torch.no_grad():
                    parameter.copy_(torch.from_numpy(arrays[name]))
                if f"{name}.{MOMENTS[0]}" in arrays:
                    optimizer.state[parameter] = {
                        moment: torch.from_numpy(np.array(arrays[f"{name}.{moment}"])) for moment in MOMENTS
                    }


def _network(hidden: tuple[int, ...]) -> nn.Sequential:
    """A network of tanh units whose output is zero at first."""
    sizes, layers = (len(NAMES), *hidden), []
    for number, size in enumerate(hidden):
        layers += [nn.Linear(sizes[number], size), nn.Tanh()]
    last = nn.Linear(sizes[-1], 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def _layers(network: nn.Sequential) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in linear]
    return [(np.ascontiguousarray(weights.T), biases.copy()) for weights, biases in arrays]


def rows_of(periods: Periods, start: HazardModel, left_out: Sequence[str] = ()) -> Rows:
    """The rows of idle periods, in the frame of their inputs.

    Args:
        periods: as above.
        start: the untrained model.
        left_out: names of inputs that networks do not read.
    """
    parts: list[tuple[Any, ...]] = []
    bins = np.arange(BINS)
    for first in range(0, len(periods), CHUNK):
        chunk = slice(first, first + CHUNK)
        view = view_of(periods.observations[chunk])
        own = logit(own_hazards(view, start.prior))
        last = np.searchsorted(STARTS, periods.idle_ms[chunk], side="right") - 1
        ended = (last[:, None] == bins) & periods.came[chunk, None]
        shown = (view.first[:, None] <= bins) & ((bins < last[:, None]) | ended)
        shown[:, -1] = False  # from there on nothing is kept
        shown &= view.demand[:, None] == 0.0  # idle times are others where requests run beside
        function = np.broadcast_to(periods.function[chunk, None], shown.shape)[shown]
        odds, ends = own[shown].astype(np.float32), ended[shown].astype(np.float32)
        parts.append((inputs_of(view, own, start.prior)[shown], odds, ends, function))
    inputs, odds, ends, function = (np.concatenate(part) for part in zip(*parts, strict=True))
    deviation = np.maximum(inputs.std(axis=0), np.float32(LEAST_DEVIATION))
    deviation[[NAMES.index(name) for name in left_out]] = LEFT_OUT
    frame = replace(start, mean=inputs.mean(axis=0), deviation=deviation)
    standardised = torch.from_numpy(frame.standardised(inputs))
    return Rows(frame, standardised, torch.from_numpy(odds), torch.from_numpy(ends), function)
