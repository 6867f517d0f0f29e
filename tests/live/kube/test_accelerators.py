"""Which pods use an accelerator, whatever API it comes by."""

import pytest

from autoscaler.live.kube.accelerators import accelerators, is_accelerator
from autoscaler.live.kube.fields import ParseError, requests

POOL = ("nvidia.com/gpu",)


def used(spec, status=None, more=()):
    return accelerators(spec, status or {}, requests(spec, POOL), POOL, more)


def container(*, claims=(), **limits):
    return {"name": "c", "resources": {"limits": limits, "claims": [{"name": name} for name in claims]}}


@pytest.mark.parametrize(
    "resource",
    [
        "nvidia.com/mig-1g.10gb",
        "nvidia.com/gpu.shared",
        "amd.com/gpu",
        "gpu.intel.com/xe",
        "habana.ai/gaudi",
        "google.com/tpu",
        "cloud-tpus.google.com/v3",
        "aws.amazon.com/neuroncore",
        "huawei.com/Ascend910",
        "example.com/vgpu-memory",
        "volcano.sh/vgpu-number",
        "tencent.com/vcuda-core",
        "deviceclass.resource.kubernetes.io/anything.example",
    ],
)
def test_these_resources_are_accelerators(resource):
    assert is_accelerator(resource)
    assert used({"containers": [container(**{resource: "1"})]}) == (resource,)


@pytest.mark.parametrize(
    "resource",
    [
        "cpu",
        "memory",
        "hugepages-2Mi",
        "vpc.amazonaws.com/pod-eni",
        "rdma/hca",
        "example.com/migrations",
        "smarter/fuse",
    ],
)
def test_these_are_not(resource):
    assert not is_accelerator(resource)


def test_further_ones_are_named_by_pattern():
    assert is_accelerator("rdma/hca", ["rdma/*"])
    assert used({"containers": [container(**{"rdma/hca": "1"})]}, more=["rdma/*"]) == ("rdma/hca",)


def test_the_gpus_of_the_pools_are_counted_elsewhere():
    assert used({"containers": [container(**{"nvidia.com/gpu": "8"})]}) == ()


def test_nothing_of_it_is_nothing():
    assert used({"containers": [container(**{"nvidia.com/mig-1g.10gb": "0"})]}) == ()


@pytest.mark.parametrize(
    "spec",
    [
        {"resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": "t"}], "containers": [container()]},
        {"containers": [container(claims=["gpus"])]},
        {"containers": [container()], "initContainers": [container(claims=["gpus"])]},
    ],
)
def test_claims_of_the_pod_a_container_or_an_init_container_count(spec):
    assert used(spec) == ("resource claim gpus",)


def test_an_extended_resource_that_is_served_by_claims_counts():
    status = {"extendedResourceClaimStatus": {"resourceClaimName": "made", "requestMappings": []}}
    assert used({"containers": [container(**{"vendor.example/card": "1"})]}, status) == ("resource claim made",)


def test_resources_of_the_pod_as_a_whole_count():
    spec = {"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "4", "amd.com/gpu": "1"}}}
    assert used(spec) == ("amd.com/gpu",)
    assert requests(spec, POOL)["cpu"] == 4000


def test_an_odd_claim_is_a_parse_error():
    with pytest.raises(ParseError, match=r"spec\.resourceClaims"):
        used({"containers": [container()], "resourceClaims": [3]})
