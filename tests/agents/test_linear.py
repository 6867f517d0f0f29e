"""The agent that searches linear policies of any environment."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from agents.artifact import read_manifest
from agents.config import TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.linear.policy import ActionMap, LinearPolicy, orders_of, outputs_of
from agents.loading import load_policy
from agents.registry import make_agent
from agents.training import Hooks, check, train
from envs.scores import Actor
from envs.training import GymnasiumTraining, training_of


def task_of(env: str, steps: int, **kwargs: object) -> EnvironmentTask:
    config = TrainConfig(total_steps=steps, checkpoint_steps=400)
    agent = make_agent("linear-cma-es", population=6)
    return EnvironmentTask(agent, config, env, dict(kwargs), training_of(env, kwargs, 3), 0, "")


def test_outputs_move_components_from_their_start_within_the_space() -> None:
    actions = ActionMap(spaces.MultiDiscrete([3, 5]), np.array([1.0, 4.0]))
    assert actions(np.array([[0.0, 0.0], [0.6, -1.4], [9.0, 9.0], [-9.0, -9.0]])).tolist() == [
        [1, 4],
        [2, 3],
        [2, 4],
        [0, 0],
    ]
    orders = orders_of([(2, 0, 1), (4, 1)])
    ordered = ActionMap(spaces.MultiDiscrete([3, 5]), np.array([0.0, 4.0]), orders)
    assert ordered(np.array([[0.0, 0.0], [1.0, 1.0], [9.0, 9.0], [-9.0, -9.0]])).tolist() == [
        [0, 4],
        [1, 1],
        [1, 1],
        [2, 4],
    ]
    assert ActionMap(spaces.Discrete(4))(np.array([[0.0], [1.0]])).tolist() == [1, 2]
    box = ActionMap(spaces.Box(-1.0, 3.0, (1,), np.float32))
    assert box(np.array([[0.0], [5.0]])).tolist() == [[1.0], [3.0]]


def test_candidates_act_as_the_policy_of_each() -> None:
    generator = np.random.default_rng(0)
    weights, seen = generator.normal(size=(3, 2, 5)), generator.random((3, 7, 4))
    actions = ActionMap(spaces.MultiDiscrete([9, 9]))
    together = actions(outputs_of(weights, seen))
    for number in range(3):
        policy = LinearPolicy("linear-cma-es", weights[number], actions, {})
        assert np.array_equal(together[number], policy.act(seen[number]))


def test_a_search_learns_to_balance_and_loads_again(tmp_path: Path) -> None:
    task = task_of("CartPole-v1", 6000)
    result = train(task, tmp_path)
    assert result.best_score > 4 * result.start_score
    # A generation is played to its end, so what is kept may be from behind the steps that were asked for.
    manifest = read_manifest(tmp_path / "policy")
    assert result.kept_step <= result.total_steps == manifest.total_steps == max(6000, result.steps)
    policy = load_policy(tmp_path / "policy")
    assert task.score(policy) == result.best_score  # type: ignore[arg-type]


def test_a_search_reads_what_its_environment_names(tmp_path: Path) -> None:
    class Upright(GymnasiumTraining):
        def searched_inputs(self) -> NDArray[np.int64]:
            return np.array([2, 3])

    whole = task_of("CartPole-v1", 2000)
    task = replace(whole, training=Upright("CartPole-v1", {}, 3))
    train(task, tmp_path)
    weights = load_policy(tmp_path / "policy").weights  # type: ignore[union-attr]
    assert weights.shape == (1, 5)
    assert np.flatnonzero(weights[0]).tolist() == [0, 3, 4]


@pytest.mark.parametrize(("proof", "is_kept"), [(0.0, True), (1e9, False)])
def test_a_policy_whose_gain_is_not_proven_is_not_kept(tmp_path: Path, proof: float, is_kept: bool) -> None:
    class Noisy(GymnasiumTraining):
        noise = 1.0

        def episode_scores(self, actor: Actor) -> NDArray[np.float64]:
            found = self.score(actor) + np.array([self.noise, -self.noise])
            self.noise = -1.0  # the start does well in the first episode, all that come after it in the second
            return found

    whole = task_of("CartPole-v1", 3000)
    agent = make_agent("linear-cma-es", population=6, proof=proof)
    result = train(replace(whole, agent=agent, training=Noisy("CartPole-v1", {}, 3)), tmp_path)
    assert (result.best_score > result.start_score) == is_kept


def test_a_resumed_search_is_the_same_as_one_that_never_stopped(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = train(task_of("CartPole-v1", 3000), tmp_path / "whole")
    stops = iter([False] + [True] * 99)
    first = train(task_of("CartPole-v1", 3000), tmp_path / "parts", Hooks(should_stop=lambda: next(stops)))
    assert not first.finished
    assert train(task_of("CartPole-v1", 3000), tmp_path / "parts", resume=True) == whole
    curves = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert curves[0] == curves[1]


def test_what_it_cannot_play_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AgentConfigError, match=r"reads Box observations .* has Discrete"):
        train(task_of("FrozenLake-v1", 10), tmp_path)
    task = task_of("CartPole-v1", 10)
    with pytest.raises(AgentConfigError, match=r"neither train\.reward nor"):
        check(task.agent, replace(task.train, reward="module:reward"))
    with pytest.raises(ArtifactError, match="no checkpoint to resume from"):
        train(task, tmp_path, resume=True)
