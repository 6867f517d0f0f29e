"""Why an empty node of a pool cannot run a pod: `view.gangs.may_run` in words."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.live.config import LivePool
from autoscaler.live.model import GangView, PodView
from autoscaler.live.names import RESOURCE_GPUS
from autoscaler.live.view.gangs import may_run, template_sizes
from autoscaler.live.view.nodes import BLOCKING_EFFECTS

_BINARY = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))
_LARGE = 1 << 20


def misfit(gang: GangView, pool: LivePool) -> str:
    """Why no node of a pool can ever run a gang; empty: one can."""
    sizes = template_sizes(pool)
    pods = gang.pending or gang.pods
    for pod in pods:
        if not may_run(pod, pool, sizes):
            return pod_misfit(pod, pool, sizes)
    most = pool.max_nodes * pool.gpus_per_node
    if gang.pending_gpu_milli > most * 1000:
        return f"it requests {gang.pending_gpu_milli / 1000:g} GPUs in all, {pool.max_nodes} nodes have {most}"
    return ""


def pod_misfit(pod: PodView, pool: LivePool, sizes: Mapping[str, int]) -> str:
    """Why no node of a pool can ever run a pod that `may_run` refuses; names the resource, taint or label.

    Args:
        pod: the pod.
        pool: the pool.
        sizes: allocatable resources of its nodes, in thousandths.
    """
    if pod.gpu_milli <= 0:
        return f"it requests no {', '.join(pool.gpu_sizes)}"
    for resource, amount in pod.requests.items():
        has = sizes.get(resource, 0)
        if amount > has:
            what = "GPUs" if resource == RESOURCE_GPUS else resource
            unit = "GPUs: " if resource in pool.gpu_sizes else ""
            return f"{unit}a pod requests {quantity(amount)} of {what}, a node has {quantity(has)}"
    for taint in pool.template.taints:
        if taint.effect in BLOCKING_EFFECTS and not any(each.tolerates(taint) for each in pod.tolerations):
            return f"its nodes have the taint {taint.key}={taint.value}:{taint.effect}, which it does not tolerate"
    labels = pool.node_labels
    for key, value in pod.node_selector.items():
        if labels.get(key) != value:
            has_label = f"{key}={labels[key]}" if key in labels else "no such label"
            return f"it selects nodes with {key}={value}, its nodes have {has_label}"
    return "its required node affinity matches none of its nodes"


def quantity(milli: int) -> str:
    """Thousandths as Kubernetes writes a quantity: bytes in binary units where they are many."""
    amount = milli / 1000
    if amount >= _LARGE:
        for suffix, size in _BINARY:
            if amount >= size:
                return f"{amount / size:.4g}{suffix}"
    return f"{amount:g}"
