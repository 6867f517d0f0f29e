"""What the next node of a pool is like: from the config, from its nodes, and from the DaemonSets of the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from autoscaler.live.cluster_objects import DaemonSetView
from autoscaler.live.config import GPU_MILLI, LivePool
from autoscaler.live.fit.rules import LABEL_HOSTNAME, needs, selects_node, untolerated
from autoscaler.live.kube.quantities import QuantityError, parse_milli
from autoscaler.live.model import NodeShape, PoolView
from autoscaler.live.names import RESOURCE_GPUS
from autoscaler.live.objects import NodeView
from autoscaler.live.providers import kind_of


def pool_shape(pool: PoolView, settings: LivePool) -> NodeShape:
    """The next node of a pool; see `PoolView.shape`."""
    return pool.shape or shape_of(settings)


def shape_of(
    settings: LivePool,
    nodes: Sequence[NodeView] = (),
    daemon_sets: Iterable[DaemonSetView] = (),
    units: Mapping[str, int] | None = None,
) -> NodeShape:
    """The next node of a pool.

    What a node of the pool really offers counts before what the config says of it. A label that all of its nodes share,
    such as the zone, will be that of the next one too.

    Args:
        settings: the pool.
        nodes: its nodes.
        units: what it will have for device claims, in thousandths.
        daemon_sets: all of the cluster; those whose pods would run on the node take their part of it.
    """
    ready = [node for node in nodes if node.ready and node.allocatable_gpu_milli > 0]
    promised = kind_of(settings.provider).template_labels(settings)
    labels = {**_shared_labels(ready), **promised, **settings.node_labels}
    allocatable = _template_sizes(settings)
    # The newest counts last. A device plugin that has not reported yet leaves what other nodes offer.
    for node in sorted(ready, key=lambda each: (each.created_seconds, each.name)):
        allocatable.update((resource, amount) for resource, amount in node.allocatable.items() if amount > 0)
    allocatable |= {**_gpus(settings), **(units or {})}
    overhead: Counter[str] = Counter()
    ports: list[tuple[str, str, int]] = []
    for each in daemon_sets:
        pod = each.template
        if untolerated(pod, settings.template.taints) is None and selects_node(pod, labels):
            overhead.update(dict(needs(pod)))
            ports += pod.host_ports
    return NodeShape(labels, settings.template.taints, allocatable, dict(overhead), tuple(ports))


def _gpus(pool: LivePool) -> dict[str, int]:
    """GPUs of a new node, and parts of GPUs, in thousandths."""
    counts = {resource: count * GPU_MILLI for resource, count in pool.gpu_counts.items()}
    return {**counts, RESOURCE_GPUS: pool.node_gpu_milli}


def _shared_labels(nodes: Sequence[NodeView]) -> dict[str, str]:
    if not nodes:
        return {}
    shared = set(nodes[0].labels.items())
    for node in nodes[1:]:
        shared &= set(node.labels.items())
    return {key: value for key, value in shared if key != LABEL_HOSTNAME}


def _template_sizes(pool: LivePool) -> dict[str, int]:
    """Allocatable resources of a pool's template besides GPUs; one that cannot be read counts as none."""
    sizes: dict[str, int] = {}
    for resource, amount in pool.template.allocatable.items():
        try:
            sizes[resource] = parse_milli(amount)
        except QuantityError:
            sizes[resource] = 0
    return sizes
