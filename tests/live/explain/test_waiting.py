"""Why jobs wait, pool by pool, in the words of Cluster Autoscaler."""

from dataclasses import replace
from typing import Any

from autoscaler.live.config import LiveConfig
from autoscaler.live.explain.waiting import Reasons, Waiting
from autoscaler.live.guardrails import GuardrailState, PoolBackoff, evaluate
from autoscaler.live.model import ClusterView
from tests.live.views import NOW, booting, config, decision, gang, node, pod, unready, view


def when(seconds: float) -> str:
    return f"t+{seconds - NOW:.0f}"


def reasons(
    seen: ClusterView, settings: LiveConfig | None = None, state: GuardrailState | None = None, **wanted: Any
) -> list[Waiting]:
    settings, wish = settings or config(), decision(**wanted)
    allowed = evaluate(seen, wish, state or GuardrailState(), settings)
    return list(Reasons(seen, wish, allowed, settings, when).all())


def only(found: list[Waiting]) -> Waiting:
    (waiting,) = found
    return waiting


def test_a_pool_at_its_maximum_says_so() -> None:
    busy = pod("w", node="a-0", gpus=8)
    seen = view([node("a-0", pods=[busy])], queue=[gang("j", pools=("a",))], pods=[busy])
    found = only(reasons(seen, config(a={"max_nodes": 1}), a=2, placement=[0]))
    assert found.pools["a"] == "pool at max: the pool has max_nodes 1, 1 exist or are ordered"
    assert "does not fit" in found.pools["b"]
    assert found.message.startswith("pool a: pool at max: ")
    assert (found.ref.kind, found.ref.name, [each.name for each in found.pods]) == ("Job", "j", ["j-0"])


def test_a_pool_at_its_maximum_says_so_also_when_the_policy_asks_for_no_more() -> None:
    busy = pod("w", node="a-0", gpus=8)
    seen = view([node("a-0", pods=[busy])], queue=[gang("j", pools=("a",))], pods=[busy])
    found = only(reasons(seen, config(a={"max_nodes": 1}), a=1, placement=[0]))
    assert found.pools["a"].startswith("pool at max: ")


def test_a_backoff_says_until_when_in_words_that_stay_the_same() -> None:
    state = GuardrailState(backoffs={"a": PoolBackoff(NOW + 240.0, 300.0, NOW - 60.0)})
    first = only(reasons(view(queue=[gang("j", pools=("a",))]), state=state, a=1, placement=[0]))
    later = only(reasons(view(queue=[gang("j", pools=("a",))], now=NOW + 10.0), state=state, a=1, placement=[0]))
    assert first.pools["a"] == "backoff: it failed to deliver, and is left alone until t+240"
    assert first.message == later.message


def test_a_node_that_boots_says_when_it_is_to_be_ready() -> None:
    seen = view([booting("a-0", age=60.0)], queue=[gang("j", pools=("a",))])
    found = only(reasons(seen, config(a={"boot_seconds": 300.0}), a=1, placement=[0]))
    assert found.pools["a"] == "1 node of it is booting, the first to be ready at t+240"
    assert found.coming
    assert not found.ordered


def test_a_full_pool_whose_nodes_boot_says_both() -> None:
    seen = view([booting("a-0", age=60.0)], queue=[gang("j", pools=("a",)), gang("k", pools=("a",))])
    for found in reasons(seen, config(a={"boot_seconds": 300.0, "max_nodes": 1}), a=1, placement=[0, 0]):
        assert found.pools["a"].startswith("pool at max: the pool has max_nodes 1")
        assert found.pools["a"].endswith("; 1 node of it is booting, the first to be ready at t+240")
        assert found.coming == (found.ref.name == "j"), "the node was ordered for the first of them"


def test_a_job_whose_nodes_are_ordered_now_is_told_by_who_orders_them() -> None:
    assert only(reasons(view(queue=[gang("j")]), a=1, placement=[0])).ordered


def test_a_health_stop_is_told_to_every_job() -> None:
    nodes = [unready(f"a-{index}") for index in range(5)]
    found = reasons(view(nodes, queue=[gang("j"), gang("k")]), a=1, placement=[0, 0])
    assert [each.message for each in found] == [
        "health stop: 5 of 5 nodes are unready; repair them, then it continues by itself"
    ] * 2


def test_stale_data_are_told_to_every_job() -> None:
    seen = view(queue=[gang("j")], stale_resources=("pods",))
    (found,) = Reasons(seen, None, None, config(), when).all()
    assert found.message == "stale data: no fresh data of pods, so nothing is changed"


def test_an_incomplete_gang_says_what_is_missing() -> None:
    seen = view([node("a-0"), node("a-1")], queue=[gang("j", pods=2, missing=1)])
    found = only(reasons(seen, a=2, placement=[0]))
    assert found.message == "gang not complete: 1 of its 2 pods do not exist yet"


def test_a_job_that_the_policy_holds_says_until_when() -> None:
    job = replace(gang("j"), latest_start_seconds=NOW + 900.0)
    found = only(reasons(view(queue=[job]), placement=[-1]))
    assert found.message == "held back by the policy, until t+900 at the latest"


def test_a_job_that_goes_now_hears_nothing() -> None:
    assert reasons(view([node("a-0")], queue=[gang("j")]), a=1, placement=[0]) == []


def test_a_pod_that_cannot_be_read_is_told_what_of_it() -> None:
    odd = replace(pod("odd"), readable=False, problem="spec.priority: must be a whole number")
    found = only(reasons(view(pods=[odd])))
    assert found.message == "unreadable object: spec.priority: must be a whole number; no node is ordered for it"
    assert not found.temporary
