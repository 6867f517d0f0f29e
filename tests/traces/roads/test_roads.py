"""Road networks: their formats, what is refused, and the quickest ways."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traces
from autoscaler.cli import main

SQUARE = {"a": (0.0, 0.0), "b": (0.0, 0.01), "c": (0.01, 0.01)}


def node_link(tmp_path: Path, links: list[dict[str, Any]], **more: Any) -> str:
    nodes = [{"id": name, "y": place[0], "x": place[1]} for name, place in SQUARE.items()]
    (tmp_path / "x.json").write_text(json.dumps({"directed": True, "nodes": nodes, "links": links, **more}))
    return f"json-roads:{tmp_path}/x.json"


def link(source: str, target: str, **attributes: Any) -> dict[str, Any]:
    return {"source": source, "target": target, **attributes}


RING = [link("a", "b"), link("b", "c"), link("c", "a")]


def test_speeds_and_lengths_come_from_what_the_file_says(tmp_path: Path) -> None:
    links = [
        link("a", "b", length=100.0, speed_kph=36),
        link("b", "c", maxspeed=["20 mph", "40 mph"], length=0),
        link("c", "a", highway="primary_link"),
        link("a", "c", length=5.0),
    ]
    roads = traces.load_roads(f"{node_link(tmp_path, links)}?speed_kmh=18")
    assert roads.speed.tolist() == pytest.approx([10.0, 30 * 1.609344 / 3.6, 50 / 3.6, 5.0])
    assert roads.length_meters[:2].tolist() == [100.0, 0.1]
    assert roads.length_meters[2] == pytest.approx(0.01 * np.sqrt(2) * 111_195, rel=1e-3)


def test_an_undirected_file_leads_both_ways_with_its_course(tmp_path: Path) -> None:
    course = "LINESTRING (0 0, 0.002 0.001, 0.008 0.001, 0.01 0)"
    links = [link("a", "b", geometry=course), link("b", "c")]
    roads = traces.load_roads(node_link(tmp_path, links, directed=False))
    assert (roads.num_edges, sorted(roads.shape)) == (4, [0, 1])
    assert roads.shape[0].tolist() == [[0.001, 0.002], [0.001, 0.008]]
    assert roads.shape[1].tolist() == roads.shape[0][::-1].tolist()


def test_a_graph_that_is_not_connected_names_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = node_link(tmp_path, [link("a", "b"), link("b", "a"), link("b", "c")])
    assert main(["traces", "info", uri]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "2 components, the largest with 2 of 3 nodes (66.7%); add the option component=largest" in told
    kept = traces.load_roads(f"{uri}?component=largest")
    assert (kept.node_id, kept.num_edges, kept.left_out_nodes) == (("a", "b"), 2, 1)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([link("a", "z")], "a road from a to z: there is no node z"),
        ([link("a", "a")], "holds no road between two nodes"),
        ([link("a", "b", length=-3)], "road from a to b has the length -3 m"),
        ([link("a", "b", length="far")], "length 'far', which is no number"),
        ([link("a", "b", speed_kph=9e9)], "has the speed"),
        ([{"source": "a"}], "a link without source and target"),
    ],
)
def test_what_is_no_road_is_refused(tmp_path: Path, links: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(traces.TraceValueError, match=message):
        traces.load_roads(node_link(tmp_path, links))


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    with pytest.raises(traces.TraceValueError, match="no lists nodes and links"):
        traces.load_roads(f"json-roads:{tmp_path}/x")
    with pytest.raises(traces.TraceFileError, match="damaged or not GraphML"):
        traces.load_roads(f"graphml-roads:{tmp_path}/x")
    with pytest.raises(traces.TraceURIError, match=r"no preset 'twn'.*town"):
        traces.load_roads("grid-roads:twn")
    with pytest.raises(traces.TraceURIError, match=r"use traces\.load_roads"):
        traces.load("grid-roads:town")


def test_the_quickest_way_prefers_the_avenue() -> None:
    roads = traces.load_roads("grid-roads:village?columns=3&rows=2&block_meters=100&row_meters=100")
    seconds, before = roads.quickest(np.array([0]))
    assert seconds[0, 3] == pytest.approx(100 / (30 / 3.6))
    assert before[0, 0] == -9999
    parallel = traces.RoadGraph.from_arrays(
        ("a", "b"),
        np.zeros(2),
        np.array([0.0, 0.001]),
        (np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([200.0, 100.0, 100.0]), np.full(3, 10.0)),
    )
    assert parallel.quickest(np.array([0]))[0][0].tolist() == [0, 10]
    assert parallel.quickest_edge()[0, 1] == 1


def test_the_road_graphs_of_osmnx(data_dir: Path) -> None:
    folder = data_dir / "edge" / "roads"
    manhattan = traces.load_roads(f"json-roads:{folder}/manhattan_network.json.gz")
    assert (manhattan.num_nodes, manhattan.left_out_nodes) == (4197, 0)
    assert traces.load_roads(f"json-roads:{folder}/downtown_denver_network.json.gz").num_nodes == 308
    part = traces.load_roads(f"graphml-roads:{folder}/momepy_nyc_graph.graphml")
    assert part.num_nodes == 46
    # Its courses are in metres of a projection; they begin and end at the nodes of its edges.
    plane = part.projection
    nodes = plane.to_meters(part.latitude, part.longitude)
    for edge, points in part.shape.items():
        course = plane.to_meters(points[:, 0], points[:, 1])
        whole = np.vstack([nodes[[part.source[edge]]], course, nodes[[part.target[edge]]]])
        assert np.hypot(*np.diff(whole, axis=0).T).sum() == pytest.approx(part.length_meters[edge], abs=6.0, rel=0.02)
