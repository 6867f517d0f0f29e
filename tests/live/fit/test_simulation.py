"""Where pods may go because of what is free and because of other pods: small clusters, worked out by hand."""

import pytest

from autoscaler.live.constraints import PodTerm, Requirement, Spread, Taint
from autoscaler.live.fit.hosts import host_to_come
from autoscaler.live.fit.simulation import simulate
from autoscaler.live.model import NodeShape
from tests.live.views import GPU, node, pod, view

HOST, ZONE = "kubernetes.io/hostname", "zone"
APP = (Requirement("app", "In", ("x",)),)
LABELS = {"app": "x"}


def term(key=HOST, selector=APP, namespaces=("default",), **fields):
    return PodTerm(key, selector, namespaces, **fields)


def cluster(**nodes):
    """Nodes by name: their zone and the pods on them."""
    made, pods = [], []
    for name, (zone, on_it) in nodes.items():
        labels = {HOST: name, **({ZONE: zone} if zone else {})}
        made.append(node(name, pods=on_it, labels=labels))
        pods += on_it
    return simulate(view(made, pods=pods))


def where(simulation, each, names):
    return [name for name in names if not simulation.problem(each, simulation.host(name))]


def on(name, label="x", **fields):
    return pod(f"on-{name}-{label}", node=name, labels={"app": label}, **fields)


def test_anti_affinity_keeps_off_a_node_with_such_a_pod():
    seen = cluster(n=("z1", [on("n")]), m=("z1", []))
    assert where(seen, pod(labels=LABELS, pod_anti_affinity=(term(),)), "nm") == ["m"]


def test_anti_affinity_by_zone_keeps_off_the_whole_zone():
    seen = cluster(n=("z1", [on("n")]), m=("z1", []), o=("z2", []))
    assert where(seen, pod(labels=LABELS, pod_anti_affinity=(term(ZONE),)), "nmo") == ["o"]


def test_a_pod_on_a_node_that_wants_no_such_pod_keeps_it_off():
    seen = cluster(n=("z1", [on("n", "db", pod_anti_affinity=(term(),))]), m=("z1", []))
    assert where(seen, pod(labels=LABELS), "nm") == ["m"]
    assert where(seen, pod(labels={"app": "y"}), "nm") == ["n", "m"]


def test_affinity_wants_a_pod_near_it():
    seen = cluster(n=("z1", [on("n")]), m=("z1", []), o=("z2", []))
    assert where(seen, pod(pod_affinity=(term(),)), "nmo") == ["n"]
    assert where(seen, pod(pod_affinity=(term(ZONE),)), "nmo") == ["n", "m"]


def test_the_first_of_a_group_that_wants_to_be_together_may_be_anywhere_and_the_others_follow_it():
    seen = cluster(n=("z1", []), m=("z2", []))
    first, second = (pod(name, labels=LABELS, pod_affinity=(term(ZONE),)) for name in ("first", "second"))
    assert where(seen, first, "nm") == ["n", "m"]
    seen.put(first, seen.host("m"))
    assert where(seen, second, "nm") == ["m"]
    seen.take(first, seen.host("m"))
    assert where(seen, second, "nm") == ["n", "m"]


def test_a_pod_that_is_not_of_the_group_it_wants_may_go_nowhere_without_it():
    assert where(cluster(n=("z1", [])), pod(labels={"app": "y"}, pod_affinity=(term(),)), "n") == []


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (term(namespaces=("other",)), ["n"]),
        (term(namespaces=(), namespace_selector=()), []),
        (
            term(namespaces=(), namespace_selector=(Requirement("kubernetes.io/metadata.name", "In", ("default",)),)),
            [],
        ),
        (term(namespaces=(), namespace_selector=(Requirement("team", "In", ("a",)),)), ["n"]),
        (term(selector=None), ["n"]),
    ],
    ids=["another namespace", "all namespaces", "a namespace by its name", "by a label", "no selector"],
)
def test_which_pods_a_term_is_about(about, expected):
    assert where(cluster(n=("z1", [on("n")])), pod(labels=LABELS, pod_anti_affinity=(about,)), "n") == expected


@pytest.mark.parametrize(
    ("skew", "expected"),
    [(1, ["o"]), (2, ["m", "o"]), (3, ["n", "m", "o"])],
)
def test_a_spread_over_hosts_counts_the_pod_itself_against_the_emptiest(skew, expected):
    """Two such pods on n, one on m, none on o: with the pod they would be 3, 2 and 1, against 0 on the emptiest."""
    seen = cluster(n=("z1", [on("n"), pod("second", node="n", labels=LABELS)]), m=("z1", [on("m")]), o=("z2", []))
    assert where(seen, pod(labels=LABELS, spreads=(Spread(HOST, skew, APP),)), "nmo") == expected


def test_a_spread_over_zones_fills_the_emptier_zone():
    seen = cluster(n=("z1", [on("n")]), m=("z1", []), o=("z2", []))
    each = pod(labels=LABELS, spreads=(Spread(ZONE, 1, APP),))
    assert where(seen, each, "nmo") == ["o"]
    seen.put(each, seen.host("o"))
    assert where(seen, pod("next", labels=LABELS, spreads=each.spreads), "nmo") == ["n", "m", "o"]


def test_a_spread_counts_only_nodes_that_the_pod_selects():
    seen = cluster(n=("z1", [on("n")]), m=("z2", []))
    spread = (Spread(ZONE, 1, APP),)
    assert where(seen, pod(labels=LABELS, spreads=spread, node_selector={ZONE: "z1"}), "nm") == ["n"]
    ignoring = (Spread(ZONE, 1, APP, honors_affinity=False),)
    assert where(seen, pod(labels=LABELS, spreads=ignoring, node_selector={ZONE: "z1"}), "nm") == []


def test_with_fewer_domains_than_demanded_the_emptiest_counts_as_empty():
    seen = cluster(n=("z1", [on("n")]))
    assert where(seen, pod(labels=LABELS, spreads=(Spread(ZONE, 1, APP),)), "n") == ["n"]
    assert where(seen, pod(labels=LABELS, spreads=(Spread(ZONE, 1, APP, min_domains=2),)), "n") == []


def test_a_node_without_the_label_is_no_place_for_a_spread_pod():
    assert where(cluster(n=(None, [])), pod(labels=LABELS, spreads=(Spread(ZONE, 1, APP),)), "n") == []


def test_a_node_that_comes_is_a_domain_and_goes_with_its_pods():
    seen = cluster(n=("z1", [on("n")]))
    each = pod(labels=LABELS, spreads=(Spread(ZONE, 1, APP),))
    assert where(seen, each, "n") == ["n"]
    new = host_to_come(NodeShape({ZONE: "z2"}, (), {"cpu": 8000, "pods": 10_000}), "new")
    seen.add(new)
    assert where(seen, each, "n") == []
    seen.put(each, new)
    assert where(seen, pod("next", labels=LABELS, spreads=each.spreads), "n") == ["n"]
    seen.drop(new)
    assert where(seen, each, "n") == ["n"]


def test_ports_of_the_host_are_taken_once_by_protocol_and_address():
    seen = cluster(n=("z1", [pod("there", node="n", host_ports=(("TCP", "10.0.0.1", 80),))]))
    for port, free in [
        (("TCP", "0.0.0.0", 80), False),
        (("TCP", "10.0.0.1", 80), False),
        (("TCP", "10.0.0.2", 80), True),
        (("UDP", "10.0.0.1", 80), True),
        (("TCP", "10.0.0.1", 81), True),
    ]:
        assert bool(where(seen, pod(host_ports=(port,)), "n")) == free, port


def test_what_is_put_takes_resources_and_ports_until_it_is_taken_back():
    seen = cluster(n=("z1", []))
    big = pod("big", cpu_milli=95_500, host_ports=(("TCP", "0.0.0.0", 80),))
    seen.put(big, seen.host("n"))
    assert where(seen, pod(), "n") == []
    assert seen.problem(pod(), seen.host("n")) == "it requests 1 of cpu, 0.5 are free"
    seen.take(big, seen.host("n"))
    assert where(seen, pod(host_ports=big.host_ports), "n") == ["n"]


def test_a_node_with_a_pod_that_cannot_be_read_is_full():
    assert where(cluster(n=("z1", [pod("odd", node="n", readable=False)])), pod(), "n") == []


def test_a_node_to_come_has_its_daemon_sets_already():
    shape = NodeShape({}, (Taint("team", "x"),), {"cpu": 8000, "pods": 10_000, GPU: 8000}, {"cpu": 2000, "pods": 3000})
    host = host_to_come(shape, "new")
    assert host.free == {"cpu": 6000, "pods": 7000, GPU: 8000}
    assert host.problem(pod()) == "its taint team is not tolerated"


def test_a_node_can_be_named_by_a_field():
    named = pod(affinity_terms=((Requirement("metadata.name", "In", ("m",)),),))
    assert where(cluster(n=("z1", []), m=("z1", [])), named, "nm") == ["m"]
