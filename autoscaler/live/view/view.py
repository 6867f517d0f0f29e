"""From the store's contents to a `ClusterView`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.fit.pools import Together
from autoscaler.live.fit.shapes import shape_of
from autoscaler.live.fit.simulation import simulate
from autoscaler.live.model import ClusterView, GangState, OrderView, PoolView
from autoscaler.live.names import ANNOTATION_IDLE_SINCE, ANNOTATION_REBOOTED_AT, ANNOTATION_UNWELL_SINCE
from autoscaler.live.objects import MachineView, NodeView, PodView
from autoscaler.live.view.claims import ClaimResolver, Resolved
from autoscaler.live.view.gangs import GangBuilder, Submission, pods_wanted, unserved_reason
from autoscaler.live.view.groups import with_problems
from autoscaler.live.view.nodes import fill_node, is_registering
from autoscaler.live.view.store import Contents
from autoscaler.live.view.suspended import suspended_jobs
from autoscaler.live.view.workloads import our_checks


class ViewBuilder:
    """Builds views.

    Args:
        config: pools and guardrails.
        clock: the time, and how unix seconds in annotations compare with it.
    """

    def __init__(self, config: LiveConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._gangs = GangBuilder(config, clock)
        self._claims = ClaimResolver(config)
        self._pools = {pool.name: pool for pool in config.pools}

    def build(
        self,
        contents: Contents,
        stale_resources: tuple[str, ...] = (),
        starting_since: Mapping[str, float] | None = None,
    ) -> tuple[ClusterView, list[Submission]]:
        """The cluster now, and the submissions whose objects still exist.

        Args:
            contents: what the store has.
            stale_resources: resources without fresh data.
            starting_since: since when a node has been without its GPUs, by name, where that is later than its creation.
        """
        now = self._clock.now()
        resolved = self._resolved(contents, now)
        contents = _without_lost_nominations(with_problems(_with_claims(contents, resolved)))
        pods = {uid: pod for uid, pod in contents.pods.items() if not pod.finished}
        on_node: defaultdict[str, list[PodView]] = defaultdict(list)
        for pod in pods.values():
            if pod.node_name:
                on_node[pod.node_name].append(pod)
        since = starting_since or {}
        nodes = [self._node(node, on_node[node.name], contents, now, since) for node in contents.nodes.values()]
        nodes.sort(key=lambda node: node.name)
        seen = ClusterView(
            now_seconds=now,
            pools=self._pool_views(nodes, contents, resolved.template_units),
            unmanaged_nodes=tuple(node for node in nodes if node.pool is None),
            pods=pods,
        )
        gangs, submissions = self._gangs.build(contents, seen.pools, cache(lambda: Together(simulate(seen))))
        waiting = [gang for gang in gangs if gang.state is GangState.QUEUED]
        queue = [gang for gang in waiting if not gang.withheld]
        view = replace(
            seen,
            queue=tuple(gang for gang in queue if gang.allowed_pools),
            running=tuple(gang for gang in gangs if gang.state is GangState.RUNNING),
            unplaceable=tuple(gang for gang in queue if not gang.allowed_pools),
            suspended=suspended_jobs(contents, self._clock),
            withheld=tuple(gang for gang in waiting if gang.withheld),
            unserved=tuple(pod for pod in pods.values() if unserved_reason(pod, self._config)),
            checks=our_checks(contents),
            pdbs=tuple(sorted(contents.pdbs.values(), key=lambda pdb: (pdb.namespace, pdb.name))),
            gone=contents.gone,
            machines=tuple(sorted(contents.machines.values(), key=lambda machine: machine.name)),
            stale_resources=stale_resources,
        )
        return view, submissions

    def _resolved(self, contents: Contents, now: float) -> Resolved:
        roles = {uid: each.roles for uid, each in contents.groups.items()}
        roles |= {uid: each.roles for uid, each in contents.workloads.items()}
        together = {uid: pods_wanted(job) for uid, job in contents.jobs.items()}
        return self._claims.resolve(contents.pods, contents.nodes, contents.devices, now, roles, together)

    def _node(
        self,
        node: NodeView,
        pods: list[PodView],
        contents: Contents,
        now: float,
        starting_since: Mapping[str, float],
    ) -> NodeView:
        begun = starting_since.get(node.name, node.created_seconds)
        starting = now - max(begun, node.lost_since_seconds or begun)
        timeout = self._config.guardrails.backoff.provision_timeout_seconds
        pool = None if node.pool is None else self._pools[node.pool]
        node = replace(
            node,
            unwell_since_seconds=self._written(node, ANNOTATION_UNWELL_SINCE, now),
            rebooted_seconds=self._written(node, ANNOTATION_REBOOTED_AT, now),
        )
        if pool is not None and is_registering(node, pool, pods, now):
            node = replace(node, allocatable_gpu_milli=0, ready_since_seconds=None)
        return fill_node(node, pods, pool, self._vacated(node, contents, now), starting, timeout)

    def _vacated(self, node: NodeView, contents: Contents, now: float) -> float | None:
        """When the last GPU pod left: what was seen, or what the process before wrote down."""
        moments = []
        if node.name in contents.vacated:
            moments.append(contents.vacated[node.name])
        written = self._written(node, ANNOTATION_IDLE_SINCE, now)
        if written is not None:
            moments.append(written)
        return max(moments, default=None)

    def _written(self, node: NodeView, annotation: str, now: float) -> float | None:
        """The time that an annotation says; None: it says none, or none that can be."""
        with suppress(ValueError):
            written = self._clock.from_wall(float(node.annotations.get(annotation, "nan")))
            if node.created_seconds <= written <= now:
                return written
        return None

    def _pool_views(
        self, nodes: list[NodeView], contents: Contents, units: Mapping[str, Mapping[str, int]]
    ) -> tuple[PoolView, ...]:
        names = {node.name for node in nodes}
        coming = [
            OrderView(machine.pool, machine.name, machine.created_seconds)
            for machine in sorted(contents.machines.values(), key=lambda machine: machine.name)
            if machine.pool is not None and _is_coming(machine, names)
        ]
        by_pool: defaultdict[str, list[NodeView]] = defaultdict(list)
        for node in nodes:
            if node.pool is not None:
                by_pool[node.pool].append(node)
        daemon_sets = list(contents.daemon_sets.values())
        return tuple(
            PoolView(
                name=pool.name,
                index=index,
                nodes=tuple(by_pool[pool.name]),
                orders=tuple(order for order in coming if order.pool == pool.name),
                shape=shape_of(pool, by_pool[pool.name], daemon_sets, units.get(pool.name, {})),
            )
            for index, pool in enumerate(self._config.pools)
        )


def _with_claims(contents: Contents, resolved: Resolved) -> Contents:
    """The contents with claims and devices counted."""
    groups, workloads, roles = dict(contents.groups), dict(contents.workloads), resolved.roles
    groups |= {uid: replace(groups[uid], roles=roles[uid]) for uid in roles.keys() & groups.keys()}
    workloads |= {uid: replace(workloads[uid], roles=roles[uid]) for uid in roles.keys() & workloads.keys()}
    return replace(contents, pods=resolved.pods, nodes=resolved.nodes, groups=groups, workloads=workloads)


def _without_lost_nominations(contents: Contents) -> Contents:
    """The contents with each pod that is nominated to a node that is gone waiting like any other."""
    names = {node.name for node in contents.nodes.values()}
    lost = {
        uid: replace(pod, nominated_node="")
        for uid, pod in contents.pods.items()
        if pod.nominated_node and pod.nominated_node not in names
    }
    return replace(contents, pods={**contents.pods, **lost}) if lost else contents


def _is_coming(machine: MachineView, node_names: set[str]) -> bool:
    """Whether a machine is no Node yet."""
    return machine.deleted_seconds is None and (not machine.node_name or machine.node_name not in node_names)
