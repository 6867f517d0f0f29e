"""Makes the recordings that `autoscaler dashboard --demo` plays: `python packaging/make_demo.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

import autoscaler
import traces
from autoscaler import cities
from autoscaler.recordings.city import record_city

DEMO = Path(__file__).parents[1] / "autoscaler" / "dashboard" / "demo"

RULES = ("reactive-tuned", "gaia")
"""What is played: the rule that results are compared with, and one that waits for clean hours."""


def make_cluster(folder: Path) -> None:
    """Three regions with signals of their own, two days, under two rules."""
    experiment = autoscaler.load_experiment("experiment/three-regions")
    trace = traces.load(experiment.trace)
    comparison = autoscaler.evaluate(
        baselines=RULES,
        trace=trace,
        cluster=experiment.described_cluster(trace),
        environment=experiment.environment,
        windows=6,
        start=0.6,
        progress=True,
    )
    shutil.rmtree(folder, ignore_errors=True)
    comparison.write_recording(folder)


def make_city(folder: Path) -> None:
    """A village of ten sites for four hours, each on its own, and with hubs for several zones as tuning finds them."""
    city = cities.load_scenario("city/village", [])
    policies = {name: cities.find_policy(name, city, tune=True) for name in ("nearest", "best-constant")}
    shutil.rmtree(folder, ignore_errors=True)
    start_ms = cities.episode_starts(city, 1, 0)[0]
    record_city(folder, city, policies, start_ms, f"city/village: {city.num_sites} sites")


if __name__ == "__main__":
    make_city(DEMO / "city")
    make_cluster(DEMO / "cluster")
