"""A policy that was just trained decides on a real control plane, through ONNX, from nothing to nothing."""

from collections import Counter
from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.live.names import METRIC_PLACED_PODS
from autoscaler.live.telemetry.audit import read_audit
from tests.cluster.control_plane import ControlPlane
from tests.cluster.trace_replay import at_its_hour, settings_of, window_of, with_policy, works_of

TRACE = "synthetic:quickstart?days=3&seed=0"
START_SECONDS, HOURS, LONGEST_SECONDS, MAX_NODES = 50_400.0, 0.75, 1800.0, 12
TRAINING = """\
trace: synthetic:quickstart?days=3&seed=0
environment:
  episode_seconds: 21600
  codec: {max_pools: 1, window_slots: 2}
agent: {hidden_units: 8, n_steps: 32, batch_size: 128, n_epochs: 2}
train: {total_steps: 2048, num_envs: 16, validations: 2, validation_windows: 2}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a training of a few seconds."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(TRAINING)
    assert main(["train", str(folder / "small.yaml"), "--seed", "0", "--out", str(folder), "--name", "run", "-q"]) == 0
    return folder / "run"


def test_a_trained_policy_runs_every_job_whole_evicts_nobody_and_gives_all_nodes_back(
    cluster: ControlPlane, trained: Path, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    trace = window_of(TRACE, START_SECONDS, HOURS, LONGEST_SECONDS)
    works = works_of(trace)
    assert len(works) > 5
    assert max(work.pods for work in works) > 1, "there must be a gang"
    config = settings_of(MAX_NODES, "codec.max_pools=1", "codec.window_slots=2", f"audit_path={audit}")
    result, live = with_policy(cluster, works, at_its_hour(config, trace), str(trained), until_empty=True)
    assert result.finished == len(works)
    assert result.evicted == 0
    jobs = cluster.request("GET", "/apis/batch/v1/namespaces/default/jobs")["items"]
    assert not any(job["status"].get("failed") for job in jobs)
    assert live.process.metrics.value(METRIC_PLACED_PODS, "gpu") == sum(work.pods for work in works)
    assert max(len(seen.view.pools[0].nodes) for seen in live.observations) <= MAX_NODES
    assert_the_trained_policy_decided(audit)
    assert main(["replay", str(audit)]) == 0


def assert_the_trained_policy_decided(audit: Path) -> None:
    """Each time, and not the heuristic that stands in for a policy that says nothing usable."""
    decisions = [record for _, record in read_audit(audit) if record["kind"] == "decision"]
    assert Counter(record["policy"] for record in decisions) == {"maskable-ppo": len(decisions)}
    assert not any(record["fallback"] for record in decisions)
    assert len(decisions) > 10
