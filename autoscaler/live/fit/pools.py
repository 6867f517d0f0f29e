"""Whether a pool can ever run a group of pods, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from autoscaler.live.config import LivePool
from autoscaler.live.fit.hosts import Host, host_to_come
from autoscaler.live.fit.rules import FIELD_NAME, quantity, selects_node, untolerated
from autoscaler.live.fit.simulation import Simulation
from autoscaler.live.model import NodeShape, PodView
from autoscaler.live.names import RESOURCE_GPUS


def _untied(pod: PodView) -> PodView:
    """A pod without the node that a device claim of it is allocated on: its selector says of which pool that is."""
    if not pod.claims:
        return pod
    terms = tuple(tuple(each for each in term if each.key != FIELD_NAME) for term in pod.affinity_terms)
    return replace(pod, affinity_terms=terms if all(terms) else ())


def pod_problem(pod: PodView, pool: LivePool, shape: NodeShape) -> str:
    """Why a pod cannot run on a new node of a pool, pods of other jobs aside; empty: it can.

    Args:
        pod: the pod.
        pool: the pool.
        shape: its next node.
    """
    pod = _untied(pod)
    if pod.gpu_milli <= 0:
        return f"it requests no {', '.join(pool.gpu_sizes)}"
    for resource, amount in pod.requests.items():
        has, taken = shape.allocatable.get(resource, 0), shape.overhead.get(resource, 0)
        if amount > 0 and amount > has - taken:
            what = "GPUs" if resource == RESOURCE_GPUS else resource
            unit = "GPUs: " if resource in pool.gpu_sizes else ""
            daemons = f", of which DaemonSets take {quantity(taken)}" if taken else ""
            return f"{unit}a pod requests {quantity(amount)} of {what}, a node has {quantity(has)}{daemons}"
    taint = untolerated(pod, shape.taints)
    if taint is not None:
        return f"its nodes have the taint {taint.key}={taint.value}:{taint.effect}, which it does not tolerate"
    return _label_problem(pod, shape) or host_to_come(shape, "new node").problem(pod)


def _label_problem(pod: PodView, shape: NodeShape) -> str:
    for key, value in pod.node_selector.items():
        if shape.labels.get(key) != value:
            has_label = f"{key}={shape.labels[key]}" if key in shape.labels else "no such label"
            return f"it selects nodes with {key}={value}, its nodes have {has_label}"
    return "" if selects_node(pod, shape.labels) else "its required node affinity matches none of its nodes"


def group_problem(
    pods: Iterable[PodView], simulation: Simulation, nodes: Sequence[str], shape: NodeShape, most_new: int
) -> str:
    """Why pods cannot run in a pool together, pods of others regarded as they are now; empty: they can.

    Args:
        pods: all of them.
        simulation: the cluster; it is as before afterwards.
        nodes: names of the ready nodes of the pool.
        shape: its next node.
        most_new: nodes that it may have.
    """
    hosts = [simulation.host(name) for name in nodes]
    new: list[Host] = []
    placed: list[tuple[PodView, Host]] = []
    problem = ""
    for pod in pods:
        host = next((each for each in (*new, *hosts) if not simulation.problem(pod, each)), None)
        if host is None:
            host = host_to_come(shape, f"new node {len(new)}")
            simulation.add(host)
            new.append(host)
            problem = simulation.problem(pod, host)
            if not problem and len(new) > most_new:
                problem = f"its pods need more than the {most_new} nodes that the pool may have"
        if problem:
            break
        simulation.put(pod, host)
        placed.append((pod, host))
    for pod, host in reversed(placed):
        simulation.take(pod, host)
    for host in new:
        simulation.drop(host)
    return problem
