"""Which runs are seeds of one policy."""

from __future__ import annotations

from typing import cast

import pytest

from agents.policy import Policy
from autoscaler.evaluation.kept import Kept
from autoscaler.evaluation.runs import Run, contenders_of
from autoscaler.experiment import load_experiment


def run_of(seed: int, start: str | None, *changes: str) -> Run:
    """A run of a seed that began at another run."""
    starts = [] if start is None else [f"train.init_from={start}"]
    experiment = load_experiment("experiment/quickstart", [f"seed={seed}", *starts, *changes])
    return Run(f"runs/{start}-{seed}", cast("Policy", object()), experiment, None, Kept(0, 1))


@pytest.mark.parametrize(
    ("runs", "groups"),
    [
        ([(0, None), (1, None)], [[0, 1]]),
        ([(0, "a0"), (1, "a1")], [[0, 1]]),  # each began at the run of its own seed
        ([(0, "a"), (1, "a")], [[0, 1]]),
        ([(0, None), (0, "a")], [[0], [0]]),
        ([(0, "a"), (0, "b")], [[0], [0]]),  # one seed from two starts: two policies
        ([(0, "a"), (1, "a"), (0, "b"), (1, "b")], [[0, 1], [0, 1]]),
    ],
)
def test_seeds_join_whatever_run_each_began_at(runs: list[tuple[int, str | None]], groups: list[list[int]]) -> None:
    found = contenders_of([run_of(seed, start) for seed, start in runs])
    assert [list(contender.seeds) for contender in found] == groups
    assert len({contender.name for contender in found}) == len(groups)


def test_runs_of_other_settings_do_not_join() -> None:
    found = contenders_of([run_of(0, None), run_of(1, None, "agent.windows=4")])
    assert [contender.seeds for contender in found] == [(0,), (1,)]
