"""What a policy sees of GPUs that several pods share: what is free of them brings no node."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.model import ClusterView
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.policy.snapshot import fill_snapshot
from autoscaler.live.view.store import Resource
from autoscaler.live.view.submissions import Submissions
from envs.gpu_cluster.codec import Pool
from tests.live import dra, raw
from tests.live.view.test_claims import DeviceWorld, bare
from tests.live.view.test_gpu_parts import MIXED, node, pod, settings, view_of


def nodes_wanted(view: ClusterView, config: LiveConfig) -> list[int]:
    snapshot = fill_snapshot(view, Submissions(0.0), config)
    decision = make_decider("reactive", config.codec).decide(snapshot).decision
    return [int(count) for count in decision.target_nodes[: len(config.pools)]]


def test_a_share_of_a_gpu_that_is_free_is_seen() -> None:
    config = settings(MIXED)
    nodes = [node("n"), node("o")]
    view = view_of(nodes, [pod("a", "n", gpus=4, slices=27), pod("b", "o", gpus=4, slices=26)], config)
    snapshot = fill_snapshot(view, Submissions(0.0), config)
    assert snapshot.pools[0, Pool.SHARED_FREE_GPUS] == (142 + 284) / 1000


@pytest.mark.parametrize(("free", "nodes"), [(2, 1), (1, 2)])
def test_parts_that_wait_use_what_is_left_of_a_gpu(free: int, nodes: int) -> None:
    config = settings(MIXED)
    waiting = [pod(f"p{index}", slices=1) for index in range(2)]
    view = view_of([node("n")], [pod("old", "n", gpus=4, slices=28 - free), *waiting], config)
    assert len(view.queue) == 2
    assert nodes_wanted(view, config) == [nodes]


@pytest.mark.parametrize("bound", [0, 1, 2])
@pytest.mark.parametrize("seen", [False, True], ids=["claim not yet seen", "claim seen"])
@pytest.mark.parametrize("users", [3, 5])
def test_pods_that_share_a_claim_need_no_node_more_while_they_are_bound(users: int, seen: bool, bound: int) -> None:
    """News of claims and of pods come on watches of their own, one before the other."""
    world = DeviceWorld()
    names = tuple(f"gpu-{index}" for index in range(8))
    claim = dra.claim("shared", node="n", allocated=names) if seen else dra.claim("shared")
    spec = dra.pod("t", dra.of_claim("shared"))["spec"]
    job = raw.job("j", pods=users - 1)
    job["spec"]["template"]["spec"] = spec
    pods = [
        dra.pod(f"j-{index}", dra.of_claim("shared"), job="j", node="n" if index < bound else None)
        for index in range(users - 1)
    ]
    late = dra.pod("late", dra.of_claim("shared"))
    assert nodes_wanted(of(world, claim, job, pods), world.config) == [1]
    assert nodes_wanted(of(world, claim, job, [*pods, late]), world.config) == [1]


def of(world: DeviceWorld, claim: raw.Json, job: raw.Json, pods: Sequence[raw.Json]) -> ClusterView:
    world.store.replace(Resource.SLICES, [dra.resource_slice("n")])
    world.store.replace(Resource.CLAIMS, [claim])
    world.listed([bare("n")], list(pods), [job])
    return world.look()


def test_eight_gpus_of_three_pods_are_whole_ones() -> None:
    pods = [dra.pod(f"p{index}", dra.of_claim("shared")) for index in range(3)]
    view = DeviceWorld().has(pods=pods, claims=[dra.claim("shared")])
    assert [gang.pending_gpu_milli for gang in view.queue] == [3000, 3000, 2000]


def test_a_pool_of_whole_gpus_shares_none() -> None:
    config = settings(LivePool("whole", max_nodes=4))
    made = raw.node("n", "whole", gpus=8)
    snapshot = fill_snapshot(view_of([made], [pod("a", "n", gpus=3)], config), Submissions(0.0), config)
    assert snapshot.pools[0, Pool.SHARED_FREE_GPUS] == 0.0
    assert snapshot.free_nodes[0, 5] == 1.0
