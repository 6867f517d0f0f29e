"""Orders on the real API server: none twice, whatever dies."""

from collections.abc import Iterator

import pytest

from autoscaler.live.actuate.orders import ScaleUp
from autoscaler.live.clock import ScaledClock
from autoscaler.live.providers import InstanceNotFoundError, TransientError, make_providers
from autoscaler.live.providers.kwok.provider import KwokProvider
from tests.cluster.cluster import allocatable_gpus
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_support import KilledError, MortalClient, live_config, mortal_client

CONFIG = live_config()


@pytest.fixture
def client(cluster: ControlPlane) -> Iterator[MortalClient]:
    with mortal_client(cluster.kubeconfig) as made:
        yield made


def scale_up(client: MortalClient) -> ScaleUp:
    clock = ScaledClock()
    return ScaleUp(client, CONFIG, clock, make_providers(client, CONFIG, clock))


def node_names(cluster: ControlPlane) -> list[str]:
    return sorted(item["metadata"]["name"] for item in cluster.request("GET", "/api/v1/nodes")["items"])


def test_ordered_nodes_become_ready_with_their_gpus(cluster: ControlPlane, client: MortalClient) -> None:
    ordered = scale_up(client).order(CONFIG.pool("a"), 2, ())
    assert ordered.error is None
    for order in ordered.orders:
        node = cluster.wait_for_node(order.name, gpus=8)
        assert node["metadata"]["labels"]["autoscaler.green/pool"] == "a"
        assert allocatable_gpus(node) == 8


def test_a_new_node_has_no_gpus_at_first(cluster: ControlPlane, client: MortalClient) -> None:
    provider = KwokProvider(client, CONFIG, ScaledClock())
    made = provider.create(CONFIG.pool("a"), "fresh")
    assert made.uid
    manifest = provider.manifest(CONFIG.pool("a"), "fresh")
    assert "nvidia.com/gpu" not in manifest["status"]["allocatable"]


def test_a_delete_that_means_another_node_of_the_same_name_does_nothing(
    cluster: ControlPlane, client: MortalClient
) -> None:
    provider = KwokProvider(client, CONFIG, ScaledClock())
    first = provider.create(CONFIG.pool("a"), "n")
    provider.delete(first)
    provider.create(CONFIG.pool("a"), "n")
    with pytest.raises(InstanceNotFoundError):
        provider.delete(first)
    assert node_names(cluster) == ["n"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(4))
def test_a_process_that_dies_around_any_write_orders_nothing_twice(
    cluster: ControlPlane, client: MortalClient, when: str, write: int
) -> None:
    """Three orders and the write of their number: four writes."""
    client.die_at(when, write)
    with pytest.raises(KilledError):
        scale_up(client).order(CONFIG.pool("a"), 3, ())
    # The new process decides on what it sees.
    seen = node_names(cluster)
    missing = 3 - len(seen)
    if missing:
        assert len(scale_up(client).order(CONFIG.pool("a"), missing, seen).orders) == missing
    assert len(node_names(cluster)) == 3


def test_an_order_that_nobody_counted_is_not_made_again(cluster: ControlPlane, client: MortalClient) -> None:
    """The process died after its writes, and the new one decides on a view from before them."""
    client.die_at("after", 2)
    with pytest.raises(KilledError):
        scale_up(client).order(CONFIG.pool("a"), 3, ())
    assert len(scale_up(client).order(CONFIG.pool("a"), 3, ()).orders) == 3
    assert len(node_names(cluster)) == 3


def test_an_order_in_the_queue_of_a_frozen_api_server_is_not_made_twice(
    cluster: ControlPlane, client: MortalClient
) -> None:
    client.timeout_seconds = 1.0
    with cluster.frozen_api_server():
        assert scale_up(client).order(CONFIG.pool("a"), 1, ()).error is not None
    provider = KwokProvider(client, CONFIG, ScaledClock())
    from autoscaler.live.actuate.orders import order_name

    with cluster.frozen_api_server(), pytest.raises(TransientError):
        provider.create(CONFIG.pool("a"), order_name("a", 0))
    client.timeout_seconds = 10.0
    seen = node_names(cluster)
    if not seen:
        scale_up(client).order(CONFIG.pool("a"), 1, seen)
    cluster.wait_until(lambda: len(node_names(cluster)) == 1, "one node, whoever made it")
