"""A view in which what is paused takes no part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaler.live.model import ClusterView, GangView


def with_pauses(view: ClusterView, everything: str, pools: Mapping[str, str]) -> ClusterView:
    """The view with what is paused, and without the paused pools among those that may run a waiting job.

    Jobs that no other pool may run wait like those that no pool can run.

    Args:
        view: the cluster.
        everything: who says that nothing may be changed; empty: nobody.
        pools: the same of single pools, by name; those that there are not are left out.
    """
    known = {pool.name for pool in view.pools}
    paused = {pool: why for pool, why in pools.items() if pool in known}
    if not everything and not paused:
        return view
    queue = [_without(gang, paused) for gang in view.queue]
    return replace(
        view,
        paused=everything,
        paused_pools=paused,
        queue=tuple(gang for gang in queue if gang.allowed_pools),
        unplaceable=(*view.unplaceable, *(gang for gang in queue if not gang.allowed_pools)),
    )


def _without(gang: GangView, paused: Mapping[str, str]) -> GangView:
    # A gang of which a part runs in a paused pool still belongs there.
    allowed = tuple(pool for pool in gang.allowed_pools if pool not in paused)
    return gang if allowed == gang.allowed_pools else replace(gang, allowed_pools=allowed)
