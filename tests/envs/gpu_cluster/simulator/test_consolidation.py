"""The rule that says which nodes are emptied, and where their jobs go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.gpu_cluster.codec import BusyNode, Emptying, NodePart, consolidation_plan, emptiable

GPUS = 8


def busy(*parts: int, movable: bool = True) -> BusyNode:
    sizes = sorted(parts, reverse=True)
    return BusyNode(NodePart(GPUS - sum(parts)), tuple(NodePart(gpus) for gpus in sizes), movable)


@pytest.mark.parametrize(
    ("nodes", "only_one", "expected"),
    [
        ([busy(4), busy(4)], False, [Emptying(0, (1,))]),
        ([busy(4), busy(2)], False, [Emptying(1, (0,))]),
        ([busy(4), busy(2, movable=False)], False, [Emptying(0, (1,))]),
        ([busy(4, movable=False), busy(4, movable=False)], False, []),
        ([busy(5), busy(5)], False, []),
        ([busy(4)], False, []),
        ([busy(8), busy(1)], False, []),
        ([busy(1), busy(6), busy(5)], True, [Emptying(0, (1,))]),
        ([busy(3, 2), busy(5), busy(6)], False, [Emptying(0, (1, 2))]),
        ([busy(1), busy(2), busy(6), busy(7)], False, [Emptying(0, (3,)), Emptying(1, (2,))]),
        ([busy(1), busy(2), busy(6), busy(7)], True, [Emptying(0, (3,))]),
    ],
    ids=[
        "the first of equals",
        "the emptiest",
        "what may not move stays and receives",
        "nothing may move",
        "nothing fits",
        "no other busy node",
        "a full node has nothing free",
        "where the least capacity suffices",
        "the largest part first",
        "what has received stays",
        "one",
    ],
)
def test_which_nodes_are_emptied(nodes: list[BusyNode], only_one: bool, expected: list[Emptying]) -> None:
    assert consolidation_plan(nodes, only_one) == expected


def test_a_node_that_is_refused_stays_and_the_next_one_is_proposed() -> None:
    nodes = [busy(1), busy(2), busy(6)]
    proposed: list[Emptying] = []
    plan = consolidation_plan(nodes, True, lambda each: proposed.append(each) or each.node != 0)
    assert proposed == [Emptying(0, (2,)), Emptying(1, (2,))]
    assert plan == [Emptying(1, (2,))]


def occupied(*parts: tuple[int, int, int], free: tuple[int, int, int], movable: bool = True) -> BusyNode:
    """A node with parts of so many GPUs, CPUs (thousandths) and MiB, and what is free on it."""
    return BusyNode(NodePart(*free), tuple(NodePart(*part) for part in parts), movable)


@pytest.mark.parametrize(
    ("memory_mib", "target"), [(100, 1), (101, 2), (200, 2)], ids=["just enough", "one MiB short", "the other one"]
)
def test_a_node_with_gpus_but_without_memory_is_passed_over(memory_mib: int, target: int) -> None:
    nodes = [
        occupied((1, 0, memory_mib), free=(7, 0, 300)),
        occupied((6, 0, 0), free=(2, 0, 100), movable=False),
        occupied((5, 0, 0), free=(3, 0, 200), movable=False),
    ]
    assert consolidation_plan(nodes, only_one=True) == [Emptying(0, (target,))]


@pytest.mark.parametrize(("free_cpu_milli", "is_emptied"), [(5000, True), (4999, False)])
def test_two_parts_need_cpus_together(free_cpu_milli: int, is_emptied: bool) -> None:
    """Each of them fits alone; three GPUs are free."""
    nodes = [
        occupied((1, 3000, 0), (1, 2000, 0), free=(6, 1000, 0)),
        occupied((5, 1, 0), free=(3, free_cpu_milli, 0), movable=False),
    ]
    assert consolidation_plan(nodes, only_one=True) == ([Emptying(0, (1, 1))] if is_emptied else [])


def test_the_second_part_goes_on_where_the_first_left_no_cpus() -> None:
    nodes = [
        occupied((2, 3000, 0), (1, 2000, 0), free=(5, 0, 0)),
        occupied((4, 0, 0), free=(4, 4999, 0), movable=False),
        occupied((3, 0, 0), free=(5, 2000, 0), movable=False),
    ]
    assert consolidation_plan(nodes, only_one=True) == [Emptying(0, (1, 2))]


def test_a_node_that_gave_out_too_much_still_takes_what_requests_none_of_it() -> None:
    """Free capacity below zero is seen on a cluster, where a node may report less than it did before."""
    nodes = [occupied((1, 0, 10), free=(7, 0, 0)), occupied((4, 0, 0), free=(4, -1000, 10), movable=False)]
    assert consolidation_plan(nodes, only_one=True) == [Emptying(0, (1,))]
    assert not nodes[1].free.holds(NodePart(1, 1, 0))


AMOUNTS = st.sampled_from([0, 0, 1, 2, 3])


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.integers(1, 4), AMOUNTS, AMOUNTS), min_size=1, max_size=3), AMOUNTS, AMOUNTS)
    ),
    st.booleans(),
)
def test_no_node_gives_more_cpus_or_memory_than_it_has(
    wanted: list[tuple[list[tuple[int, int, int]], int, int]], only_one: bool
) -> None:
    nodes = [
        occupied(*sorted(parts, reverse=True), free=(GPUS - sum(part[0] for part in parts), cpu, memory))
        for parts, cpu, memory in wanted
        if sum(part[0] for part in parts) <= GPUS
    ]
    left = [node.free for node in nodes]
    for each in consolidation_plan(nodes, only_one):
        for part, target in zip(nodes[each.node].parts, each.targets, strict=True):
            left[target] = left[target].without(part)
    assert all(min(free) >= 0 for free in left)


@given(
    st.lists(st.tuples(st.lists(st.integers(1, GPUS), min_size=1, max_size=4), st.booleans()), max_size=12),
    st.booleans(),
)
def test_no_node_gets_more_than_it_has_and_none_is_emptied_that_received(
    wanted: list[tuple[list[int], bool]], only_one: bool
) -> None:
    nodes = [busy(*parts, movable=movable) for parts, movable in wanted if sum(parts) <= GPUS]
    plan = consolidation_plan(nodes, only_one)
    free = [node.free.gpus for node in nodes]
    emptied = [each.node for each in plan]
    assert len(emptied) == len(set(emptied))
    assert set(emptied) <= set(emptiable(nodes))
    for each in plan:
        for part, target in zip(nodes[each.node].parts, each.targets, strict=True):
            free[target] -= part.gpus
            assert target not in emptied
    assert min(free, default=0) >= 0
    assert len(plan) <= 1 or not only_one
