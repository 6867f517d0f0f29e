"""The real Karpenter runs beside the fake kubelets and buys the nodes that pods need."""

from tests.cluster import karpenter as manifests
from tests.cluster.cluster import allocatable_gpus, is_ready
from tests.cluster.control_plane import ControlPlane


def test_a_pending_gpu_pod_gets_a_node_claim_and_a_ready_node(karpenter: ControlPlane) -> None:
    karpenter.request("POST", manifests.NODE_CLASSES, manifests.node_class("default"))
    pool = manifests.node_pool("h100", node_class="default", labels={"pool": "h100"})
    karpenter.request("POST", manifests.NODE_POOLS, pool)
    karpenter.create_pod("trainer", gpus=8, run_seconds=1, spec={"nodeSelector": {"pool": "h100"}})

    karpenter.wait_for_pod("trainer", "Succeeded")
    (claim,) = karpenter.request("GET", manifests.NODE_CLAIMS)["items"]
    node = karpenter.node(claim["status"]["nodeName"])
    assert is_ready(node)
    assert allocatable_gpus(node) == 8
    assert node["metadata"]["labels"]["node.kubernetes.io/instance-type"] == "gpu-8x-h100"
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"


def test_a_deleted_node_claim_takes_its_node_with_it(karpenter: ControlPlane) -> None:
    karpenter.request("POST", manifests.NODE_CLASSES, manifests.node_class("default"))
    karpenter.request("POST", manifests.NODE_POOLS, manifests.node_pool("h100", node_class="default"))
    karpenter.create_pod("trainer", gpus=8, run_seconds=0)
    karpenter.wait_for_pod("trainer", "Succeeded")
    (claim,) = karpenter.request("GET", manifests.NODE_CLAIMS)["items"]

    karpenter.request("DELETE", f"{manifests.NODE_CLAIMS}/{claim['metadata']['name']}")
    karpenter.wait_until(lambda: not karpenter.request("GET", "/api/v1/nodes")["items"], "the node is gone")
    karpenter.wait_until(lambda: not karpenter.request("GET", manifests.NODE_CLAIMS)["items"], "its NodeClaim too")


def test_a_pool_buys_no_more_gpus_than_its_limit(karpenter: ControlPlane) -> None:
    karpenter.request("POST", manifests.NODE_CLASSES, manifests.node_class("default"))
    pool = manifests.node_pool("h100", node_class="default", gpu_limit=8)
    karpenter.request("POST", manifests.NODE_POOLS, pool)
    karpenter.create_gang_job("gang", pods=2, gpus_per_pod=8)

    def refused() -> bool:
        events = karpenter.request("GET", "/api/v1/events")["items"]
        return any(event["reason"] == "FailedScheduling" and "limits" in event["message"] for event in events)

    karpenter.wait_until(refused, "Karpenter says that the limit is reached")
    assert len(karpenter.request("GET", manifests.NODE_CLAIMS)["items"]) == 1
