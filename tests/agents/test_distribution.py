"""`MaskedChoices` is sb3-contrib's distribution of many masked choices, computed at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sb3_contrib.common.maskable.distributions import MaskableMultiCategoricalDistribution

from agents.sb3.distribution import MaskedChoices

GROUPS = [((2, 25), (3, 3)), ((1, 25), (0, 2)), ((1, 4), (4, 2)), ((3, 5), (2, 5))]
BATCH = 64


def sizes_of(groups: tuple[tuple[int, int], ...]) -> list[int]:
    return [choices for components, choices in groups for _ in range(components)]


def scores_and_masks(sizes: list[int], batch: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Scores of every magnitude; masks that leave at least one choice of each component."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(batch, sum(sizes))) * generator.choice([0.1, 1.0, 10.0], (batch, 1))
    masks = generator.random((batch, sum(sizes))) < 0.5
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        masks[np.arange(batch), start + generator.integers(0, size, batch)] = True
    return torch.tensor(scores, dtype=torch.float32), masks


def valid(actions: torch.Tensor, masks: np.ndarray, sizes: list[int]) -> bool:
    starts = np.cumsum([0, *sizes[:-1]])
    return bool(masks[np.arange(len(masks))[:, None], starts + actions.numpy()].all())


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("groups", GROUPS)
def test_it_equals_sb3_contribs_distribution(groups: tuple[tuple[int, int], ...], masked: bool) -> None:
    """Log-probability, entropy and mode, also of actions that are masked."""
    sizes = sizes_of(groups)
    scores, masks = scores_and_masks(sizes, BATCH)
    ours, theirs = MaskedChoices(groups), MaskableMultiCategoricalDistribution(sizes)
    ours.proba_distribution(scores)
    theirs.proba_distribution(scores)
    ours.apply_masking(masks if masked else None)
    theirs.apply_masking(masks if masked else None)
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.mode(), theirs.mode())
    for actions in (theirs.sample(), ours.sample(), ours.mode()):
        assert valid(actions, masks, sizes) or not masked
        torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("groups", GROUPS)
def test_gradients_equal_those_of_sb3_contrib(groups: tuple[tuple[int, int], ...]) -> None:
    sizes = sizes_of(groups)
    scores, masks = scores_and_masks(sizes, BATCH)
    gradients = []
    for distribution in (MaskedChoices(groups), MaskableMultiCategoricalDistribution(sizes)):
        leaf = scores.clone().requires_grad_()
        distribution.proba_distribution(leaf)
        distribution.apply_masking(masks)
        actions = distribution.mode()
        (distribution.log_prob(actions).sum() + 0.3 * distribution.entropy().sum()).backward()
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_masked_choices_are_never_drawn_and_valid_ones_as_often_as_they_should() -> None:
    groups = ((2, 6), (1, 3))
    sizes = sizes_of(groups)
    scores, masks = scores_and_masks(sizes, 1, seed=3)
    scores = scores / scores.abs().max()
    draws = 200_000
    torch.manual_seed(0)
    distribution = MaskedChoices(groups).proba_distribution(scores.expand(draws, -1))
    distribution.apply_masking(masks.repeat(draws, axis=0))
    actions = distribution.sample()
    assert actions.shape == (draws, 3)
    for component, (start, size) in enumerate(zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True)):
        valid_scores = torch.where(torch.tensor(masks[0, start : start + size]), scores[0, start : start + size], -1e9)
        expected = valid_scores.softmax(0).numpy()
        seen = np.bincount(actions[:, component].numpy(), minlength=size) / draws
        assert (seen[~masks[0, start : start + size]] == 0.0).all()
        np.testing.assert_allclose(seen, expected, atol=5 * np.sqrt(0.25 / draws))


def test_a_single_valid_choice_is_taken_however_badly_it_scores() -> None:
    groups = ((1, 3),)
    scores = torch.tensor([[1e4, -1e4, 3.0]])
    distribution = MaskedChoices(groups).proba_distribution(scores)
    distribution.apply_masking(np.array([[False, True, False]]))
    assert distribution.mode().tolist() == distribution.sample().tolist() == [[1]]
    assert distribution.log_prob(torch.tensor([[1]])).item() == pytest.approx(0.0, abs=1e-6)
    assert distribution.entropy().item() == pytest.approx(0.0, abs=1e-6)


def test_masks_apply_to_the_scores_and_not_to_earlier_masks() -> None:
    groups = ((1, 3),)
    distribution = MaskedChoices(groups).proba_distribution(torch.tensor([[0.0, 1.0, 2.0]]))
    distribution.apply_masking(np.array([[True, True, False]]))
    assert distribution.mode().item() == 1
    distribution.apply_masking(np.array([[True, False, True]]))
    assert distribution.mode().item() == 2
    distribution.apply_masking(None)
    assert distribution.mode().item() == 2


def test_actions_come_with_their_log_probability() -> None:
    groups = ((2, 4),)
    scores, _ = scores_and_masks([4, 4], 8)
    distribution = MaskedChoices(groups)
    actions, log_prob = distribution.log_prob_from_params(scores)
    torch.testing.assert_close(log_prob, distribution.log_prob(actions))
    torch.testing.assert_close(distribution.actions_from_params(scores, deterministic=True), distribution.mode())
