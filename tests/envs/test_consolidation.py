"""The rule that says which nodes are emptied, and where their jobs go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.codec import BusyNode, Emptying, consolidation_plan, emptiable

GPUS = 8


def busy(*parts: int, movable: bool = True) -> BusyNode:
    return BusyNode(GPUS - sum(parts), tuple(sorted(parts, reverse=True)), movable)


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
        "no room",
        "no other busy node",
        "a full node gives no room",
        "where the least room suffices",
        "the largest part first",
        "what has received stays",
        "one",
    ],
)
def test_which_nodes_are_emptied(nodes: list[BusyNode], only_one: bool, expected: list[Emptying]) -> None:
    assert consolidation_plan(nodes, only_one) == expected


def test_a_node_that_is_refused_stays_and_the_next_one_is_asked_for() -> None:
    nodes = [busy(1), busy(2), busy(6)]
    asked: list[Emptying] = []
    plan = consolidation_plan(nodes, True, lambda each: asked.append(each) or each.node != 0)
    assert asked == [Emptying(0, (2,)), Emptying(1, (2,))]
    assert plan == [Emptying(1, (2,))]


@given(
    st.lists(st.tuples(st.lists(st.integers(1, GPUS), min_size=1, max_size=4), st.booleans()), max_size=12),
    st.booleans(),
)
def test_no_node_gets_more_than_it_has_and_none_is_emptied_that_received(
    wanted: list[tuple[list[int], bool]], only_one: bool
) -> None:
    nodes = [busy(*parts, movable=movable) for parts, movable in wanted if sum(parts) <= GPUS]
    plan = consolidation_plan(nodes, only_one)
    free = [node.free_gpus for node in nodes]
    emptied = [each.node for each in plan]
    assert len(emptied) == len(set(emptied))
    assert set(emptied) <= set(emptiable(nodes))
    for each in plan:
        for gpus, target in zip(nodes[each.node].parts, each.targets, strict=True):
            free[target] -= gpus
            assert target not in emptied
    assert min(free, default=0) >= 0
    assert len(plan) <= 1 or not only_one
