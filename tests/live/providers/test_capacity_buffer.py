"""What is written for pools whose nodes another autoscaler makes, and what is refused."""

import logging
import re

import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LeaderElection, LiveConfig, LivePool, NodeTemplate
from autoscaler.live.constraints import Taint
from autoscaler.live.device_config import DeviceTemplate
from autoscaler.live.guardrails import Allowed, GuardrailState
from autoscaler.live.kube.client import ClusterAccessError, ForbiddenError
from autoscaler.live.loop import DryRun
from autoscaler.live.providers import (
    AccessDeniedError,
    InvalidPoolError,
    drop_reserves,
    kind_of,
    make_providers,
    reserve_pools,
)
from autoscaler.live.providers.capacity_buffer.provider import REFRESH_SECONDS, CapacityBufferProvider, buffer_name
from autoscaler.live.repair_config import Repair
from configs.errors import ConfigError
from tests.live.fake_api import FakeApi
from tests.live.views import view

POOL = LivePool("a", 5, gpus_per_node=4, provider="capacity-buffer", template=NodeTemplate(taints=(Taint("gpu", "x"),)))
CONFIG = LiveConfig((POOL, LivePool("b", 5)))
BUFFER = "/apis/autoscaling.x-k8s.io/{}/namespaces/kube-system/capacitybuffers/green-autoscaler-a".format
TEMPLATE = "/api/v1/namespaces/kube-system/podtemplates/green-autoscaler-a"


class Api(FakeApi):
    """Applies objects, and serves CapacityBuffers in some versions."""

    def __init__(self, *versions):
        super().__init__()
        self.collections |= {"capacitybuffers", "podtemplates"}
        self.put(
            "/apis/autoscaling.x-k8s.io",
            {"versions": [{"groupVersion": f"autoscaling.x-k8s.io/{each}"} for each in versions]},
        )
        for version in versions:
            self.put(f"/apis/autoscaling.x-k8s.io/{version}", {"resources": [{"kind": "CapacityBuffer"}]})

    def _write(self, method, path, body, content_type):
        if "apply" in content_type:
            return self.put(path, body)
        return super()._write(method, path, body, content_type)


def provider(api, clock=None):
    return CapacityBufferProvider(api, CONFIG, clock or ManualClock(1000.0))


def test_a_replica_is_a_whole_node_of_the_pool():
    template, buffer = provider(Api()).manifests(POOL, 2)
    spec = template["template"]["spec"]
    assert spec["nodeSelector"] == {"autoscaler.green/pool": "a"}
    assert spec["containers"][0]["resources"]["requests"] == {"nvidia.com/gpu": "4"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]
    assert buffer["spec"] == {
        "podTemplateRef": {"name": template["metadata"]["name"]},
        "replicas": 2,
        "provisioningStrategy": "buffer.x-k8s.io/active-capacity",
    }


def test_any_name_of_a_pool_gives_a_name_of_its_own():
    names = [buffer_name(pool) for pool in ("a", "A", "a_b", "a-b")]
    assert names[0] == "green-autoscaler-a"
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


@pytest.mark.parametrize("versions", [("v1beta1",), ("v1alpha1",), ("v1alpha1", "v1beta1")])
def test_the_newest_version_that_the_cluster_serves_is_written(versions):
    api = Api(*versions)
    assert provider(api).reserve(POOL, 1)
    assert api.objects[BUFFER(versions[-1])]["spec"]["replicas"] == 1
    assert TEMPLATE in api.objects


def test_only_what_changed_or_was_written_long_ago_is_written():
    api, clock = Api("v1beta1"), ManualClock(1000.0)
    ours = provider(api, clock)
    assert ours.reserve(POOL, 1)
    count = len(api.writes)
    assert not ours.reserve(POOL, 1)
    assert len(api.writes) == count
    clock.seconds += REFRESH_SECONDS
    assert not ours.reserve(POOL, 1), "written again, and no news"
    assert len(api.writes) == 2 * count
    assert ours.reserve(POOL, 0), "zero is written too"
    assert api.objects[BUFFER("v1beta1")]["spec"]["replicas"] == 0


def test_buffers_of_pools_that_are_gone_are_deleted_and_those_of_others_stay():
    api = Api("v1beta1")
    ours = provider(api)
    ours.reserve(POOL, 1)
    theirs = BUFFER("v1beta1").replace("green-autoscaler-a", "theirs")
    written = api.objects[BUFFER("v1beta1")]["metadata"]
    api.put(theirs, {"metadata": {"labels": written["labels"]}})
    ours.keep_only(["a"])
    assert BUFFER("v1beta1") in api.objects
    ours.keep_only([])
    assert BUFFER("v1beta1") not in api.objects
    assert TEMPLATE not in api.objects
    assert theirs in api.objects


def test_a_process_whose_config_reserves_nothing_deletes_what_another_one_left():
    api = Api("v1beta1")
    provider(api).reserve(POOL, 1)
    assert drop_reserves(api, LiveConfig((LivePool("b", 5),)), ManualClock()) == {}
    assert BUFFER("v1beta1") not in api.objects
    assert TEMPLATE not in api.objects


def test_what_an_autoscaler_with_another_lease_wrote_stays():
    api = Api("v1beta1")
    provider(api).reserve(POOL, 1)
    other = LiveConfig((LivePool("b", 5),), leader_election=LeaderElection(name="other"))
    assert drop_reserves(api, other, ManualClock()) == {}
    assert {BUFFER("v1beta1"), TEMPLATE} <= api.objects.keys()


class Forbidding(Api):
    """Denies to list what is reserved."""

    def get(self, path, params=None):
        if path.endswith("capacitybuffers"):
            raise ForbiddenError(403, "Forbidden", "capacitybuffers is forbidden")
        return super().get(path, params)


def test_only_a_config_that_reserves_needs_rights_to_look_for_what_is_left():
    api = Forbidding("v1beta1")
    assert drop_reserves(api, LiveConfig((LivePool("b", 5),)), ManualClock()) == {}
    assert isinstance(drop_reserves(api, CONFIG, ManualClock())["capacity-buffer"], AccessDeniedError)


def test_a_cluster_without_the_crd_is_not_searched():
    api = Api()
    assert drop_reserves(api, LiveConfig((LivePool("b", 5),)), ManualClock()) == {}
    assert api.writes == []


def test_no_node_is_ordered_or_given_back():
    ours = provider(Api("v1beta1"))
    assert ours.instances() == []
    with pytest.raises(InvalidPoolError, match="another autoscaler"):
        ours.create(POOL, "x")


def test_only_its_pools_are_made_by_others():
    assert reserve_pools(CONFIG) == {"a"}


@pytest.mark.parametrize(
    ("versions", "pool", "says"),
    [
        ((), {}, "no CRD for CapacityBuffer of autoscaling.x-k8s.io"),
        (("v1beta1",), {"repair": Repair(enabled=True)}, "leave out repair"),
        (("v1beta1",), {"devices": (DeviceTemplate("gpu.nvidia.com", 1),), "gpus_per_node": 1}, "leave out devices"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(versions, pool, says):
    with pytest.raises(ClusterAccessError, match=says) as error:
        kind_of("capacity-buffer").check(Api(*versions), [LivePool("a", 1, provider="capacity-buffer", **pool)])
    assert "\n" not in str(error.value)


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="provisioning_strategy"):
        LivePool("a", 1, provider="capacity-buffer", provider_settings={"provisioning_strategi": "x"})


def test_a_dry_run_shows_what_it_would_write_once_and_writes_nothing(caplog):
    api = Api("v1beta1")
    actor = DryRun(CONFIG, make_providers(api, CONFIG, ManualClock()))
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            actor.carry_out(Allowed({}, (), (), (), GuardrailState(), reserves={"a": 3}), view())
    (shown,) = [record for record in caplog.records if record.message == "would write"]
    assert [each["kind"] for each in shown.objects] == ["PodTemplate", "CapacityBuffer"]
    assert shown.objects[1]["spec"]["replicas"] == 3
    assert api.writes == []
