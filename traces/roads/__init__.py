"""Road networks: the graph, its shortest paths, and how files of it are read."""

from traces.roads.graph import RoadGraph, RoadSummary

__all__ = ["RoadGraph", "RoadSummary"]
