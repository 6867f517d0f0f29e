"""Releases of gangs on the real API server and scheduler."""

from collections.abc import Iterator

import pytest

from autoscaler.live.actuate.placement import place
from autoscaler.live.guardrails import Release
from autoscaler.live.names import LABEL_POOL
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_support import MortalClient, gated_gang, mortal_client, pool_node, release_of, with_uid


@pytest.fixture
def client(cluster: ControlPlane) -> Iterator[MortalClient]:
    with mortal_client(cluster.kubeconfig) as made:
        yield made


def nodes_of(cluster: ControlPlane, name: str) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in cluster.pods(f"job-name={name}")}


def test_a_gated_gang_waits_and_runs_in_its_pool_after_one_patch_per_pod(
    cluster: ControlPlane, client: MortalClient
) -> None:
    pool_node(cluster, "na", "a")
    pool_node(cluster, "nb", "b")
    gang = gated_gang(cluster, "gang", pods=2, gpus_per_pod=4, run_seconds=0.5)
    assert nodes_of(cluster, "gang") == {""}

    placed = place(client, release_of(gang, "b"), 1_000_000.0)
    assert placed.refused == ()
    assert client.writes == 2
    cluster.wait_until(lambda: nodes_of(cluster, "gang") == {"nb"}, "the gang is bound to pool b")
    cluster.wait_for_job("gang")


def test_a_selector_of_the_user_stays(cluster: ControlPlane, client: MortalClient) -> None:
    gang = gated_gang(cluster, "gang", pods=1, gpus_per_pod=1, pod_spec={"nodeSelector": {"disk": "nvme"}})
    assert place(client, release_of(gang), 0.0).refused == ()
    (pod,) = cluster.pods("job-name=gang")
    assert pod["spec"]["nodeSelector"] == {"disk": "nvme", LABEL_POOL: "a"}
    assert "schedulingGates" not in pod["spec"]


def test_gates_of_others_stay(cluster: ControlPlane, client: MortalClient) -> None:
    gates = [{"name": "other.example/gate"}, {"name": "autoscaler.green/placement"}]
    gang = gated_gang(cluster, "gang", pods=1, gpus_per_pod=1, pod_spec={"schedulingGates": gates})
    assert place(client, release_of(gang), 0.0).refused == ()
    (pod,) = cluster.pods("job-name=gang")
    assert pod["spec"]["schedulingGates"] == [{"name": "other.example/gate"}]


def test_repeating_a_release_changes_nothing(cluster: ControlPlane, client: MortalClient) -> None:
    gang = gated_gang(cluster, "gang", pods=1, gpus_per_pod=1)
    place(client, release_of(gang), 0.0)
    assert place(client, release_of(gang), 0.0).refused == ()


def test_a_second_leader_cannot_send_a_pod_elsewhere(cluster: ControlPlane, client: MortalClient) -> None:
    gang = gated_gang(cluster, "gang", pods=1, gpus_per_pod=1)
    place(client, release_of(gang, "a"), 0.0)
    (refused,) = place(client, release_of(gang, "b"), 0.0).refused
    assert "somebody else" in refused.reason
    (pod,) = cluster.pods("job-name=gang")
    assert pod["spec"]["nodeSelector"] == {LABEL_POOL: "a"}


def test_a_pod_that_is_another_one_by_now_is_not_released(cluster: ControlPlane, client: MortalClient) -> None:
    gang = gated_gang(cluster, "gang", pods=1, gpus_per_pod=1)
    stale = with_uid(gang.pods[0], "00000000-0000-0000-0000-000000000000")
    assert len(place(client, Release(gang, "a", (stale,)), 0.0).refused) == 1
    (pod,) = cluster.pods("job-name=gang")
    assert pod["spec"]["schedulingGates"]


def test_a_release_that_dies_half_way_is_finished_by_the_next(cluster: ControlPlane, client: MortalClient) -> None:
    from tests.cluster.live_support import KilledError

    pool_node(cluster, "na", "a")
    gang = gated_gang(cluster, "gang", pods=3, gpus_per_pod=2, run_seconds=0.5)
    client.die_at("after", 1)
    with pytest.raises(KilledError):
        place(client, release_of(gang), 0.0)
    assert place(client, release_of(gang), 0.0).refused == ()
    cluster.wait_for_job("gang")
