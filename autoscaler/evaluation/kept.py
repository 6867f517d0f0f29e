"""Which policy of a training was kept, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Kept(NamedTuple):
    """Which policy of a training was kept: the one that scored best on the training window.

    Attributes:
        step: environment steps that it has seen; 0: the start, which none beat.
        total_steps: environment steps of the training.
    """

    step: int
    total_steps: int


def kept_text(kept: Kept) -> str:
    """What a run keeps, to follow its name."""
    if kept.step == 0:
        return f"keeps step 0 of {kept.total_steps:,}, the start of training: no later policy scored better"
    return f"keeps step {kept.step:,} of {kept.total_steps:,}"


def kept_label(seeds: Sequence[Kept]) -> str:
    """What the seeds of a policy are, short: for a table."""
    totals = sorted({kept.total_steps for kept in seeds})
    total = " or ".join(f"{each:,}" for each in totals)
    if all(kept.step == 0 for kept in seeds):
        return f"step 0 of {total}: the start"
    steps = sorted({kept.step for kept in seeds})
    if len(steps) == 1:
        return f"step {steps[0]:,} of {total}"
    return f"steps {steps[0]:,} to {steps[-1]:,} of {total}"


def start_sentence(name: str, seeds: Sequence[Kept]) -> str:
    """That training did not help a policy, where it did not; else empty."""
    starts = sum(kept.step == 0 for kept in seeds)
    if not starts:
        return ""
    who = name if starts == len(seeds) else f"{name} with {starts} of its {len(seeds)} seeds"
    return f"{who} is the policy that training started from: no later one scored better on the training window."
