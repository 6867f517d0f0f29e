"""Pools whose nodes come from the real Karpenter: orders are NodeClaims, removals their deletion."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from autoscaler.live.actuate.orders import ScaleUp
from autoscaler.live.actuate.removal import Outcome, RemovalMachine, Report
from autoscaler.live.clock import ScaledClock
from autoscaler.live.config import LiveConfig, NodeTemplate
from autoscaler.live.constraints import Taint
from autoscaler.live.guardrails import Removal
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.objects import NodeView
from autoscaler.live.providers import InstanceNotFoundError, InvalidPoolError, make_providers
from autoscaler.live.providers.karpenter.provider import KarpenterProvider
from tests.cluster import karpenter as manifests
from tests.cluster.cluster import allocatable_gpus
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_support import MortalClient, exists, live_config, mortal_client
from tests.cluster.waiting import PATIENCE_SECONDS

NODE = "/api/v1/nodes/{}".format


@pytest.fixture
def client(karpenter: ControlPlane) -> Iterator[MortalClient]:
    karpenter.request("POST", manifests.NODE_CLASSES, manifests.node_class("default"))
    with mortal_client(karpenter.kubeconfig) as made:
        yield made


def config_of(**settings: object) -> LiveConfig:
    requirements = {"node.kubernetes.io/instance-type": ("gpu-8x-h100",)}
    made = live_config(karpenter=True)
    pool = replace(
        made.pools[0],
        template=NodeTemplate(labels={"disk": "nvme"}, taints=(Taint("team", "x"),)),
        provider_settings={"requirements": requirements, **settings},
    )
    return replace(made, pools=(pool, made.pools[1]))


def order(client: MortalClient, config: LiveConfig, count: int = 1) -> list[str]:
    clock = ScaledClock()
    ordered = ScaleUp(client, config, clock, make_providers(client, config, clock)).order(config.pool("a"), count, ())
    assert ordered.error is None
    return [each.name for each in ordered.orders]


def registered_node(karpenter: ControlPlane, provider: KarpenterProvider, name: str) -> str:
    def node_name() -> str | None:
        return next((each.node_name for each in provider.instances() if each.name == name), None)

    found = karpenter.wait_until(node_name, f"NodeClaim {name} has a Node")
    assert found is not None
    return found


@pytest.mark.parametrize("node_pool", [None, "ours"], ids=["no NodePool", "a NodePool"])
def test_an_order_becomes_a_ready_node_with_all_that_its_pool_promises(
    karpenter: ControlPlane, client: MortalClient, node_pool: str | None
) -> None:
    if node_pool is not None:
        karpenter.request("POST", manifests.NODE_POOLS, manifests.node_pool(node_pool, node_class="default"))
    config = config_of(node_pool=node_pool)
    provider = KarpenterProvider(client, config, ScaledClock())
    (name,) = order(client, config)
    node = karpenter.wait_for_node(registered_node(karpenter, provider, name))
    assert allocatable_gpus(node) == 8
    assert node["metadata"]["labels"][LABEL_POOL] == "a"
    assert node["metadata"]["labels"]["disk"] == "nvme"
    assert "team" in [taint["key"] for taint in node["spec"]["taints"]]


def test_repeating_an_order_makes_no_second_claim(karpenter: ControlPlane, client: MortalClient) -> None:
    config = config_of()
    provider = KarpenterProvider(client, config, ScaledClock())
    first = provider.create(config.pool("a"), "claim")
    assert provider.create(config.pool("a"), "claim").uid == first.uid
    assert len(provider.instances()) == 1


def test_a_removal_deletes_the_claim_and_with_it_the_node(karpenter: ControlPlane, client: MortalClient) -> None:
    config, clock = config_of(), ScaledClock()
    provider = KarpenterProvider(client, config, clock)
    (name,) = order(client, config)
    node_name = registered_node(karpenter, provider, name)
    node = karpenter.wait_for_node(node_name)
    reports: list[Report] = []
    machine = RemovalMachine(client, config, clock, make_providers(client, config, clock), reports.append)
    view = NodeView(name=node_name, uid=node["metadata"]["uid"], pool="a")
    machine.start([Removal("a", node_name, view, (), "not needed")])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while machine.under_way:
        assert time.monotonic() < deadline, reports
        machine.advance()
        time.sleep(0.1)
    assert [report.outcome for report in reports] == [Outcome.STARTED, Outcome.REMOVED]
    assert not exists(client, NODE(node_name))
    karpenter.wait_until(lambda: not provider.instances(), "the NodeClaim is gone")


def test_a_claim_that_never_becomes_a_node_is_given_back(karpenter: ControlPlane, client: MortalClient) -> None:
    config, clock = config_of(node_class_name="missing"), ScaledClock()
    provider = KarpenterProvider(client, config, clock)
    (name,) = order(client, config)
    reports: list[Report] = []
    machine = RemovalMachine(client, config, clock, make_providers(client, config, clock), reports.append)
    machine.start([Removal("a", name, None, (), "too late")])
    karpenter.wait_until(lambda: not provider.instances(), "the NodeClaim is gone")
    assert [report.outcome for report in reports] == [Outcome.REMOVED]


def test_a_claim_that_is_another_one_by_now_is_not_deleted(karpenter: ControlPlane, client: MortalClient) -> None:
    config = config_of()
    provider = KarpenterProvider(client, config, ScaledClock())
    made = provider.create(config.pool("a"), "claim")
    with pytest.raises(InstanceNotFoundError):
        provider.delete(replace(made, uid="00000000-0000-0000-0000-000000000000"))
    assert len(provider.instances()) == 1


def test_a_template_that_karpenter_refuses_is_a_mistake_of_the_pool(
    karpenter: ControlPlane, client: MortalClient
) -> None:
    config = config_of(requirements={"karpenter.sh/forbidden": ("x",)})
    provider = KarpenterProvider(client, config, ScaledClock())
    with pytest.raises(InvalidPoolError):
        provider.create(config.pool("a"), "claim")
