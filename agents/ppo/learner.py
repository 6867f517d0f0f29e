"""Policy and critic in torch, and the clipped objective, on choices as Gaussian noise and rounding make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.ppo.setpoint_ppo import SetpointPPO
from envs.gpu_cluster.codec.setpoint_policy import LEVER_CHOICES, RESERVES, TIMEOUTS, lever_indices

LEAST_SPREAD = 0.02
"""Inputs are divided by their standard deviation, or by this where they hardly change."""

LEAST_VARIANCE = 0.05
"""Of a principal component of these, which are divided by their standard deviations too."""

LEAST_PROBABILITY = 1e-12
FAR = 1e4
"""In choices: beyond it noise never comes. Not infinity, of which gradients are no number."""

ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What the optimizer remembers of each parameter."""


class Whitening(NamedTuple):
    """Makes inputs uncorrelated and of variance 1, so that a step of the optimizer is about one of a natural gradient.

    Attributes:
        mean: [inputs] float64.
        matrix: [inputs, inputs] float64: whitened inputs are (inputs - mean) @ matrix.
    """

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]

    @staticmethod
    def of(inputs: NDArray[np.float64]) -> Whitening:
        """Of a sample of inputs [B, inputs]."""
        mean, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), LEAST_SPREAD)
        scaled = (inputs - mean) / spread
        variances, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        return Whitening(mean, axes / np.sqrt(np.maximum(variances, LEAST_VARIANCE)) / spread[:, None])


Layer = tuple[NDArray[np.float64], NDArray[np.float64]]


def to_layers(weights: NDArray[np.float64], sizes: Sequence[int]) -> list[Layer]:
    """Weights as `SetpointPolicies` has them, layer by layer: biases [units], and weights [inputs, units]."""
    parts, at = [], 0
    for before, after in pairwise(sizes):
        end = at + after + before * after
        parts.append((weights[at : at + after], weights[at + after : end].reshape(before, after)))
        at = end
    return parts


class Network(nn.Module):
    """The policy, on whitened inputs; its outputs count from the start, in choices.

    Args:
        weights: [number of weights] float64, of `SetpointPolicies`.
        sizes: inputs, units of each hidden layer, outputs.
        whitening: of the inputs.
    """

    def __init__(self, weights: NDArray[np.float64], sizes: Sequence[int], whitening: Whitening) -> None:
        super().__init__()
        self._whitening = whitening
        self._layers = [nn.Linear(before, after) for before, after in pairwise(sizes)]
        self.layers = nn.ModuleList(self._layers)
        for number, (layer, (bias, weight)) in enumerate(zip(self._layers, to_layers(weights, sizes), strict=True)):
            if number == 0:
                bias = bias + whitening.mean @ weight  # noqa: PLW2901 (the same policy on whitened inputs)
                weight = np.asarray(np.linalg.solve(whitening.matrix, weight), np.float64)  # noqa: PLW2901
            with torch.no_grad():
                layer.bias.copy_(torch.from_numpy(bias))
                layer.weight.copy_(torch.from_numpy(weight.T.copy()))

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, outputs] of whitened inputs [B, inputs]."""
        for layer in self._layers[:-1]:
            inputs = torch.relu(layer(inputs))
        outputs: Tensor = self._layers[-1](inputs)
        return outputs

    def weights(self) -> NDArray[np.float64]:
        """[number of weights] float64, on inputs as they are."""
        parts: list[NDArray[np.float64]] = []
        for number, layer in enumerate(self._layers):
            bias, weight = (each.detach().cpu().numpy().astype(np.float64) for each in (layer.bias, layer.weight.T))
            if number == 0:
                weight = self._whitening.matrix @ weight
                bias = bias - self._whitening.mean @ weight
            parts += [bias, weight.reshape(-1)]
        return np.concatenate(parts)


def choices_of(levers: Sequence[str]) -> tuple[int, ...]:
    """How many choices each output has: time-out, reserve (the last is always on), and levers by name."""
    return TIMEOUTS, RESERVES + 1, *(int(LEVER_CHOICES[at]) for at in lever_indices(levers))


def log_probability(means: Tensor, log_sigma: Tensor, choices: Tensor, counts: Sequence[int]) -> Tensor:
    """[B] the logarithm of how likely the choices are, if each is an output with Gaussian noise, rounded and limited.

    The simulator sees choices only. Their probability, and not the density of what was rounded, leaves out the noise
    within a choice and beyond the first and the last one. With the last reserve, always on, time-outs mean nothing.

    Args:
        means: [B, outputs], outputs without noise, as indices.
        log_sigma: [outputs].
        choices: [B, outputs], whole numbers.
        counts: [outputs], of `choices_of`.
    """
    last = torch.tensor([float(count - 1) for count in counts], device=means.device)
    low = torch.where(choices <= 0.0, -FAR, choices - 0.5 - means)
    high = torch.where(choices >= last, FAR, choices + 0.5 - means)
    # In the lower tail differences are precise, and what is above the mean is as likely as its mirror image.
    mirrored = low + high > 0.0
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    scale = np.sqrt(0.5) * torch.exp(-log_sigma)
    probability = 0.5 * (torch.erfc(-high * scale) - torch.erfc(-low * scale))
    each = torch.log(probability.clamp_min(LEAST_PROBABILITY))
    timeout_counts = (choices[:, 1] < last[1]).to(each.dtype)
    total: Tensor = each[:, 0] * timeout_counts + each[:, 1:].sum(dim=1)
    return total


def to_choices(outputs: NDArray[np.float64], counts: Sequence[int]) -> NDArray[np.float64]:
    """The choices that outputs mean, see `nearest_setpoint` and `nearest_choice` of the codec; of levers by order."""
    limits = np.array(counts) - 1.0
    rounded: NDArray[np.float64] = np.clip(np.floor(outputs + 0.5), 0.0, limits)
    return rounded


class Learner:
    """Policy, critic and their optimizers.

    Args:
        settings: of the agent.
        weights: [number of weights] float64, of the policy to begin with; the leash holds there.
        start: [outputs] float64, what outputs count from.
        counts: [outputs], of `choices_of`.
        whitening: of the inputs of policy and critic.
        seed: of the critic's first weights.

    Attributes:
        device: that torch computes on.
        whitening: as given.
        policy: the policy.
        critic: [B, inputs] -> [B, 1].
        log_sigma: [outputs], logarithms of the standard deviations of the noise.
    """

    def __init__(
        self,
        settings: SetpointPPO,
        weights: NDArray[np.float64],
        start: NDArray[np.float64],
        counts: Sequence[int],
        whitening: Whitening,
        seed: int,
    ) -> None:
        self._settings = settings
        self.device = torch.device(
            settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        )
        self.whitening = whitening
        self._counts = counts
        sizes, units = (settings.inputs, *settings.hidden, len(counts)), settings.critic_units
        self._start = torch.as_tensor(start, dtype=torch.float32, device=self.device)
        self.policy = Network(weights, sizes, whitening).to(self.device)
        self._anchor = Network(weights, sizes, whitening).to(self.device).requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            critic = nn.Sequential(
                nn.Linear(settings.inputs, units), nn.Tanh(), nn.Linear(units, units), nn.Tanh(), nn.Linear(units, 1)
            )
        self.critic = critic.to(self.device)
        log_sigma = torch.full((len(counts),), float(np.log(settings.sigma)), device=self.device)
        self.log_sigma = nn.Parameter(log_sigma)
        self._optimizers = (
            torch.optim.Adam([*self.policy.parameters(), self.log_sigma], settings.learning_rate, eps=1e-5),
            torch.optim.Adam(self.critic.parameters(), settings.critic_learning_rate, eps=1e-5),
        )

    @property
    def sigma(self) -> NDArray[np.float64]:
        """[outputs] float64, standard deviations of the noise."""
        return np.exp(self.log_sigma.detach().cpu().numpy().astype(np.float64))

    def whitened(self, inputs: NDArray[np.float64]) -> Tensor:
        """Inputs [..., inputs] as the networks take them."""
        found = (inputs - self.whitening.mean) @ self.whitening.matrix
        return torch.as_tensor(found, dtype=torch.float32, device=self.device)

    def values(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the critic expects from here on: [...] float64 of inputs [..., inputs]."""
        with torch.no_grad():
            found: NDArray[np.float64] = self.critic(self.whitened(inputs)).squeeze(-1).cpu().numpy()
        return found.astype(np.float64)

    def learn(
        self,
        inputs: NDArray[np.float64],
        outputs: NDArray[np.float64],
        advantages: NDArray[np.float64],
        returns: NDArray[np.float64],
        generator: np.random.Generator,
        rate: float,
    ) -> dict[str, float]:
        """Some epochs of minibatches.

        Args:
            inputs: [B, inputs] float64.
            outputs: [B, outputs] float64, with their noise, as indices not rounded.
            advantages: [B] float64.
            returns: [B] float64.
            generator: of the minibatches.
            rate: factor on the learning rates.

        Returns:
            What happened, for the learning curve.
        """
        settings, count = self._settings, len(inputs)
        for optimizer, base in zip(
            self._optimizers, (settings.learning_rate, settings.critic_learning_rate), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
        x, kinds = self.whitened(inputs), to_choices(outputs, self._counts)
        choices, gains, targets = (
            torch.as_tensor(array, dtype=torch.float32, device=self.device)
            for array in (kinds, advantages / max(float(advantages.std()), 1e-9), returns)
        )
        with torch.no_grad():
            anchored, before = self._anchor(x), self.log_probability(x, choices)
        told: list[list[float]] = []
        for _ in range(settings.n_epochs):
            order = torch.from_numpy(generator.permutation(count)).to(self.device)
            parts = torch.split(order, settings.batch_size)
            told += [self._step(x[at], choices[at], gains[at], targets[at], before[at], anchored[at]) for at in parts]
        names = ("policy_loss", "value_loss", "clip_fraction", "approx_kl", "kl_to_start")
        means = np.mean(told, axis=0)
        expected = float(np.var(returns)) or 1.0
        sigma = {f"sigma{output}": float(value) for output, value in enumerate(self.sigma)}
        explained = {"explained_variance": 1.0 - float(means[1]) / expected}
        return {**dict(zip(names, means.tolist(), strict=True)), **explained, **sigma}

    def log_probability(self, inputs: Tensor, choices: Tensor) -> Tensor:
        """[B] of whitened inputs and choices, see `log_probability`."""
        return log_probability(self._start + self.policy(inputs), self.log_sigma, choices, self._counts)

    def _step(
        self, x: Tensor, choices: Tensor, gains: Tensor, targets: Tensor, before: Tensor, anchored: Tensor
    ) -> list[float]:
        """One step of both optimizers."""
        settings = self._settings
        means = self.policy(x)
        change = log_probability(self._start + means, self.log_sigma, choices, self._counts) - before
        ratio = torch.exp(change)
        clipped = ratio.clamp(1.0 - settings.clip_range, 1.0 + settings.clip_range)
        policy_loss = -torch.min(ratio * gains, clipped * gains).mean()
        # Of the Gaussians before they are rounded, which is no less than that of the choices.
        divergence = (0.5 * ((means - anchored) * torch.exp(-self.log_sigma)).square()).sum(dim=1).mean()
        loss = policy_loss - settings.ent_coef * self.log_sigma.sum() + settings.leash * divergence
        value_loss = (self.critic(x).squeeze(1) - targets).square().mean()
        for optimizer, part, module in zip(
            self._optimizers, (loss, value_loss), (self.policy, self.critic), strict=True
        ):
            optimizer.zero_grad(set_to_none=True)
            part.backward()
            nn.utils.clip_grad_norm_(module.parameters(), settings.max_grad_norm)
            optimizer.step()
        with torch.no_grad():
            self.log_sigma.clamp_min_(float(np.log(settings.least_sigma)))
            outside = ((ratio - 1.0).abs() > settings.clip_range).float().mean()
            moved = (ratio - 1.0 - change).mean()
            told = torch.stack([policy_loss, value_loss, outside, moved, divergence])
        return [float(value) for value in told.tolist()]

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All that learning depends on, as arrays by name."""
        arrays = {**self.whitening._asdict(), "log_sigma": self.log_sigma.detach().cpu().numpy()}
        for name, module in self._modules().items():
            arrays |= {f"{name}.{key}": value.cpu().numpy() for key, value in module.state_dict().items()}
        for number, optimizer in enumerate(self._optimizers):
            for key, entry in optimizer.state_dict()["state"].items():
                arrays |= {f"optimizer{number}.{key}.{part}": value.cpu().numpy() for part, value in entry.items()}
        return arrays

    def load_state(self, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Put back what `state` gave.

        Raises:
            KeyError: an array is missing.
            RuntimeError: an array has another shape.
        """
        with torch.no_grad():
            self.log_sigma.copy_(torch.from_numpy(arrays["log_sigma"]))
        for name, module in self._modules().items():
            module.load_state_dict({key: torch.from_numpy(arrays[f"{name}.{key}"]) for key in module.state_dict()})
        for number, optimizer in enumerate(self._optimizers):
            known = optimizer.state_dict()
            keys = range(sum(len(group["params"]) for group in known["param_groups"]))
            prefix = f"optimizer{number}"
            state = {key: {name: torch.from_numpy(arrays[f"{prefix}.{key}.{name}"]) for name in ADAM} for key in keys}
            optimizer.load_state_dict({**known, "state": state})

    def _modules(self) -> dict[str, nn.Module]:
        return {"policy": self.policy, "critic": self.critic, "anchor": self._anchor}
