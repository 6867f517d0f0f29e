"""A reinforcement-learning autoscaler for GPU clusters, as a library.

    import autoscaler

    run = autoscaler.train("experiment/quickstart", "runs/first", progress=True)
    comparison = autoscaler.evaluate(run.folder, progress=True)
    comparison.write_report("report.html")
    simulation = autoscaler.simulate(run.folder, "synthetic:quickstart?days=7&seed=1")

Importing this package loads nothing else, so that `autoscaler --help` and the live loop start quickly; each name below
imports what it needs when it is used first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.loading import load_policy as load_policy
    from autoscaler.bench.grid import run_bench as run_bench
    from autoscaler.bench.table import bench_table as bench_table
    from autoscaler.evaluation.comparison import Comparison as Comparison
    from autoscaler.evaluation.evaluate import evaluate as evaluate
    from autoscaler.experiment import ExperimentConfig as ExperimentConfig
    from autoscaler.experiment import load_experiment as load_experiment
    from autoscaler.progress import Reporter as Reporter
    from autoscaler.simulation import simulate as simulate
    from autoscaler.sweeps.study import sweep as sweep
    from autoscaler.training import Hooks as Hooks
    from autoscaler.training import resume as resume
    from autoscaler.training import train as train

    __version__: str

DISTRIBUTION = "green-gpu-autoscaler"

# name: the module that defines it; the same as above, which type checkers read
LAZY_NAMES = {
    "Comparison": "autoscaler.evaluation.comparison",
    "ExperimentConfig": "autoscaler.experiment",
    "Hooks": "autoscaler.training",
    "Reporter": "autoscaler.progress",
    "bench_table": "autoscaler.bench.table",
    "evaluate": "autoscaler.evaluation.evaluate",
    "load_experiment": "autoscaler.experiment",
    "load_policy": "agents.loading",
    "resume": "autoscaler.training",
    "run_bench": "autoscaler.bench.grid",
    "simulate": "autoscaler.simulation",
    "sweep": "autoscaler.sweeps.study",
    "train": "autoscaler.training",
}

__all__ = [
    "Comparison",
    "ExperimentConfig",
    "Hooks",
    "Reporter",
    "bench_table",
    "evaluate",
    "load_experiment",
    "load_policy",
    "resume",
    "run_bench",
    "simulate",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is used first, and look `__version__` up in the installed distribution."""
    if name in LAZY_NAMES:
        from importlib import import_module

        value = globals()[name] = getattr(import_module(LAZY_NAMES[name]), name)
        return value
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+not-installed"


def __dir__() -> list[str]:
    """Names that completion offers."""
    return sorted({*globals(), *LAZY_NAMES, "__version__"})
