"""Every environment draws itself, so that Gymnasium's RecordVideo films it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo

from envs.recording.pictures import CONTAINERS
from envs.registry import register_envs
from tests.films import needs_moviepy, read_film

register_envs()

SMALL: dict[str, dict[str, Any]] = {
    "autoscaler/GpuCluster-v0": {"trace": "synthetic:quickstart?days=2&seed=1"},
    "autoscaler/Serverless-v0": {
        "workload": "synthetic-functions:mixed?functions=6&hours=6&seed=1",
        "config": {"episode_seconds": 5400.0, "warm_up_seconds": 600.0},
    },
    "autoscaler/EdgeCity-v0": {},
}


@pytest.mark.parametrize("env_id", SMALL)
def test_an_episode_is_filmed(env_id: str, tmp_path: Path) -> None:
    needs_moviepy()
    env = RecordVideo(
        gymnasium.make(env_id, render_mode="rgb_array", **SMALL[env_id]), str(tmp_path / "films"), video_length=5
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(8):
        env.step(env.action_space.sample(*masks(env)))
    shape = env.render().shape
    env.close()
    (path,) = (tmp_path / "films").glob("*.mp4")
    film = read_film(path)
    assert "yuv420p" in film.about  # what every browser plays
    assert len(film.frames) >= 5
    assert film.frames.shape[1:] == shape
    assert (np.abs(film.frames[1:].astype(int) - film.frames[0]) > 100).any()  # time passes


def masks(env: gymnasium.Env[Any, Any]) -> tuple[Any, ...]:
    """The mask of valid actions for `sample`, where the environment has one."""
    if not hasattr(env.unwrapped, "action_masks"):
        return ()
    mask = np.asarray(env.unwrapped.action_masks(), np.int8)
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        return (mask,)
    return (tuple(np.split(mask, np.cumsum(env.action_space.nvec)[:-1])),)  # type: ignore[attr-defined]


def test_a_pool_of_functions_shows_its_nodes_and_containers() -> None:
    from envs.serverless.render import count_containers

    env: Any = gymnasium.make("autoscaler/Serverless-v0", render_mode="rgb_array", **SMALL["autoscaler/Serverless-v0"])
    env.reset(seed=0)
    for _ in range(20):
        env.step(np.array([8, 1, 0, 0]))  # containers stay for hours
    counts = count_containers(env.unwrapped._simulator)
    assert counts["warm"] > 0
    assert list(counts) == list(CONTAINERS)
    colours = {tuple(colour) for colour in env.render().reshape(-1, 3).tolist()}
    assert tuple(int(CONTAINERS["warm"][at : at + 2], 16) for at in (1, 3, 5)) in colours
    env.close()


def test_a_mode_that_draws_nothing_draws_nothing() -> None:
    for env_id in ("autoscaler/Serverless-v0", "autoscaler/EdgeCity-v0"):
        env = gymnasium.make(env_id, **SMALL[env_id])
        env.reset(seed=0)
        assert env.unwrapped.render() is None
        env.close()
