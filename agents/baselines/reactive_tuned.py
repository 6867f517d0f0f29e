"""The idle time-out, reserve, levers and packer that cost least on a training window; see `agents.baselines.tuned`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.baselines.baseline import Baseline

if TYPE_CHECKING:
    from agents.baselines.tuned import Tuned


def tune(*arguments: Any) -> Tuned:
    """Search; the arguments are those of `agents.baselines.tuned.tune`, whose simulator is imported only here."""
    from agents.baselines.tuned import tune as search

    return search(*arguments)


BASELINE = Baseline(tune=tune)
