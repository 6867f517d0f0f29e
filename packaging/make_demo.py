"""Trains and records what `autoscaler dashboard --demo` plays: `python packaging/make_demo.py`, some minutes.

Both recordings show a trained policy beside the tuned rule that results are compared with, on days that neither saw.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import autoscaler
from agents.loading import load_policy
from autoscaler.evaluation.edge_city import EdgeCityEvaluation
from autoscaler.recordings.city import record_city
from autoscaler.recordings.simulated import Recorded, record_policies
from autoscaler.recordings.stretch import Stretch

DEMO = Path(__file__).parents[1] / "autoscaler" / "dashboard" / "demo"

DAY = 86_400.0

POOLS = ", ".join(f"{{name: {name}, max_nodes: 60, region: {name}}}" for name in ("west", "south", "east"))
CLUSTER = (
    "trace=synthetic:itp?days=60&seed=0&deferrable=0.5&estimated=1",
    f"cluster={{pools: [{POOLS}]}}",
    "agent.name=cma-es",
    "train.total_steps=20000000",
)
"""Three regions with jobs that come in bursts, so that there is something to learn."""

CITY = ("env_kwargs.scenario.episode_seconds=7200.0", "train.total_steps=300000")
"""Episodes of two hours: in one hour hubs are not full yet when the morning's requests grow."""


def make_cluster(folder: Path, run: Path) -> None:
    """Two days of three regions: trained on 36 days, recorded on days 40 and 41."""
    autoscaler.train("experiment/three-regions", run, overrides=CLUSTER, progress=True)
    comparison = autoscaler.evaluate(run, baselines="reactive-tuned", windows=1, progress=True)
    (trained, rule) = (comparison.results[name].contender.policies[0] for name in ("cma-es", "reactive-tuned"))
    policies = [Recorded("cma-es, trained", trained), Recorded("reactive-tuned", rule, is_reference=True)]
    title = "three regions, days 40 and 41 of generated jobs: cma-es, trained on the first 36 days, and the tuned rule"
    replace_recording(folder)
    stretch = Stretch(40 * DAY, 42 * DAY)
    record_policies(folder, comparison.scenario, comparison.windows[0], policies, title, stretch)


def make_city(folder: Path, run: Path) -> None:
    """Two hours of a village: trained on the mornings of three days, recorded on the first morning after them."""
    done = autoscaler.train("experiment/edge-city", run, overrides=CITY, progress=True)
    env, kwargs = str(done.experiment.env), done.experiment.env_kwargs
    evaluation = EdgeCityEvaluation(env, kwargs, EdgeCityEvaluation.held_out(kwargs), 2)
    rule, _ = evaluation.make_rule(evaluation.reference)
    policies = {evaluation.reference: rule, "linear-cma-es, trained": load_policy(str(run))}
    title = "a village, the fourth morning: linear-cma-es, trained on the first three, and the tuned rule"
    replace_recording(folder)
    record_city(folder, evaluation.city, policies, round(1000 * evaluation.windows[0][0]), title)


def replace_recording(folder: Path) -> None:
    """Make place for a new one."""
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as runs:
        make_city(DEMO / "city", Path(runs) / "city")
        make_cluster(DEMO / "cluster", Path(runs) / "cluster")
