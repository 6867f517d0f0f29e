"""Trains and records what `autoscaler dashboard --demo` plays: `python packaging/make_demo.py`, about ten minutes.

Both recordings show a trained policy beside the tuned rule that results are compared with, on days that neither saw.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa

import autoscaler
import traces
from agents.loading import load_policy
from autoscaler.evaluation.edge_city import EdgeCityEvaluation
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.runs import load_run
from autoscaler.evaluation.windows import equal_windows
from autoscaler.recordings.city import record_city
from autoscaler.recordings.simulated import Recorded, record_policies
from autoscaler.recordings.stretch import Stretch
from autoscaler.run_folder import saved_experiment
from envs.recording.writer import SUFFIX

DEMO = Path(__file__).parents[1] / "autoscaler" / "dashboard" / "demo"

DAY = 86_400.0

POOLS = ", ".join(f"{{name: {name}, max_nodes: 60, region: {name}}}" for name in ("west", "south", "east"))
CLUSTER = (
    "trace=synthetic:itp?days=60&seed=0&deferrable=0.5&estimated=1",
    f"cluster={{pools: [{POOLS}]}}",
    "agent.name=cma-es",
    "train.total_steps=3000000",
)
"""Three regions with jobs that come in bursts, so that there is something to learn."""

CITY = ("env_kwargs.scenario.episode_seconds=7200.0", "train.total_steps=300000")
"""Episodes of two hours: in one hour hubs are not full yet when the morning's requests grow."""


def make_cluster(folder: Path, run: Path) -> None:
    """Two days of three regions: trained on 36 days, recorded on the 41st and 42nd."""
    autoscaler.train("experiment/three-regions", run, overrides=CLUSTER, progress=True)
    record_cluster(folder, run)


def record_cluster(folder: Path, run: Path) -> None:
    """The policy of a run, and the rule that was tuned beside it."""
    found = load_run(str(run))
    assert found.tuned is not None
    environment, trace = found.experiment.environment, traces.load(found.experiment.trace)
    scenario = Scenario(trace, found.experiment.described_cluster(trace), environment)
    policies = [
        Recorded("cma-es, trained", found.policy),
        Recorded("reactive-tuned", found.tuned.policy(environment), is_reference=True),
    ]
    title = "three regions, two days of generated jobs: cma-es, trained on 36 days before, and the rule tuned on them"
    window = equal_windows(trace, found.experiment.split.train, 1.0, 1)[0]
    replace_recording(folder)
    record_policies(folder, scenario, window, policies, title, Stretch(40 * DAY, 42 * DAY))
    compact(folder)


def make_city(folder: Path, run: Path) -> None:
    """Two hours of a village: trained on the mornings of three days, recorded on the first morning after them."""
    autoscaler.train("experiment/edge-city", run, overrides=CITY, progress=True)
    record_village(folder, run)


def record_village(folder: Path, run: Path) -> None:
    """The policy of a run, and the tuned rule."""
    experiment = saved_experiment(run)
    env, kwargs = str(experiment.env), experiment.env_kwargs
    evaluation = EdgeCityEvaluation(env, kwargs, EdgeCityEvaluation.held_out(kwargs), 2)
    rule, _ = evaluation.make_rule(evaluation.reference)
    policies = {evaluation.reference: rule, "linear-cma-es, trained": load_policy(str(run))}
    title = "a village on a fourth morning: linear-cma-es, trained on three before, and the constant tuned on them"
    replace_recording(folder)
    record_city(folder, evaluation.city, policies, round(1000 * evaluation.windows[0][0]), title)
    compact(folder)


def compact(folder: Path) -> None:
    """Join the batches of each table: how many were written depends on how long it took, and many are larger."""
    for path in folder.rglob(f"*{SUFFIX}"):
        with pa.ipc.open_stream(path) as stream:
            table = stream.read_all().combine_chunks()
        with pa.ipc.new_stream(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_table(table)


def replace_recording(folder: Path) -> None:
    """Make place for a new one."""
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as runs:
        make_city(DEMO / "city", Path(runs) / "city")
        make_cluster(DEMO / "cluster", Path(runs) / "cluster")
