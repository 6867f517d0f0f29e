"""Training on Gymnasium environments other than GPU clusters: batches, resuming, and the saved policies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import safetensors.numpy
from gymnasium import spaces

from agents.artifact import ONNX, WEIGHTS
from agents.config import TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.loading import load_cluster_policy, load_policy
from agents.registry import make_agent
from agents.sb3.run import checkpoints
from agents.sb3.training import CURVE
from agents.spaces import space_from_dict, space_to_dict
from agents.training import Hooks, train
from autoscaler.live.policy.artifact import OnnxPolicy
from envs.errors import EnvironmentConfigError
from envs.gymnasium_vec_env import GymnasiumVecEnv, make_vector
from envs.training import GymnasiumTraining
from tests.agents.builders import ONE_COMPONENT, write_artifact

HERE = "tests.agents.test_environment_task"
SMALL = {"policy_kwargs": {"net_arch": [8]}}
REPLAY = {**SMALL, "buffer_size": 1000, "learning_starts": 64, "batch_size": 32, "n_steps": 3}
AGENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo": ("CartPole-v1", {**SMALL, "n_steps": 32, "batch_size": 64}),
    "recurrent-ppo": (
        "CartPole-v1",
        {"policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 8}, "n_steps": 32, "batch_size": 64},
    ),
    "dqn": ("CartPole-v1", REPLAY),
    "a2c": ("Pendulum-v1", SMALL),
    "sac": ("Pendulum-v1", REPLAY),
    "maskable-ppo": (f"{HERE}:LeftFirst", {"policy": "MlpPolicy", "n_steps": 32, "batch_size": 64}),
    "ars": ("CartPole-v1", {"n_delta": 2}),
}
LIMIT = {"max_episode_steps": 40}


class LeftFirst(gymnasium.Env[Any, Any]):
    """One step of each episode is masked: only action 0 is valid in the first."""

    observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.array([self.np_random.random()], np.float32), {}

    def step(self, action: Any) -> Any:
        assert self.action_masks()[int(action)]
        self.steps += 1
        return np.array([self.np_random.random()], np.float32), float(action), self.steps == 5, False, {}

    def action_masks(self) -> np.ndarray:
        return np.array([True, self.steps > 0])


class TwoWords(LeftFirst):
    """Observations that no agent here can read."""

    observation_space = spaces.Tuple([spaces.Discrete(2)])  # type: ignore[assignment]


class FromOne(LeftFirst):
    """Actions that begin at 1."""

    action_space = spaces.Discrete(2, start=1)


def task_of(agent: str, steps: int = 512, **changes: Any) -> EnvironmentTask:
    env, settings = AGENTS[agent]
    sizes = {"total_steps": steps, "num_envs": 4, "validations": 2, "validation_windows": 3, "checkpoint_steps": 256}
    training = GymnasiumTraining(env, LIMIT, 3)
    config = TrainConfig(**{**sizes, **changes})
    return EnvironmentTask(make_agent(agent, **settings), config, env, dict(LIMIT), training, 5, "agent: test\n")


def weights(run: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(checkpoints(run)[-1] / "model.safetensors")


@pytest.mark.parametrize("agent", AGENTS)
def test_a_resumed_training_is_the_one_that_never_stopped(agent: str, tmp_path: Path) -> None:
    """Up to the second checkpoint before the end, from which it goes on."""
    run = tmp_path / "run"
    run.mkdir()
    result = train(task_of(agent), run)
    assert result.finished
    again = Path(shutil.copytree(run, tmp_path / "again"))
    shutil.rmtree(checkpoints(again)[-1])
    resumed = train(task_of(agent), again, resume=True)
    assert resumed == result
    assert (again / CURVE).read_text() == (run / CURVE).read_text()
    for name, tensor in weights(run).items():
        np.testing.assert_array_equal(weights(again)[name], tensor, err_msg=name)


@pytest.mark.parametrize("agent", ["ppo", "recurrent-ppo", "sac", "maskable-ppo"])
def test_a_saved_policy_plays_what_was_validated(agent: str, tmp_path: Path) -> None:
    task = task_of(agent)
    result = train(task, tmp_path)
    policy = load_policy(tmp_path)
    assert policy.name == agent
    assert policy.environment["env"] == task.env  # type: ignore[union-attr]
    assert task.score(policy) == result.best_score  # type: ignore[arg-type]
    assert not (tmp_path / "policy" / ONNX).exists()
    with pytest.raises(ArtifactError, match=r"it runs on no GPU cluster: load it with autoscaler\.load_policy"):
        load_cluster_policy(tmp_path)
    with pytest.raises(ArtifactError, match="it runs on no GPU cluster"):
        OnnxPolicy(tmp_path, ONE_COMPONENT)


def test_a_higher_return_is_better_and_random_actions_are_the_baseline(tmp_path: Path) -> None:
    result = train(task_of("maskable-ppo", 4096, validations=4), tmp_path)
    assert result.best_score >= result.start_score
    assert result.best_score == 4.0  # of five steps, the first gives 0
    assert 0.0 < result.baseline_score < 4.0


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    answers = iter([False, True])
    stopped = train(task_of("ppo"), tmp_path, Hooks(should_stop=lambda: next(answers)))
    assert not stopped.finished
    assert train(task_of("ppo"), tmp_path, resume=True).steps == 512


def test_a_training_starts_from_a_policy_of_the_same_spaces(tmp_path: Path) -> None:
    for name in ("first", "warm", "other"):
        (tmp_path / name).mkdir()
    first = train(task_of("a2c"), tmp_path / "first")
    warm = train(task_of("a2c", init_from=str(tmp_path / "first")), tmp_path / "warm")
    assert warm.start_score == first.best_score
    other = EnvironmentTask(
        make_agent("a2c", **SMALL),
        TrainConfig(num_envs=4, init_from=str(tmp_path / "first")),
        "CartPole-v1",
        {},
        GymnasiumTraining("CartPole-v1", {}, 3),
        0,
        "",
    )
    with pytest.raises(ArtifactError, match="its policy of Pendulum-v1 has the observation_space"):
        train(other, tmp_path / "other")


def test_a_policy_of_gpu_clusters_is_no_start_for_another_environment(tmp_path: Path) -> None:
    write_artifact(tmp_path / "policy", "a2c")
    with pytest.raises(ArtifactError, match="plays GPU clusters, this experiment Pendulum-v1"):
        train(task_of("a2c", init_from=str(tmp_path)), tmp_path)


def test_a_batch_is_single_environments_side_by_side() -> None:
    batch = GymnasiumVecEnv("CartPole-v1", LIMIT, 3, seed=7)
    singles = [gymnasium.make("CartPole-v1", **LIMIT) for _ in range(3)]
    np.testing.assert_array_equal(batch.reset(), [env.reset(seed=7 + index)[0] for index, env in enumerate(singles)])
    generator, ended = np.random.default_rng(0), 0
    for _ in range(200):
        actions = generator.integers(0, 2, 3)
        observations, rewards, dones, infos = batch.step(actions)
        for index, env in enumerate(singles):
            observation, reward, terminated, truncated, _ = env.step(actions[index])
            assert rewards[index] == reward
            assert dones[index] == (terminated or truncated)
            if dones[index]:
                ended += 1
                np.testing.assert_array_equal(infos[index]["terminal_observation"], observation)
                assert infos[index]["TimeLimit.truncated"] == (truncated and not terminated)
                assert infos[index]["episode"]["r"] == infos[index]["episode"]["l"]
                observation, _ = env.reset()
            np.testing.assert_array_equal(observations[index], observation)  # type: ignore[index]
    assert ended > 10
    batch.close()


def test_an_environment_with_a_batch_of_its_own_is_played_by_it() -> None:
    kwargs = {"trace": "synthetic:quickstart?days=2&seed=0"}
    batch = GymnasiumVecEnv("autoscaler/GpuCluster-v0", kwargs, 3, seed=1)
    assert type(make_vector("autoscaler/GpuCluster-v0", kwargs, 1).unwrapped).__name__ == "GpuClusterVectorEnv"
    batch.reset()
    masks = batch.masks()
    assert masks is not None
    assert masks.shape[0] == len(batch.env_method("action_masks")) == 3
    assert batch.step(np.zeros((3, *batch.action_space.shape), np.int64))[1].shape == (3,)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("env", "kwargs", "message"),
    [
        ("CartPol-v1", {}, "unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'"),
        ("CartPole-v1", {"gravity": 1}, "env 'CartPole-v1' cannot be made with env_kwargs .*gravity"),
        (f"{HERE}:LeftFist", {}, "has no 'LeftFist'; did you mean 'LeftFirst'"),
        (f"{HERE}:HERE", {}, "must be a class that derives from gymnasium.Env"),
        (f"{HERE}:TwoWords", {}, "has Tuple observations; training takes Box, Discrete"),
        (f"{HERE}:FromOne", {}, r"must begin at 0"),
        ("no_such_module:X-v0", {}, "environment 'no_such_module:X-v0' cannot be made"),
    ],
)
def test_an_environment_that_cannot_be_trained_on_is_one_line(env: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentConfigError, match=message):
        GymnasiumVecEnv(env, kwargs, 2, 0)


def test_an_agent_with_masks_needs_an_environment_with_masks(tmp_path: Path) -> None:
    task = task_of("maskable-ppo")
    unmasked = EnvironmentTask(
        task.agent, task.train, "CartPole-v1", {}, GymnasiumTraining("CartPole-v1", {}, 3), 0, ""
    )
    with pytest.raises(AgentConfigError, match="needs an environment with a method action_masks"):
        train(unmasked, tmp_path)
    shared = EnvironmentTask(make_agent("maskable-ppo"), task.train, task.env, {}, task.training, 0, "")
    with pytest.raises(AgentConfigError, match=r"set agent\.policy=MlpPolicy"):
        train(shared, tmp_path)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (3,), np.float64),
        spaces.Box(np.array([0, -1], np.float32), np.array([1, np.inf], np.float32)),
        spaces.Box(0, 255, (2, 2), np.uint8),
        spaces.Discrete(4),
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiBinary(3),
    ],
)
def test_a_space_comes_back_from_plain_values(space: spaces.Space[Any]) -> None:
    assert space_from_dict(space_to_dict(space)) == space


@pytest.mark.parametrize(
    "values", [{}, {"kind": "Tuple"}, {"kind": "Box", "shape": [2]}, {"kind": "Discrete", "n": -1}]
)
def test_values_that_are_no_space_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError):
        space_from_dict(values)


def test_a_damaged_description_of_the_environment_is_one_line(tmp_path: Path) -> None:
    import json

    train(task_of("a2c"), tmp_path)
    path = tmp_path / "policy" / "manifest.json"
    document = json.loads(path.read_text())
    document["environment"].pop("action_space")
    path.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="install what it needs, or train it again"):
        load_policy(tmp_path)
    assert (tmp_path / "policy" / WEIGHTS).exists()
