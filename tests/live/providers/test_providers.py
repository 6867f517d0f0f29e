"""What providers create, and what they say when it fails."""

import pytest

from autoscaler.live.clock import ManualClock, ScaledClock
from autoscaler.live.config import LiveConfig, LivePool, NodeTemplate
from autoscaler.live.constraints import Taint
from autoscaler.live.kube.client import ForbiddenError, InvalidError, NotFoundError, UnreachableError
from autoscaler.live.providers import (
    AccessDeniedError,
    InstanceNotFoundError,
    InvalidPoolError,
    OutOfStockError,
    Provider,
    QuotaExceededError,
    TransientError,
    make_providers,
)
from autoscaler.live.providers.karpenter.provider import KarpenterProvider
from autoscaler.live.providers.kwok.provider import KwokProvider
from autoscaler.live.providers.recording import Call, RecordingProvider
from tests.live.fake_api import NODE, FakeApi, raw_node

TEMPLATE = NodeTemplate({"disk": "nvme"}, {"note": "x"}, (Taint("gpu", "yes"),), {"cpu": "8", "pods": "10"})
KWOK = LivePool(
    "k",
    5,
    gpus_per_node=4,
    gpu_type="A100",
    boot_seconds=120.0,
    template=TEMPLATE,
    provider_settings={"gpu_delay_seconds": 60.0},
)
KARPENTER = LivePool(
    "c",
    5,
    provider="karpenter",
    template=TEMPLATE,
    provider_settings={"node_pool": "np", "requirements": {"node.kubernetes.io/instance-type": ["p5", "p4d"]}},
)
CONFIG = LiveConfig((KWOK, KARPENTER))


@pytest.fixture
def api():
    return FakeApi()


def kwok(api, clock=None):
    return KwokProvider(api, CONFIG, clock or ManualClock(1000.0))


def karpenter(api):
    return KarpenterProvider(api, CONFIG, ManualClock(1000.0))


def test_each_pool_has_the_provider_that_its_config_names(api):
    made = make_providers(api, CONFIG, ManualClock())
    assert {pool: provider.name for pool, provider in made.items()} == {"k": "kwok", "c": "karpenter"}


def test_a_kwok_node_has_all_that_its_pool_promises_but_no_gpu_yet(api):
    kwok(api).create(KWOK, "n")
    node = api.objects[NODE("n")]
    labels = node["metadata"]["labels"]
    assert labels["autoscaler.green/pool"] == "k"
    assert labels["nvidia.com/gpu.product"] == "A100"
    assert labels["disk"] == "nvme"
    assert labels["kubernetes.io/hostname"] == "n"
    assert node["metadata"]["annotations"] == {
        "note": "x",
        "kwok.x-k8s.io/node": "fake",
        "autoscaler.green/boot-seconds": "120.000",
        "autoscaler.green/gpus": "4",
        "autoscaler.green/gpu-delay-seconds": "60.000",
        "autoscaler.green/ordered-at": "1000.000",
    }
    assert node["spec"]["taints"] == [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    assert node["status"]["allocatable"] == {"cpu": "8", "pods": "10"}


def test_kwok_boots_in_wall_seconds(api):
    annotations = kwok(api, ScaledClock(60.0)).manifest(KWOK, "n")["metadata"]["annotations"]
    assert annotations["autoscaler.green/boot-seconds"] == "2.000"
    assert annotations["autoscaler.green/gpu-delay-seconds"] == "1.000"


def test_kwok_can_let_the_gpus_never_come(api):
    pool = LivePool("k", 5, provider_settings={"gpu_delay_seconds": None})
    manifest = kwok(api).manifest(pool, "n")
    assert manifest["metadata"]["annotations"]["autoscaler.green/gpu-delay-seconds"] == "never"


def test_a_node_claim_asks_for_the_pool(api):
    karpenter(api).create(KARPENTER, "n")
    claim = api.objects["/apis/karpenter.sh/v1/nodeclaims/n"]
    assert claim["metadata"]["labels"] == {
        "disk": "nvme",
        "autoscaler.green/pool": "c",
        "karpenter.sh/nodepool": "np",
    }
    spec = claim["spec"]
    assert spec["nodeClassRef"] == {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}
    assert spec["requirements"] == [
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["p5", "p4d"]}
    ]
    assert spec["resources"] == {"requests": {"nvidia.com/gpu": "8"}}
    assert spec["taints"] == [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    assert spec["expireAfter"] == "Never"


def test_a_node_claim_of_no_node_pool_is_ours_alone(api):
    pool = LivePool("c", 5, provider="karpenter")
    assert karpenter(api).manifest(pool, "n")["metadata"]["labels"] == {"autoscaler.green/pool": "c"}


@pytest.mark.parametrize(("make", "pool"), [(kwok, KWOK), (karpenter, KARPENTER)], ids=["kwok", "karpenter"])
class TestBoth:
    def test_creating_again_returns_what_is_there(self, api, make, pool):
        first = make(api).create(pool, "n")
        assert make(api).create(pool, "n") == first
        assert len(make(api).instances()) == 1

    def test_a_name_that_another_pool_has_is_refused(self, api, make, pool):
        path = "/api/v1/nodes/n" if make is kwok else "/apis/karpenter.sh/v1/nodeclaims/n"
        api.put(path, raw_node("n", "other"))
        with pytest.raises(InvalidPoolError, match="not of pool"):
            make(api).create(pool, "n")

    def test_only_instances_of_its_own_pools_are_listed(self, api, make, pool):
        make(api).create(pool, "n")
        api.put("/api/v1/nodes/x", raw_node("x", "other"))
        api.put("/apis/karpenter.sh/v1/nodeclaims/y", raw_node("y", "other"))
        assert [each.name for each in make(api).instances()] == ["n"]

    def test_deleting_twice_is_not_found(self, api, make, pool):
        made = make(api).create(pool, "n")
        make(api).delete(made)
        with pytest.raises(InstanceNotFoundError):
            make(api).delete(made)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ForbiddenError(403, "", "403 exceeded quota: gpus"), QuotaExceededError),
            (ForbiddenError(403, "", "403 nodes is forbidden"), AccessDeniedError),
            (InvalidError(422, "", "422 bad label"), InvalidPoolError),
            (UnreachableError(0, "", "timed out"), TransientError),
            (UnreachableError(503, "", "503"), TransientError),
            (NotFoundError(404, "", "404 no such resource"), InvalidPoolError),
        ],
    )
    def test_errors_say_what_is_to_be_done(self, api, make, pool, error, kind):
        def fail(method, path):
            raise error

        api.before = fail
        with pytest.raises(kind) as caught:
            make(api).create(pool, "n")
        assert caught.value.pool == pool.name

    def test_an_odd_object_is_left_out(self, api, make, pool):
        path = "/api/v1/nodes/x" if make is kwok else "/apis/karpenter.sh/v1/nodeclaims/x"
        api.put(path, raw_node("x", pool.name))
        api.objects[path]["metadata"]["creationTimestamp"] = 7
        assert make(api).instances() == []


def test_a_claim_knows_its_node_once_it_is_registered(api):
    provider = karpenter(api)
    provider.create(KARPENTER, "n")
    assert provider.instances()[0].node_name is None
    api.objects["/apis/karpenter.sh/v1/nodeclaims/n"]["status"] = {"nodeName": "ip-10-0-0-1"}
    assert provider.instances()[0].node_name == "ip-10-0-0-1"


def test_an_instance_on_its_way_out_says_so(api):
    provider = kwok(api)
    provider.create(KWOK, "n")
    api.objects[NODE("n")]["metadata"]["deletionTimestamp"] = "1970-01-02T00:00:00Z"
    assert provider.instances()[0].is_deleting


def test_the_recording_fake_is_a_provider_and_follows_its_script():
    fake: Provider = RecordingProvider(lambda: 5.0)
    assert isinstance(fake, RecordingProvider)
    fake.fail("create", OutOfStockError("none", "k"), after_calls=1)
    fake.fail("create", TransientError("lost", "k"), takes_effect=True)
    made = fake.create(KWOK, "a")
    assert (made.created_seconds, made.pool) == (5.0, "k")
    with pytest.raises(OutOfStockError):
        fake.create(KWOK, "b")
    with pytest.raises(TransientError):
        fake.create(KWOK, "c")
    assert sorted(fake.existing) == ["a", "c"]
    assert fake.calls == [Call("create", "k", name) for name in "abc"]
    fake.delete(made)
    with pytest.raises(InstanceNotFoundError):
        fake.delete(made)
