"""The reference simulator in plain Python: slow and obvious, it defines what the compiled kernels must do.

Objects, lists and searches over everything instead of flat arrays, heaps and bit sets. The property tests drive both
with the same traces, clusters and actions, and every number must be equal. The codec is not written twice: the
reference calls the plain functions of `envs.gpu_cluster.codec` that the kernels compile.

`objects.py` and `state.py` say what there is; the other modules are functions of the state, each with one subject;
`simulator.py` puts them together. To read it from the top, begin with `step` there and `advance` of `clock.py`.
"""

from envs.gpu_cluster.simulator.reference.objects import Job, Node, Running
from envs.gpu_cluster.simulator.reference.simulator import ReferenceSimulator

__all__ = ["Job", "Node", "ReferenceSimulator", "Running"]
