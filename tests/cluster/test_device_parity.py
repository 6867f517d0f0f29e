"""What we count of devices is what kube-scheduler allocates."""

import time
from typing import Any

import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.device_model import DeviceKind, Option
from autoscaler.live.kube.devices import DeviceParser, claim_spec
from autoscaler.live.view.device_memory import SelectorCache
from autoscaler.live.view.devices import Stock, node_stocks, units
from tests.cluster import devices
from tests.cluster.control_plane import ControlPlane
from tests.cluster.devices import CLASS, DRIVER, RESOURCES
from tests.cluster.objects import IMAGE

NODE = "n"
QUIET_SECONDS = 2.0
DOMAIN = f'device.attributes["{DRIVER}"]'
Json = dict[str, Any]


def published() -> list[Json]:
    """Two GPUs that can be divided into four, and three plain ones of two NUMA nodes, one of which is tainted."""
    divided = list(devices.divided_gpus(2, 4)(NODE))
    plain = [
        {"name": f"plain-{index}", "attributes": {"kind": {"string": "plain"}, "numa": {"int": index // 2}}}
        for index in range(3)
    ]
    plain[1]["taints"] = [{"key": "broken", "effect": "NoSchedule"}]
    return [*divided, {"devices": plain}]


def one(kind: str, count: int = 1, name: str = "gpus", **more: Any) -> Json:
    selectors = [{"cel": {"expression": f'{DOMAIN}.kind == "{kind}"'}}]
    return {"name": name, "exactly": {"deviceClassName": CLASS, "count": count, "selectors": selectors, **more}}


def either(*options: tuple[str, int]) -> Json:
    parts = [
        {
            "name": kind,
            "deviceClassName": CLASS,
            "count": count,
            "selectors": [{"cel": {"expression": f'{DOMAIN}.kind == "{kind}"'}}],
        }
        for kind, count in options
    ]
    return {"name": "gpus", "firstAvailable": parts}


TOLERATES = [{"key": "broken", "operator": "Exists"}]
CASES: dict[str, Json] = {
    "whole": {"requests": [one("whole")]},
    "parts": {"requests": [one("part")]},
    "three parts": {"requests": [one("part", 3)]},
    "plain": {"requests": [one("plain")]},
    "plain, broken or not": {"requests": [one("plain", tolerations=TOLERATES)]},
    "all plain": {"requests": [one("plain", 0, allocationMode="All")]},
    "all plain, broken or not": {"requests": [one("plain", 0, allocationMode="All", tolerations=TOLERATES)]},
    "the first of two": {"requests": [either(("plain", 2), ("whole", 1))]},
    "two requests": {"requests": [one("whole", name="a"), one("part", 2, name="b")]},
    "equal": {
        "requests": [one("plain", 2, tolerations=TOLERATES)],
        "constraints": [{"matchAttribute": f"{DRIVER}/numa"}],
    },
    "a selector that fails": {
        "requests": [
            {
                "name": "gpus",
                "exactly": {
                    "deviceClassName": CLASS,
                    "count": 1,
                    "selectors": [{"cel": {"expression": f"{DOMAIN}.numa == 0"}}],
                },
            }
        ]
    },
}


def stock(cluster: ControlPlane) -> Stock:
    parser = DeviceParser(ManualClock(0.0))
    slices = cluster.request("GET", f"{RESOURCES}/resourceslices")["items"]
    return node_stocks([parser.resource_slice(each) for each in slices], frozenset())[NODE]


def counted(spec: Json, found: Stock) -> int:
    selectors = SelectorCache()

    def matches(option: Option, kind: DeviceKind) -> bool | None:
        return selectors.select((f'device.driver == "{DRIVER}"', *option.selectors), kind)

    return units((claim_spec({"devices": spec}, "spec"),), found, matches)


def create_pods(cluster: ControlPlane, spec: Json, pods: int) -> None:
    """Pods with such claims."""
    devices.create_template(cluster, "tried", {"devices": spec})
    for index in range(pods):
        claim = {"name": "gpus", "resourceClaimTemplateName": "tried"}
        container = {"name": "main", "image": IMAGE, "resources": {"claims": [{"name": "gpus"}]}}
        cluster.create_pod(f"p{index}", gpus=0, spec={"resourceClaims": [claim], "containers": [container]})


def decided(cluster: ControlPlane) -> tuple[int, int]:
    """How many pods kube-scheduler has bound, and how many it refuses now."""
    bound = refused = 0
    for pod in cluster.pods():
        conditions = {each["type"]: each for each in pod["status"].get("conditions", ())}
        bound += bool(pod["spec"].get("nodeName"))
        refused += conditions.get("PodScheduled", {}).get("reason") in ("Unschedulable", "SchedulerError")
    return bound, refused


@pytest.mark.parametrize("case", CASES)
def test_as_many_pods_are_bound_as_we_count(cluster: ControlPlane, case: str) -> None:
    devices.create_class(cluster)
    node = cluster.create_gpu_node(NODE, gpus=0)
    cluster.wait_for_node(NODE)
    devices.publish(cluster, node, published())
    expected = counted(CASES[case], stock(cluster))
    create_pods(cluster, CASES[case], expected + 1)
    # One more than fit. A pod is refused at first too while its claim is not made yet, so the answer must stay.
    cluster.wait_until(lambda: decided(cluster) == (expected, 1) or None, f"{expected} pods are bound, one is refused")
    time.sleep(QUIET_SECONDS)
    assert decided(cluster) == (expected, 1)
