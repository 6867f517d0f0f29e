"""Whether a pool can ever run a group of pods, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from autoscaler.live.config import LivePool
from autoscaler.live.fit.hosts import Host, host_to_come
from autoscaler.live.fit.rules import FIELD_NAME, quantity, selects_node, shape_key, untolerated
from autoscaler.live.fit.simulation import Simulation
from autoscaler.live.model import NodeShape, PoolView
from autoscaler.live.names import RESOURCE_GPUS
from autoscaler.live.objects import NodeState, PodView


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


class Together:
    """Whether pools can run groups of pods that depend on where others are, pods of others regarded as they are now.

    Args:
        simulation: the cluster; it is as before after each answer.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._candidates: dict[object, list[Host]] = {}

    def problem(self, pods: Sequence[PodView], pool: PoolView, shape: NodeShape, most_new: int) -> str:
        """Why pods cannot run in a pool together; empty: they can.

        Args:
            pods: all of them.
            pool: the pool.
            shape: its next node.
            most_new: nodes that it may have.
        """
        for pod in pods:
            self._ready(pod, pool)  # before any of them takes something
        new: list[Host] = []
        placed: list[tuple[PodView, Host]] = []
        problem = ""
        for pod in pods:
            host = self._fitting(pod, pool, new)
            if host is None:
                host = host_to_come(shape, f"new node {len(new)}")
                self._simulation.add(host)
                new.append(host)
                problem = self._simulation.problem(pod, host)
                if not problem and len(new) > most_new:
                    problem = f"its pods need more than the {most_new} nodes that the pool may have"
            if problem:
                break
            self._simulation.put(pod, host)
            placed.append((pod, host))
        for pod, host in reversed(placed):
            self._simulation.take(pod, host)
        for host in new:
            self._simulation.drop(host)
        return problem

    def _fitting(self, pod: PodView, pool: PoolView, new: Iterable[Host]) -> Host | None:
        hosts = (*new, *self._ready(pod, pool))
        return next((host for host in hosts if not self._simulation.problem(pod, host)), None)

    def _ready(self, pod: PodView, pool: PoolView) -> list[Host]:
        """Ready nodes of a pool where a pod fits, other pods of its group aside."""
        key = pool.name, shape_key(pod)
        if key not in self._candidates:
            hosts = (self._simulation.host(node.name) for node in pool.in_state(NodeState.IDLE, NodeState.BUSY))
            self._candidates[key] = [host for host in hosts if not host.problem(pod)]
        return self._candidates[key]
