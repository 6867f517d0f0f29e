"""Jobs that their first pool cannot take run in the next one, seen from the API server."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.live.actuate.placement import place
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.kube.client import connect
from autoscaler.live.names import EVENT_FAILED_TO_SCALE_UP, EVENT_POOL_UNAVAILABLE, LABEL_POOL, ORDERS_CONFIG_MAP
from tests.cluster import constants
from tests.cluster.cluster import is_ready
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings
from tests.cluster.live_support import gated_gang, pool_node, release_of
from tests.cluster.objects import IMAGE

ORDERS = f"/api/v1/namespaces/kube-system/configmaps/{ORDERS_CONFIG_MAP}"
QUIET_SECONDS = 4.0
"""Some decisions later nothing else has been ordered: four minutes of the clock."""

Changed = Callable[[LivePool], LivePool]


def pools(most: dict[str, int], *overrides: str, first: Changed = lambda pool: pool) -> LiveConfig:
    """Equal pools by name and most nodes, of which the first may be changed."""
    config = live_settings("resync_interval_seconds=60.0", *overrides)
    made = [replace(config.pools[0], name=name, max_nodes=nodes) for name, nodes in most.items()]
    return replace(config, pools=(first(made[0]), *made[1:]))


def odd_label(pool: LivePool) -> LivePool:
    """A pool whose nodes the API server refuses."""
    return replace(pool, template=replace(pool.template, labels={"team": "not valid!"}))


def without_gpus(pool: LivePool) -> LivePool:
    """A pool whose nodes never get their GPUs."""
    return replace(pool, provider_settings={"gpu_delay_seconds": None})


def nodes(cluster: ControlPlane) -> dict[str, str]:
    """The pool of each node."""
    items = cluster.request("GET", "/api/v1/nodes", query={"labelSelector": LABEL_POOL})["items"]
    return {item["metadata"]["name"]: item["metadata"]["labels"][LABEL_POOL] for item in items}


def ordered(cluster: ControlPlane) -> dict[str, int]:
    """How many nodes were ordered since it was last `forgotten`, by pool."""
    return {pool: int(count) for pool, count in cluster.request("GET", ORDERS).get("data", {}).items()}


@pytest.fixture(autouse=True)
def forgotten(cluster: ControlPlane) -> None:
    """No order was made yet."""
    only = {"fieldSelector": f"metadata.name={ORDERS_CONFIG_MAP}"}
    cluster.request("DELETE", "/api/v1/namespaces/kube-system/configmaps", query=only)


def pool_of(cluster: ControlPlane, name: str) -> set[str]:
    """The pools whose nodes the running pods of a Job are on."""
    where = nodes(cluster)
    running = [pod for pod in cluster.pods(f"job-name={name}") if pod["status"]["phase"] == "Running"]
    return {where[pod["spec"]["nodeName"]] for pod in running}


def wait_until_running(cluster: ControlPlane, name: str, pool: str, pods: int = 1) -> None:
    """All pods of a Job run in a pool."""

    def all_run() -> bool:
        running = [pod for pod in cluster.pods(f"job-name={name}") if pod["status"]["phase"] == "Running"]
        return len(running) == pods

    cluster.wait_until(all_run, f"{name} runs")
    assert pool_of(cluster, name) == {pool}


def told(cluster: ControlPlane, reason: str, namespace: str) -> list[str]:
    """What Events of a reason say."""
    events = cluster.request("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    return [event["message"] for event in events if event["reason"] == reason]


@pytest.mark.parametrize("spec", [GATED, {}], ids=["at our gate", "without our gate"])
def test_of_two_equal_pools_the_second_grows_when_the_first_is_full(
    cluster: ControlPlane, spec: dict[str, Any]
) -> None:
    with deployed(cluster, pools({"a": 1, "b": 4})):
        cluster.create_gang_job("one", pods=1, pod_spec=spec)
        wait_until_running(cluster, "one", "a")
        cluster.create_gang_job("two", pods=1, pod_spec=spec)
        wait_until_running(cluster, "two", "b")
        time.sleep(QUIET_SECONDS)
        assert Counter(nodes(cluster).values()) == {"a": 1, "b": 1}
        assert ordered(cluster) == {"a": 1, "b": 1}


def test_jobs_that_come_together_raise_one_pool_each(cluster: ControlPlane) -> None:
    """Also those behind the policy's window of one job."""
    with deployed(cluster, pools({"a": 1, "b": 2, "c": 4}, "codec.window_slots=1")):
        for name in ("one", "two", "three", "four"):
            cluster.create_gang_job(name, pods=1, pod_spec=GATED)
        cluster.wait_until(
            lambda: sum(pod["status"]["phase"] == "Running" for pod in cluster.pods()) == 4, "all of them run"
        )
        time.sleep(QUIET_SECONDS)
        assert ordered(cluster) == {"a": 1, "b": 2, "c": 1}


def test_a_gang_goes_where_all_its_nodes_can_be(cluster: ControlPlane) -> None:
    with deployed(cluster, pools({"a": 3, "b": 3})):
        cluster.create_gang_job("small", pods=1, pod_spec=GATED)
        wait_until_running(cluster, "small", "a")
        cluster.create_gang_job("gang", pods=3, pod_spec=GATED)
        wait_until_running(cluster, "gang", "b", pods=3)
        time.sleep(QUIET_SECONDS)
        assert ordered(cluster) == {"a": 1, "b": 3}


def test_a_pool_whose_provider_refuses_is_passed_over(cluster: ControlPlane) -> None:
    with deployed(cluster, pools({"a": 4, "b": 4}, first=odd_label)):
        cluster.create_gang_job("job", pods=2, pod_spec=GATED)
        wait_until_running(cluster, "job", "b", pods=2)
        assert Counter(nodes(cluster).values()) == {"b": 2}
        assert any("pool a" in message for message in told(cluster, EVENT_FAILED_TO_SCALE_UP, "kube-system"))


def test_another_pool_takes_over_where_boots_fail(cluster: ControlPlane) -> None:
    """The nodes of the first pool never get their GPUs; they are given up ten wall seconds later."""
    times = (
        "guardrails.backoff.provision_timeout_seconds=600.0",
        "guardrails.backoff.initial_seconds=1800.0",
    )
    with deployed(cluster, pools({"a": 4, "b": 4}, *times, first=without_gpus)):
        cluster.create_gang_job("job", pods=1, pod_spec=GATED)
        wait_until_running(cluster, "job", "b")
        assert ordered(cluster) == {"a": 1, "b": 1}
        cluster.wait_until(lambda: set(nodes(cluster).values()) == {"b"}, "the broken node is given back")
        cluster.create_gang_job("later", pods=1, pod_spec=GATED)
        wait_until_running(cluster, "later", "b")


def test_a_pool_with_nothing_but_a_broken_node_is_passed_over(cluster: ControlPlane) -> None:
    pool_node(cluster, "broken", "a")
    cluster.stop_heartbeat("broken")
    cluster.wait_until(lambda: not is_ready(cluster.node("broken")), "the node is not ready any more")
    with deployed(cluster, pools({"a": 1, "b": 4})):
        cluster.create_gang_job("job", pods=1, pod_spec=GATED)
        wait_until_running(cluster, "job", "b")


@pytest.mark.parametrize("spec", [GATED, {}], ids=["at our gate", "without our gate"])
def test_a_pool_that_has_the_gpus_but_not_the_cpus_is_passed_over(cluster: ControlPlane, spec: dict[str, Any]) -> None:
    """Its only node has 7 GPUs and 6 CPUs left."""
    pool_node(cluster, "n", "a")
    cluster.create_pod("other", spec={"nodeName": "n", "containers": [container(90)]})
    cluster.wait_for_pod("other", "Running")
    with deployed(cluster, pools({"a": 1, "b": 4})):
        cluster.create_gang_job("job", pods=1, pod_spec={**spec, "containers": [container(10)]})
        wait_until_running(cluster, "job", "b")
        time.sleep(QUIET_SECONDS)
        assert ordered(cluster) == {"b": 1}


def container(cpus: int) -> dict[str, Any]:
    """One GPU and some CPUs."""
    resources = {"requests": {"cpu": str(cpus)}, "limits": {constants.GPU_RESOURCE: "1"}}
    return {"name": "main", "image": IMAGE, "resources": resources}


@pytest.mark.parametrize("replaceable", [True, False])
def test_a_gang_that_was_sent_to_a_pool_which_is_full_now(cluster: ControlPlane, replaceable: bool) -> None:
    """Another process sent it there. Its Job makes the pods again for the other pool, or people are told to."""
    pool_node(cluster, "n", "a")
    cluster.create_pod("other", gpus=8, spec={"nodeName": "n"})
    cluster.wait_for_pod("other", "Running")
    gang = gated_gang(cluster, "gang", 1, 8, backoff_limit=1 if replaceable else 0)
    before = cluster.pods("job-name=gang")[0]["metadata"]["uid"]
    client = connect(str(cluster.kubeconfig))
    assert place(client, release_of(gang, "a"), 0.0).refused == ()
    client.close()
    with deployed(cluster, pools({"a": 1, "b": 4})):
        if replaceable:
            wait_until_running(cluster, "gang", "b")
        cluster.wait_until(lambda: told(cluster, EVENT_POOL_UNAVAILABLE, "default") or None, "people are told")
        time.sleep(QUIET_SECONDS)
        uids = {pod["metadata"]["uid"] for pod in cluster.pods("job-name=gang") if pod["status"]["phase"] != "Failed"}
        assert (before in uids) is not replaceable
        assert "other" in {pod["metadata"]["name"] for pod in cluster.pods() if pod["status"]["phase"] == "Running"}
