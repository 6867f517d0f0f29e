"""Whether a pod fits on a node, as kube-scheduler decides it: one engine for orders, placements, evictions and answers.

Pure functions over views. `rules` looks at one node alone, `topology` at the pods of all nodes, `simulation` puts
pods on nodes and takes them back, `shapes` says what the next node of a pool is like.
"""

from autoscaler.live.fit.rules import fits, needs
from autoscaler.live.fit.shapes import pool_shape, shape_of
from autoscaler.live.fit.simulation import Host, Simulation

__all__ = ["Host", "Simulation", "fits", "needs", "pool_shape", "shape_of"]
