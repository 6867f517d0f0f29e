"""Since when nodes are unwell: one clock for each node, which no change of its reasons starts anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from autoscaler.live.config import LiveConfig
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeState, NodeView
from autoscaler.live.repair_config import Repair
from autoscaler.live.view.nodes import is_usable


@dataclass(frozen=True, slots=True)
class Ailment:
    """A node that is unwell, or was so recently.

    Attributes:
        since_seconds: since when.
        well_since_seconds: since when nothing says so any more; None: something does.
        rebooted_seconds: when we rebooted it; None: we did not.
    """

    since_seconds: float
    well_since_seconds: float | None = None
    rebooted_seconds: float | None = None


def seen_ailing(before: Mapping[str, Ailment], view: ClusterView, config: LiveConfig) -> dict[str, Ailment]:
    """The unwell nodes by uid, as a view shows them.

    Args:
        before: the same before this view.
        view: the cluster.
        config: how each pool is repaired.
    """
    found: dict[str, Ailment] = {}
    for pool in view.pools:
        settings = config.pool(pool.name).repair
        for node in pool.nodes if settings.enabled else ():
            ailment = _of(node, before.get(node.uid), view.now_seconds)
            if ailment is not None and not _is_over(ailment, settings, view.now_seconds):
                found[node.uid] = ailment
    return found


def _of(node: NodeView, known: Ailment | None, now: float) -> Ailment | None:
    # A node that has not been of use yet has its own time-out.
    is_unwell = bool(node.faults) and node.state is not NodeState.BOOTING
    if known is None and node.unwell_since_seconds is not None:
        # A process before this one wrote it down.
        known = Ailment(node.unwell_since_seconds, None, node.rebooted_seconds)
    if known is None:
        return Ailment(now) if is_unwell else None
    if is_unwell:
        return replace(known, well_since_seconds=None)
    # While it boots, nobody knows.
    if not is_usable(node):
        return replace(known, well_since_seconds=None)
    return replace(known, well_since_seconds=now if known.well_since_seconds is None else known.well_since_seconds)


def _is_over(ailment: Ailment, settings: Repair, now: float) -> bool:
    well = ailment.well_since_seconds
    return well is not None and now - well >= settings.healthy_seconds


def due_seconds(node: NodeView, ailment: Ailment, settings: Repair) -> float | None:
    """From when on a node is to be repaired, or replaced if it was rebooted; None: nothing says that it is unwell.

    A node that was rebooted must also come back with its GPUs in time.
    """
    if ailment.well_since_seconds is not None:
        return None
    if ailment.rebooted_seconds is not None:
        lost = bool(node.faults) or not is_usable(node)
        return ailment.rebooted_seconds + settings.reboot_seconds if lost else None
    return ailment.since_seconds + node.tolerated_seconds if node.faults else None


def repair_moments(view: ClusterView, ailing: Mapping[str, Ailment], config: LiveConfig) -> Iterator[float]:
    """When a node is to be repaired, and when one counts as well again."""
    for pool in view.pools:
        settings = config.pool(pool.name).repair
        for node in pool.nodes:
            ailment = ailing.get(node.uid)
            if ailment is None:
                continue
            due = due_seconds(node, ailment, settings)
            if due is not None:
                yield due
            if ailment.well_since_seconds is not None:
                yield ailment.well_since_seconds + settings.healthy_seconds
