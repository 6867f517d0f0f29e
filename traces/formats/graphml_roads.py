"""Road networks in GraphML, as OSMnx's `save_graphml` writes them."""

import xml.etree.ElementTree as ET
from typing import Any

from traces.errors import TraceFileError
from traces.format import Format
from traces.inputs import damaged, only_input
from traces.roads.graph import RoadGraph
from traces.roads.records import RoadOptions, make_roads

OSM_LICENCE = "ODbL (OpenStreetMap contributors)"


def load(path: str, options: RoadOptions) -> RoadGraph:
    """The road graph of a GraphML file. Edges of an undirected one lead both ways.

    Source: Boeing, "OSMnx: New Methods for Acquiring, Constructing, Analyzing, and Visualizing Complex Street
    Networks" (2017); http://graphml.graphdrawing.org.

    Raises:
        TraceError: the file cannot be read, breaks a rule, or its graph is not connected.
    """
    source = only_input(path)
    keys: dict[str, str] = {}
    nodes: dict[str, dict[str, Any]] = {}
    edges: list[tuple[str, str, dict[str, Any]]] = []
    directed = True
    try:
        with source.open() as stream:
            # expat since 2.4.1 refuses entities that grow beyond reason, and external ones are never read.
            for event, element in ET.iterparse(stream, events=("start", "end")):  # noqa: S314
                tag = element.tag.rpartition("}")[2]
                if event == "start":
                    directed = element.get("edgedefault") != "undirected" if tag == "graph" else directed
                elif tag == "key":
                    keys[element.get("id", "")] = element.get("attr.name", "")
                elif tag == "node":
                    nodes[element.get("id", "")] = _attributes(element, keys)
                    element.clear()
                elif tag == "edge":
                    edges.append((element.get("source", ""), element.get("target", ""), _attributes(element, keys)))
                    element.clear()
    except TraceFileError:
        raise
    except (OSError, ET.ParseError) as error:
        raise damaged(str(source), error, " or not GraphML") from error
    return make_roads(str(source), nodes, edges, options, directed=directed, licence=FORMAT.licence)


def _attributes(element: Any, keys: dict[str, str]) -> dict[str, Any]:
    found = ((each.get("key", ""), each.text) for each in element if each.tag.rpartition("}")[2] == "data")
    return {keys.get(key, key): text or "" for key, text in found}


FORMAT = Format(
    name="graphml-roads",
    kind="roads",
    description="road network in GraphML, as OSMnx writes it",
    options=RoadOptions,
    load=load,
    licence=OSM_LICENCE,
    citation="Boeing, OSMnx, Computers, Environment and Urban Systems 2017",
    example="graphml-roads:city.graphml?component=largest",
    url="https://github.com/gboeing/osmnx",
)
