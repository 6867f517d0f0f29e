"""A gang that was sent to a pool which is gone, on the real control plane and the real Job controller."""

from typing import Any

import pytest

from autoscaler.live.actuate.placement import place
from autoscaler.live.kube.client import connect
from autoscaler.live.names import EVENT_POOL_UNAVAILABLE
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings
from tests.cluster.live_support import gated_gang as submitted
from tests.cluster.live_support import release_of
from tests.cluster.objects import gang_job

JOBS = "/apis/batch/v1/namespaces/default/jobs"
IGNORE = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}


def sent_to_a_pool_that_is_gone(cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch, **spec: Any) -> None:
    """Submit a gang, and place it as another process would that knew of another pool."""

    def create(name: str, **options: Any) -> None:
        body = gang_job(name, **{**options, "pod_spec": GATED})
        body["spec"] |= spec
        cluster.request("POST", JOBS, body)

    monkeypatch.setattr(cluster, "create_gang_job", create)
    gang = submitted(cluster, "gang", pods=2, gpus_per_pod=8, run_seconds=1)
    client = connect(str(cluster.kubeconfig))
    assert place(client, release_of(gang, "gone"), 0.0).refused == ()
    client.close()


def job(cluster: ControlPlane) -> dict[str, Any]:
    found: dict[str, Any] = cluster.request("GET", f"{JOBS}/gang")
    return found


def told(cluster: ControlPlane) -> list[str]:
    events = cluster.request("GET", "/api/v1/namespaces/default/events")["items"]
    return [event["message"] for event in events if event["reason"] == EVENT_POOL_UNAVAILABLE]


@pytest.mark.parametrize("spec", [{"backoffLimit": 2}, {"backoffLimit": 0, "podFailurePolicy": IGNORE}])
def test_its_job_makes_the_pods_again_and_they_run_elsewhere(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any]
) -> None:
    sent_to_a_pool_that_is_gone(cluster, monkeypatch, **spec)
    with deployed(cluster, live_settings("pools.0.max_nodes=2")):
        cluster.wait_for_job("gang")
        cluster.wait_until(lambda: told(cluster) or None, "people are told")
    assert job(cluster)["status"]["succeeded"] == 2


def test_a_job_that_would_fail_by_it_keeps_its_pods_and_people_are_told(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_to_a_pool_that_is_gone(cluster, monkeypatch, backoffLimit=0)
    before = {pod["metadata"]["uid"] for pod in cluster.pods("job-name=gang")}
    with deployed(cluster, live_settings("pools.0.max_nodes=2")):
        cluster.wait_until(lambda: told(cluster) or None, "people are told")
    assert "delete its pods yourself" in told(cluster)[0]
    assert {pod["metadata"]["uid"] for pod in cluster.pods("job-name=gang")} == before
    assert "conditions" not in job(cluster)["status"]
