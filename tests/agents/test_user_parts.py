"""Parts of the user inside a training: reward, callbacks, networks, and the policy of another run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.cluster_task import ClusterTask
from agents.config import CallbackConfig, TrainConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.loading import load_policy
from agents.registry import make_agent
from agents.sb3.models import Clock, make_model
from agents.sb3.reward import CustomReward, StepTerms, load_reward
from agents.sb3.settings import Sb3Config
from agents.sb3.training import CURVE
from agents.training import train
from tests.agents.builders import LAYOUTS, small_model, small_problem, small_task
from tests.agents.toys import TimedVecEnv

HERE = "tests.agents.test_user_parts"
SEEN: list[int] = []


def waiting_only(terms: StepTerms) -> np.ndarray:
    """A reward of the user."""
    return -terms.waiting_usd


class Counter(BaseCallback):
    """A callback of the user."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every

    def _on_step(self) -> bool:
        if self.n_calls % self.every == 0:
            SEEN.append(self.num_timesteps)
        return True


class Squared(BaseFeaturesExtractor):
    """A features extractor of the user."""

    def __init__(self, observation_space: spaces.Box, power: float = 2.0) -> None:
        super().__init__(observation_space, observation_space.shape[0])
        self.power = power

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return observations**self.power


EXTRACTOR = {"features_extractor_class": f"{HERE}:Squared", "features_extractor_kwargs": {"power": 3.0}}


def toy_model(**policy_kwargs: Any) -> Any:
    env = TimedVecEnv(2, spaces.MultiDiscrete([2, 3]))
    settings = make_agent("ppo", n_steps=8, batch_size=16, policy_kwargs=policy_kwargs)
    assert isinstance(settings, Sb3Config)
    return make_model(settings, env, Clock(lambda: env.step_seconds, 60.0), 0)


def test_activations_optimizers_and_extractors_are_found_by_name() -> None:
    model = toy_model(net_arch={"pi": [4], "vf": [6, 6]}, activation_fn="gelu", optimizer_class="AdamW", **EXTRACTOR)
    kinds = {type(module).__name__ for module in model.policy.modules()}
    assert {"GELU", "Squared"} <= kinds
    assert type(model.policy.optimizer).__name__ == "AdamW"
    assert model.policy.features_extractor.power == 3.0
    assert [layer.out_features for layer in model.policy.mlp_extractor.value_net if hasattr(layer, "out_features")] == [
        6,
        6,
    ]


@pytest.mark.parametrize(
    ("policy_kwargs", "message"),
    [
        ({"net_archs": [4]}, "unknown key 'net_archs'; did you mean 'net_arch'"),
        ({"net_arch": [0]}, "it must be a list of widths from 1 to 65536"),
        ({"net_arch": "wide"}, "it must be a list of widths"),
        ({"activation_fn": "rellu"}, "activation_fn is 'rellu'; did you mean 'relu'"),
        ({"features_extractor_class": f"{HERE}:Squard"}, "did you mean 'Squared'"),
        ({"features_extractor_class": "subprocess:Popen"}, "must be a class that derives from BaseFeaturesExtractor"),
        ({"features_extractor_class": "nowhere_at_all:X"}, "module 'nowhere_at_all' cannot be imported"),
        ({"optimizer_class": "Adamm"}, "did you mean 'adam'"),
    ],
)
def test_a_part_that_is_not_there_is_one_line(policy_kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(AgentConfigError, match=message) as caught:
        toy_model(**policy_kwargs)
    assert "\n" not in str(caught.value)


def test_continuous_agents_name_those_that_fit_other_actions() -> None:
    settings = make_agent("sac")
    assert isinstance(settings, Sb3Config)
    env = DummyVecEnv([lambda: TimedVecEnv(1, spaces.MultiDiscrete([2, 3])).envs[0]])
    with pytest.raises(AgentConfigError, match=r"agent sac plays Box actions, .* agents that fit: maskable-ppo, ppo"):
        make_model(settings, env, Clock(lambda: np.zeros(1), 60.0), 0)


class Costs(TimedVecEnv):
    """Toys whose infos have the terms of a step."""

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = super().step_wait()
        for index, info in enumerate(infos):
            info.update(dict.fromkeys(StepTerms.__slots__, 0.0), waiting_usd=index + 1.0)
        return observations, rewards, dones, infos


def test_a_reward_of_the_user_is_made_from_the_terms_of_each_step() -> None:
    env = CustomReward(Costs(2, spaces.Discrete(2)), load_reward(f"{HERE}:waiting_only"))
    env.reset()
    _, rewards, _, _ = env.step(np.zeros(2, np.int64))
    assert rewards.tolist() == [-1.0, -2.0]


@pytest.mark.parametrize("answer", [np.zeros(3), np.array([0.0, np.nan]), 1.0])
def test_a_reward_that_is_not_one_number_per_cluster_is_refused(answer: Any) -> None:
    env = CustomReward(Costs(2, spaces.Discrete(2)), lambda terms: answer)
    env.reset()
    with pytest.raises(AgentConfigError, match=r"train\.reward must give one finite number for each of 2 clusters"):
        env.step(np.zeros(2, np.int64))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClusterTask]:
    """A finished training with a reward, a callback and an extractor of the user; not to be changed."""
    folder = tmp_path_factory.mktemp("user") / "run"
    folder.mkdir()
    parts = {"reward": f"{HERE}:waiting_only", "callbacks": (CallbackConfig(f"{HERE}:Counter", {"every": 64}),)}
    task = small_task("ppo", train={"total_steps": 2048, "validations": 2, **parts}, policy_kwargs=EXTRACTOR)
    SEEN.clear()
    train(task, folder)
    return folder, task


def test_the_parts_of_the_user_take_part_in_a_training(run: tuple[Path, ClusterTask]) -> None:
    folder, task = run
    assert SEEN == [1024, 2048]
    assert task.reward_scale == 1.0
    entries = [json.loads(line) for line in (folder / CURVE).read_text().splitlines()]
    assert any("rollout/reward_per_hour" in entry for entry in entries)
    assert any(type(module).__name__ == "Squared" for module in load_policy(folder).network.modules())  # type: ignore[attr-defined]


def test_a_training_starts_from_the_policy_of_another_run(run: tuple[Path, ClusterTask], tmp_path: Path) -> None:
    folder, task = run
    warm = train(replace(task, train=replace(task.train, init_from=str(folder), callbacks=())), tmp_path)
    best = min(
        entry["validation/usd"]
        for entry in map(json.loads, (folder / CURVE).read_text().splitlines())
        if "validation/usd" in entry
    )
    assert warm.start_score == best


def test_a_training_does_not_start_from_another_agent_or_codec(run: tuple[Path, ClusterTask], tmp_path: Path) -> None:
    folder, task = run
    start = TrainConfig(total_steps=512, num_envs=16, validations=1, init_from=str(folder))
    with pytest.raises(ArtifactError, match=r"policy is of agent ppo; train\.init_from needs a2c|is a policy of ppo"):
        train(replace(small_task("a2c"), train=start), tmp_path)
    narrow = small_problem(replace(LAYOUTS["ppo"], window_slots=2))
    with pytest.raises(ArtifactError, match=r"set environment\.codec\.window_slots=3"):
        train(replace(task, train=start, problem=narrow), tmp_path)


def test_a_finished_training_can_be_made_longer(run: tuple[Path, ClusterTask], tmp_path: Path) -> None:
    import shutil

    folder, task = run
    copy = Path(shutil.copytree(folder, tmp_path / "run"))
    before = (copy / CURVE).read_text()
    longer = train(replace(task, train=replace(task.train, total_steps=3072, callbacks=())), copy, resume=True)
    assert (longer.steps, longer.total_steps, longer.finished) == (3072, 3072, True)
    assert (copy / CURVE).read_text().startswith(before)
    entries = [json.loads(line) for line in (copy / CURVE).read_text().splitlines()]
    rates = {entry["step"]: entry["train/learning_rate"] for entry in entries if "train/learning_rate" in entry}
    assert rates[3072] == pytest.approx(1e-3 * (1 - 2560 / 3072))


def test_infos_are_read_where_an_episode_ended_and_nowhere_else() -> None:
    """A batch of 256 that makes a dict each, at every step, loses a twentieth of its speed."""
    model: Any = small_model("ppo")

    class Infos(list[dict[str, Any]]):
        def __iter__(self) -> Any:
            raise AssertionError("every info was read")

    infos = Infos({} for _ in range(model.env.num_envs))
    dones = np.zeros(model.env.num_envs, np.bool_)
    model._setup_learn(1)
    model._update_info_buffer(infos, dones)
    assert not model.ep_info_buffer
    dones[2], infos[2] = True, {"episode": {"r": 1.0, "l": 3}}
    model._update_info_buffer(infos, dones)
    assert list(model.ep_info_buffer) == [{"r": 1.0, "l": 3}]
