"""What a custom packer may read of a node and of a part of a job, by name; compiled with it, or run in plain Python.

A part of a job is what goes to one node: a pod. All numbers are integers.
"""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod


@helper
def free_cpu_milli(nodes: Nodes, node: int) -> int:
    """Free thousandths of a core of a node."""
    return nodes.node[node, ns.FREE_CPU]


@helper
def free_memory_mib(nodes: Nodes, node: int) -> int:
    """Free memory of a node, in MiB."""
    return nodes.node[node, ns.FREE_MEMORY]


@helper
def free_gpu_milli(nodes: Nodes, node: int) -> int:
    """Free thousandths of all GPUs of a node together."""
    return nodes.node[node, ns.FREE_MILLI]


@helper
def free_gpus(nodes: Nodes, node: int) -> int:
    """GPUs of a node that are free as a whole."""
    return nodes.node[node, ns.WHOLE]


@helper
def free_milli_of_gpu(nodes: Nodes, node: int, gpu: int) -> int:
    """Free thousandths of one GPU of a node."""
    return nodes.gpu[node, gpu]


@helper
def num_gpus(nodes: Nodes, node: int) -> int:
    """GPUs of a node."""
    return nodes.node[node, ns.GPUS]


@helper
def linked_gpus(nodes: Nodes, node: int) -> int:
    """GPUs that share a fast link, in blocks from GPU 0 of a node on."""
    return nodes.node[node, ns.LINKED]


@helper
def running_pods(nodes: Nodes, node: int) -> int:
    """Pods that run on a node."""
    return nodes.node[node, ns.PODS]


@helper
def latest_end_ms(nodes: Nodes, node: int) -> int:
    """When the last of the pods of a node is predicted to end, in ms of the trace's time; 0 without pods."""
    return nodes.node[node, ns.LATEST_END]


@helper
def requested_cpu_milli(pod: Pod) -> int:
    """Thousandths of a core that a pod requests."""
    return pod[ns.CPU]


@helper
def requested_memory_mib(pod: Pod) -> int:
    """Memory that a pod requests, in MiB."""
    return pod[ns.MEMORY]


@helper
def requested_gpus(pod: Pod) -> int:
    """GPUs that a pod requests; 1 for a share of one."""
    return pod[ns.NUM_GPUS]


@helper
def requested_milli_per_gpu(pod: Pod) -> int:
    """Thousandths of each of its GPUs that a pod requests: 1000, or less of a single one."""
    return pod[ns.MILLI]


@helper
def predicted_end_ms(pod: Pod) -> int:
    """When a pod is predicted to end, in ms of the trace's time; only `Packer.per_pod` may use it."""
    return pod[ns.END]


@helper
def pod_number(pod: Pod) -> int:
    """The number of a pod's job, to draw at random by; only `Packer.per_pod` and `Packer.gpus` may use it."""
    return pod[ns.NUMBER]
