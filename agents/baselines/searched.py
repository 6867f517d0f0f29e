"""Rules whose constants are too many for a grid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from agents.baselines.knobs import Knobs
from agents.baselines.rule import Facts, Rule

if TYPE_CHECKING:
    from agents.baselines.search import TunedConstants
    from agents.baselines.training_window import TrainingWindow


class SearchedRule(Rule):
    """A rule that CMA-ES tunes."""

    grid: ClassVar = {}

    @classmethod
    @abstractmethod
    def knobs(cls, training: TrainingWindow, facts: Facts) -> tuple[Knobs, int]:
        """What is searched, and from where; and the jobs that were simulated to find that start."""

    @classmethod
    def tune(
        cls,
        window: TrainingWindow,
        progress: Callable[[int], None] | None = None,
        budget_jobs: int | None = None,
    ) -> TunedConstants:
        """Search; see `agents.baselines.cma_search.search_by_cma`. The simulator is imported only here."""
        from agents.baselines.cma_search import search_by_cma

        return search_by_cma(cls, window, progress, budget_jobs)
