"""Road networks in networkx's node-link JSON."""

import json
from typing import Any

from traces.errors import TraceFileError, TraceValueError
from traces.format import Format
from traces.formats.graphml_roads import OSM_LICENCE
from traces.inputs import damaged, only_input
from traces.roads.graph import RoadGraph
from traces.roads.records import RoadOptions, make_roads


def load(path: str, options: RoadOptions) -> RoadGraph:
    """The road graph of a JSON object with `nodes` and `links` (or `edges`), OSMnx's attributes in both.

    Source: `networkx.node_link_data`.

    Raises:
        TraceError: the file cannot be read, breaks a rule, or its graph is not connected.
    """
    source = only_input(path)
    try:
        with source.open() as stream:
            document = json.loads(stream.read())
    except TraceFileError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(str(source), error, " or not JSON") from error
    links = document.get("links", document.get("edges")) if isinstance(document, dict) else None
    if not isinstance(links, list) or not isinstance(document.get("nodes"), list):
        raise TraceValueError(f"{source}: has no lists nodes and links; write it with networkx.node_link_data")
    try:
        nodes = {str(node["id"]): node for node in document["nodes"]}
        edges: list[tuple[str, str, dict[str, Any]]] = [
            (str(link["source"]), str(link["target"]), link) for link in links
        ]
    except (KeyError, TypeError) as error:
        raise TraceValueError(f"{source}: a node without id, or a link without source and target: {error!r}") from error
    directed = bool(document.get("directed", True))
    return make_roads(str(source), nodes, edges, options, directed=directed, licence=FORMAT.licence)


FORMAT = Format(
    name="json-roads",
    kind="roads",
    description="road network in networkx's node-link JSON",
    options=RoadOptions,
    load=load,
    licence=OSM_LICENCE,
    citation="Boeing, OSMnx, Computers, Environment and Urban Systems 2017",
    example="json-roads:manhattan_network.json.gz",
    url="https://github.com/NREL/hive",
)
