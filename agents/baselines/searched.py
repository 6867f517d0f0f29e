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
    from envs.gpu_cluster.cluster import ClusterConfig
    from envs.gpu_cluster.config import EnvironmentConfig
    from traces.trace import Trace


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
        trace: Trace,
        cluster: ClusterConfig,
        config: EnvironmentConfig,
        start_seconds: float,
        end_seconds: float,
        windows: int = 6,
        progress: Callable[[int], None] | None = None,
        budget_jobs: int | None = None,
    ) -> TunedConstants:
        """Search; see `agents.baselines.cma_search.search_by_cma`. The simulator is imported only here."""
        from agents.baselines.cma_search import search_by_cma
        from agents.baselines.training_window import TrainingWindow

        window = TrainingWindow(trace, cluster, config, start_seconds, end_seconds, windows)
        return search_by_cma(cls, window, progress, budget_jobs)
