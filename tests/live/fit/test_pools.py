"""Why an empty node of a pool cannot run a pod, and why a pool can never run a group."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.live.config import LivePool, NodeTemplate
from autoscaler.live.constraints import PodTerm, Requirement, Taint, Toleration
from autoscaler.live.fit.pools import Together, pod_problem
from autoscaler.live.fit.rules import quantity
from autoscaler.live.fit.shapes import shape_of
from autoscaler.live.fit.simulation import simulate
from tests.live.views import GPU, node, pod, view

POOL = LivePool(
    "a",
    2,
    gpu_type="A100",
    template=NodeTemplate({"zone": "x"}, {}, (Taint("team", "ml"),), {"cpu": "96", "memory": "1Ti", "pods": "110"}),
)
SHAPE = shape_of(POOL)
TOLERATES = (Toleration("team", "Exists"),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"requests": {"cpu": 1000}, "gpu_milli": 0}, f"it requests no {GPU}"),
        ({"requests": {GPU: 16_000}}, f"GPUs: a pod requests 16 of {GPU}, a node has 8"),
        ({"requests": {GPU: 1000, "cpu": 200_000}}, "a pod requests 200 of cpu, a node has 96"),
        ({"requests": {GPU: 1000, "memory": (2 << 40) * 1000}}, "a pod requests 2Ti of memory, a node has 1Ti"),
        ({"tolerations": ()}, "its nodes have the taint team=ml:NoSchedule, which it does not tolerate"),
        ({"node_selector": {"zone": "y"}}, "it selects nodes with zone=y, its nodes have zone=x"),
        ({"node_selector": {"disk": "y"}}, "it selects nodes with disk=y, its nodes have no such label"),
        (
            {"affinity_terms": ((Requirement("zone", "In", ("y",)),),)},
            "its required node affinity matches none of its nodes",
        ),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], reason: str) -> None:
    each = replace(pod("p", gpus=8), **{"tolerations": TOLERATES, **change})
    assert pod_problem(each, POOL, SHAPE) == reason


@given(
    st.integers(0, 10),
    st.sampled_from([1000, 200_000]),
    st.sampled_from([(), TOLERATES]),
    st.sampled_from([{}, {"zone": "x"}, {"zone": "y"}]),
)
def test_a_reason_is_named_if_and_only_if_no_node_can_run_the_pod(
    gpus: int, cpu: int, tolerations: tuple[Toleration, ...], selector: dict[str, str]
) -> None:
    each = replace(pod("p", gpus=gpus, cpu_milli=cpu), tolerations=tolerations, node_selector=selector)
    runs = 0 < gpus <= 8 and cpu == 1000 and tolerations == TOLERATES and selector.get("zone") != "y"
    assert (pod_problem(each, POOL, SHAPE) == "") == runs


def test_large_amounts_are_written_in_binary_units() -> None:
    assert [quantity(milli) for milli in (1500, 96_000, (512 << 30) * 1000)] == ["1.5", "96", "512Gi"]


def test_what_one_group_takes_while_it_is_looked_at_is_free_for_the_next() -> None:
    """A node with 96 CPUs and no new one: a group of 97 does not fit, and its smaller pod alone does."""
    apart = {
        "labels": {"app": "x"},
        "pod_anti_affinity": (PodTerm("zone", (Requirement("app", "In", ("y",)),), ("default",)),),
    }
    large, small = (pod(name, gpus=1, cpu_milli=cpu, **apart) for name, cpu in (("large", 94_000), ("small", 3000)))
    seen = view([node("n", labels={"zone": "z"})])
    together = Together(simulate(seen))
    pool = seen.pool("a")
    assert together.problem([large, small], pool, SHAPE, 0) != ""
    assert together.problem([small], pool, SHAPE, 0) == ""
