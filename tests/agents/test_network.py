"""maskable-ppo's network: the same weights for every pool and slot, whatever their number and order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.sb3.network import SharedNetwork
from envs.gpu_cluster.codec import CodecLayout, empty_plan, empty_snapshot, encode, observation_names, observation_size
from tests.envs.gpu_cluster.codec.snapshots import add_job, add_pool, random_snapshot

LAYOUT = CodecLayout(max_pools=3, window_slots=4)
SETPOINTS = len(LAYOUT.setpoints)
FULL = replace(LAYOUT, consolidation=True, power_caps=True, elastic_width=True, suspension=True, job_hints=True)


def network(layout: CodecLayout = LAYOUT, hidden: int = 16) -> SharedNetwork:
    """Random weights, not nearly zero, so that everything matters."""
    torch.manual_seed(0)
    result = SharedNetwork(layout, hidden)
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.normal_(0.0, 0.4)
    return result


def observations(layout: CodecLayout = LAYOUT, count: int = 20) -> torch.Tensor:
    generator = np.random.default_rng(0)
    result = np.zeros((count, observation_size(layout)), np.float32)
    for row in result:
        encode(random_snapshot(layout, generator), layout.tables(), empty_plan(layout), row)
    return torch.from_numpy(result)


def split_scores(scores: torch.Tensor, layout: CodecLayout = LAYOUT) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, P, setpoints] and [B, W, P + 1]."""
    at, width = layout.max_pools * SETPOINTS, layout.window_slots * (layout.max_pools + 1)
    return (
        scores[:, :at].reshape(-1, layout.max_pools, SETPOINTS),
        scores[:, at : at + width].reshape(-1, layout.window_slots, layout.max_pools + 1),
    )


def lever_scores(scores: torch.Tensor, layout: CodecLayout = FULL) -> list[torch.Tensor]:
    """[B, P, choices] of each lever."""
    widths = [components * choices for components, choices in layout.action_groups]
    parts = torch.split(scores, widths, dim=1)[2:]
    return [part.reshape(-1, *group) for part, group in zip(parts, layout.action_groups[2:], strict=True)]


def pool_permutation(order: list[int], layout: CodecLayout = LAYOUT) -> list[int]:
    """Indices into the observation that put pool `order[p]` where pool p was."""
    names = list(observation_names(layout))
    wanted = []
    for name in names:
        parts = [f"pool{order[int(part[4:])]}" if part.startswith("pool") else part for part in name.split(".")]
        wanted.append(names.index(".".join(parts)))
    return wanted


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 0, 1]])
def test_permuting_the_pools_permutes_the_scores_and_keeps_the_value(order: list[int]) -> None:
    model, seen = network(), observations()
    scores, value = model(seen)
    other_scores, other_value = model(seen[:, pool_permutation(order)])
    setpoints, placements = split_scores(scores)
    other_setpoints, other_placements = split_scores(other_scores)
    assert (setpoints[:, 0] - setpoints[:, 1]).abs().max() > 1e-2
    torch.testing.assert_close(other_setpoints, setpoints[:, order], rtol=1e-4, atol=1e-4)
    columns = [0, *(pool + 1 for pool in order)]
    torch.testing.assert_close(other_placements, placements[:, :, columns], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other_value, value, rtol=1e-4, atol=1e-4)


def test_permuting_the_pools_permutes_the_scores_of_their_levers() -> None:
    model, seen, order = network(FULL), observations(FULL), [2, 0, 1]
    scores = lever_scores(model(seen)[0])
    others = lever_scores(model(seen[:, pool_permutation(order, FULL)])[0])
    assert [part.shape[2] for part in scores] == [3, 4, 3, 3]
    for ours, theirs in zip(scores, others, strict=True):
        assert (ours[:, 0] - ours[:, 1]).abs().max() > 1e-2
        torch.testing.assert_close(theirs, ours[:, order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", [(7, 0, 0, 0, 0), (3, 2, 1, 2, 1)])
def test_the_untrained_network_prefers_the_lever_choices_of_a_rule(rule: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    model = SharedNetwork(FULL, 16)
    model.prefer(rule, 4.0)
    with torch.no_grad():
        scores = model.forward_actor(observations(FULL))
    assert (split_scores(scores, FULL)[0].argmax(dim=2) == rule[0]).all()
    for part, choice in zip(lever_scores(scores), rule[1:], strict=True):
        assert (part.argmax(dim=2) == choice).all()


def test_the_untrained_network_does_nothing_where_the_mask_forbids_the_lever_choice_of_the_rule() -> None:
    """As the fixed rule does: jobs that cannot be narrowed are not widened instead."""
    torch.manual_seed(1)
    model = SharedNetwork(FULL, 16)
    model.prefer((3, 2, 1, 2, 1), 4.0)
    with torch.no_grad():
        scores = model.forward_actor(observations(FULL))
    for part, choice in zip(lever_scores(scores), (2, 1, 2, 1), strict=True):
        part[:, :, choice] = -torch.inf
        assert (part.argmax(dim=2) == 0).all()


def test_a_lever_that_is_off_takes_no_choice_of_a_rule() -> None:
    layout = replace(LAYOUT, elastic_width=True)
    model = SharedNetwork(layout, 16)
    model.prefer((3, 2, 1, 2, 1), 4.0)
    with torch.no_grad():
        (width,) = lever_scores(model.forward_actor(observations(layout)), layout)
    assert (width.argmax(dim=2) == 2).all()


def test_permuting_the_slots_permutes_their_scores_and_keeps_everything_else() -> None:
    model, seen = network(), observations()
    names = list(observation_names(LAYOUT))
    order = [2, 0, 3, 1]
    moved = [f"slot{order[int(name[4])]}{name[5:]}" if name.startswith("slot") else name for name in names]
    scores, value = model(seen)
    other_scores, other_value = model(seen[:, [names.index(name) for name in moved]])
    torch.testing.assert_close(split_scores(other_scores)[1], split_scores(scores)[1][:, order], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(split_scores(other_scores)[0], split_scores(scores)[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other_value, value, rtol=1e-4, atol=1e-4)


def test_the_same_weights_score_the_same_cluster_the_same_with_more_padding() -> None:
    """A layout of more pools and more slots has the same weights and the same scores for what is there."""
    wide = CodecLayout(max_pools=5, window_slots=6)
    model, wider = network(LAYOUT), network(wide)
    wider.load_state_dict(model.state_dict())
    results = []
    for layout, one in ((LAYOUT, model), (wide, wider)):
        snapshot = empty_snapshot(layout)
        add_pool(snapshot, 0, idle_nodes=2, busy_nodes=1, used_gpus=5)
        add_pool(snapshot, 1, booting_nodes=2, gpus_per_node=4)
        snapshot.free_nodes[0, 3] = 1.0
        add_job(snapshot, 0, 2.0, 30.0, (0, 1))
        row = np.zeros((1, observation_size(layout)), np.float32)
        encode(snapshot, layout.tables(), empty_plan(layout), row[0])
        scores, value = one(torch.from_numpy(row))
        setpoints, placements = split_scores(scores, layout)
        results.append((setpoints[0, :2], placements[0, 0, :3], value))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [LAYOUT, CodecLayout(max_pools=1, window_slots=0), CodecLayout()])
def test_sizes_follow_the_layout_and_weights_do_not(layout: CodecLayout) -> None:
    model = network(layout, 8)
    scores, value = model(observations(layout, 5))
    assert scores.shape == (5, layout.mask_size)
    assert value.shape == (5, 8)
    assert (model.latent_dim_pi, model.latent_dim_vf) == (layout.mask_size, 8)
    torch.testing.assert_close(model.forward_actor(observations(layout, 5)), scores)
    torch.testing.assert_close(model.forward_critic(observations(layout, 5)), value)
    shapes = {name: weights.shape for name, weights in model.state_dict().items()}
    assert shapes == {name: weights.shape for name, weights in network(LAYOUT, 8).state_dict().items()}


@pytest.mark.parametrize("setpoint", [0, 7, SETPOINTS - 1])
def test_the_untrained_network_prefers_the_tuned_setpoint_and_the_default_pools(setpoint: int) -> None:
    torch.manual_seed(1)
    model = SharedNetwork(LAYOUT, 16)
    model.prefer((setpoint, 0, 0, 0), 4.0)
    seen = observations()
    with torch.no_grad():
        setpoints, placements = split_scores(model.forward_actor(seen))
    assert (setpoints.argmax(dim=2) == setpoint).all()
    names = list(observation_names(LAYOUT))
    found = 0
    for slot in range(LAYOUT.window_slots):
        columns = [names.index(f"slot{slot}.pool{pool}.default") for pool in range(LAYOUT.max_pools)]
        default = seen[:, columns]
        has_default = default.sum(dim=1) > 0
        found += int(has_default.sum())
        assert (placements[has_default, slot].argmax(dim=1) == default[has_default].argmax(dim=1) + 1).all()
    assert found > 10


@pytest.mark.parametrize("layout", [LAYOUT, FULL])
def test_every_weight_takes_part(layout: CodecLayout) -> None:
    model = network(layout)
    scores, value = model(observations(layout))
    (scores.square().sum() + value.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0.0, name
