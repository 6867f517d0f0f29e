"""A small scenario that runs in seconds, and a policy whose first worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from agents.baselines import Baseline, ConstantSetpoint
from envs.gpu_cluster.codec import CodecLayout

SMALL = """\
version: 1
description: a few days of generated jobs
trace: synthetic:quickstart?days=3&seed=0&jobs_per_day=100
windows: 2
environment:
  codec: {max_pools: 1, window_slots: 4}
"""

FUNCTIONS = """\
version: 1
description: half a day of a few generated functions
env: autoscaler/Serverless-v0
env_kwargs: {workload: "synthetic-functions:mixed?functions=10&hours=12&seed=0"}
train_kwargs: {config: {part: train}}
test_kwargs: {config: {part: test}}
windows: 2
"""

MARK = "AUTOSCALER_TEST_KILLED"
"""The environment variable with the path of a file that the policy leaves behind before it dies."""


def small_scenario(folder: Path, name: str = "small", text: str = SMALL) -> str:
    """The path of a scenario's file."""
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path)


def die_once(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """Kill the process that first asks for the policy."""
    mark = Path(os.environ[MARK])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return ConstantSetpoint(layout, 300.0, 0.0, name="dies-once")


def die(layout: CodecLayout, _generator: np.random.Generator) -> ConstantSetpoint:
    """Kill every process that asks for the policy."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


DIES_ONCE = Baseline(die_once)
DIES = Baseline(die)
