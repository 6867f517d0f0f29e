"""PPO that begins as a policy that was searched: the same decisions, weights that nothing trains, and a leash to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.artifact import read_manifest
from agents.baselines.constant import ConstantSetpoint
from agents.cluster_task import ClusterTask
from agents.config import TrainConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.es.files import save_trained
from agents.loading import load_policy
from agents.registry import make_agent
from agents.sb3.policy import SharedPolicy
from agents.sb3.scores import TrainedPolicy
from agents.setpoints import LearnedSetpoints
from agents.training import Hooks, check, train
from envs.gpu_cluster.codec import LEVERS, CodecLayout, number_of_inputs, number_of_outputs, number_of_weights
from envs.gpu_cluster.spaces import action_space, observation_space
from tests.agents.builders import LAYOUTS, manifest_of, observations_and_masks, small_problem, small_task

LAYOUT = LAYOUTS["maskable-ppo"]
FEATURES = ("since_submit", "submitted_gpus_600s", "pool.busy_nodes", "pool.idle_nodes")
TRAINED = CodecLayout(max_pools=1, window_slots=2)


def searched(
    layout: CodecLayout, price: str = "crossed", hidden: tuple[int, ...] = (), levers: tuple[str, ...] = ()
) -> LearnedSetpoints:
    """A policy that changes its setpoints often."""
    size = number_of_weights(number_of_inputs(len(FEATURES), price), hidden, number_of_outputs(levers))
    weights = np.random.default_rng(4).normal(0.0, 2.0, size)
    start = ConstantSetpoint(layout, 900.0, 0.15, **({"power_cap": 1} if layout.power_caps else {}))
    return LearnedSetpoints("cma-es", start, FEATURES, hidden, weights, "best-fit", price, levers)


def untrained(layout: CodecLayout) -> SharedPolicy:
    torch.manual_seed(0)
    rule = (4, 0, 0, 0, 0, 0)
    arguments = {"layout": layout, "hidden_units": 8, "rule": rule, "start_logit": 2.0, "has_start": True}
    return SharedPolicy(observation_space(layout), action_space(layout), lambda _: 1e-2, **arguments)


def saved(folder: Path, layout: CodecLayout, hidden: tuple[int, ...] = ()) -> Path:
    """The artifact of a policy that was searched."""
    policy = searched(layout, hidden=hidden)
    settings = {"features": list(FEATURES), "hidden": list(hidden), "price": "crossed", "levers": []}
    manifest = replace(manifest_of("maskable-ppo"), agent="cma-es", settings=settings, packer="best-fit")
    world = ClusterTask.world(task_of(folder, layout))
    save_trained(folder, policy, replace(manifest, **world), "agent: test\n")
    return folder


def task_of(start: Path, layout: CodecLayout = TRAINED, steps: int = 1024, **config: object) -> ClusterTask:
    lengths = {"total_steps": steps, "validations": 2, "init_from": str(start), "checkpoint_steps": 512}
    settings = {"start": "searched", "leash": 0.1, "ent_coef": 0.01, **config}
    return small_task("maskable-ppo", problem=small_problem(layout), train=lengths, **settings)


@pytest.mark.parametrize("price", ["ignored", "added", "crossed"])
def test_it_begins_with_the_setpoints_levers_and_placements_of_the_policy(price: str) -> None:
    policy, start = untrained(LAYOUT), searched(LAYOUT, price)
    policy.follow(start)
    observations, masks = observations_and_masks(LAYOUT, 300)
    ours = TrainedPolicy("maskable-ppo", policy, True, LAYOUT, None).act(observations, masks)
    theirs = start.act(observations, masks)
    setpoints = slice(0, LAYOUT.max_pools)
    assert len(np.unique(theirs[:, setpoints])) > 4
    # Single precision against double: a time-out or reserve halfway between two choices may be rounded either way.
    assert (ours[:, setpoints] == theirs[:, setpoints]).mean() > 0.998
    levers = slice(LAYOUT.max_pools + LAYOUT.window_slots, None)
    np.testing.assert_array_equal(ours[:, levers], theirs[:, levers])


@pytest.mark.parametrize("price", ["ignored", "crossed"])
def test_it_begins_with_the_levers_that_were_searched_too(price: str) -> None:
    """Every lever is on; the searched policy chooses three of them, in another order than the codec's."""
    layout = replace(LAYOUT, **dict.fromkeys((lever.switch for lever in LEVERS), True))
    levers = ("reserve_nodes", "power_cap", "width")
    policy, start = untrained(layout), searched(layout, price, levers=levers)
    policy.follow(start)
    observations, masks = observations_and_masks(layout, 300)
    ours = TrainedPolicy("maskable-ppo", policy, True, layout, None).act(observations, masks)
    theirs = start.act(observations, masks)
    first = layout.max_pools + layout.window_slots
    assert all(len(np.unique(theirs[:, at : at + layout.max_pools])) > 1 for at in (first + 2, first + 4, first + 8))
    # Where a mask forbids the nearest choice the network takes the next one, and the policy the first.
    starts = np.cumsum([0, *layout.action_sizes[:-1]])
    free = masks[np.arange(300)[:, None], starts + theirs] & (theirs != 0)
    assert ((ours == theirs) | ~free)[:, first:].mean() > 0.99


def test_its_weights_are_saved_and_not_trained() -> None:
    policy = untrained(LAYOUT)
    policy.follow(searched(LAYOUT))
    assert "mlp_extractor.start.plain" in policy.state_dict()
    assert not [name for name, _ in policy.named_parameters() if ".start." in name]


def test_the_leash_is_a_divergence_that_grows_from_nothing() -> None:
    policy = untrained(LAYOUT)
    policy.follow(searched(LAYOUT))
    observations, masks = (torch.from_numpy(part) for part in observations_and_masks(LAYOUT, 50))
    actions = policy.get_distribution(observations, masks).get_actions()

    def entropy() -> torch.Tensor:
        found = policy.evaluate_actions(observations, actions, masks)[2]
        assert found is not None
        return found.detach()

    free = entropy()
    policy.keep_near(3.0)
    torch.testing.assert_close(entropy(), free)
    with torch.no_grad():
        policy.mlp_extractor.setpoint_scores.bias.normal_(0.0, 2.0)
    near = entropy()
    policy._leash = None
    lost = (entropy() - near).detach()
    assert float(lost.min()) > -1e-5
    assert float(lost.mean()) > 0.01
    policy.keep_near(3.0)
    assert not [name for name in policy.state_dict() if "leash" in name]


@pytest.mark.slow
def test_training_starts_at_its_score_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    start = saved(tmp_path / "searched", TRAINED)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    task = task_of(start)
    result = train(task, whole)
    searched_score = task.score(load_policy(start))  # type: ignore[arg-type]
    assert result.start_score == pytest.approx(searched_score, rel=1e-3)
    asked: list[None] = []
    first = train(task, stopped, Hooks(should_stop=lambda: len(asked) > 0 or asked.append(None) is not None))
    assert not first.finished
    train(task, stopped, resume=True)
    assert (whole / "metrics.jsonl").read_bytes() == (stopped / "metrics.jsonl").read_bytes()
    observations, masks = observations_and_masks(TRAINED, 20)
    ours, theirs = (load_policy(folder).act(observations, masks) for folder in (whole, stopped))  # type: ignore[arg-type]
    np.testing.assert_array_equal(ours, theirs)
    assert read_manifest(whole / "policy").settings["start"] == "searched"


def test_a_policy_with_hidden_layers_is_refused_as_a_start(tmp_path: Path) -> None:
    policy = untrained(TRAINED)
    with pytest.raises(ValueError, match="hidden layers"):
        policy.follow(searched(TRAINED, hidden=(4,)))
    start = saved(tmp_path / "searched", TRAINED, hidden=(4,))
    (tmp_path / "run").mkdir()
    with pytest.raises(ArtifactError, match=r"search one with agent\.hidden=\[\]"):
        train(task_of(start), tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "searched"}, "set train.init_from"),
        ({"leash": 0.1, "ent_coef": 0.0}, "set agent.ent_coef above 0"),
        ({"leash": 0.1, "policy": "MlpPolicy"}, "belong to agent.policy=shared"),
    ],
)
def test_a_start_or_a_leash_without_what_it_needs_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AgentConfigError, match=message):
        check(make_agent("maskable-ppo", **settings), TrainConfig())
