"""Removes nodes in the order that loses nothing: taint, wait, look again, evict, wait, delete.

Nodes that are only emptied, by consolidation, go the same way until they are empty (`moves`), and are given back then.

A state machine whose state stands on the nodes (`progress`): whoever comes after a process that died finds its removals
and finishes or undoes them. Each step can be repeated, so it may die after any of them. `advance` never blocks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.live.actuate import foreign
from autoscaler.live.actuate.eviction import UndoError, try_evict
from autoscaler.live.actuate.fresh import Freshness, FreshNode
from autoscaler.live.actuate.moves import Moves
from autoscaler.live.actuate.places import Places
from autoscaler.live.actuate.progress import (
    CREATION_RESOLUTION_SECONDS,
    Mode,
    Progress,
    Step,
    clear_progress,
    read_progress,
    write_progress,
)
from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrail_config import Protection
from autoscaler.live.guardrails import Consolidation, Removal
from autoscaler.live.guardrails.protection import node_hold, opted_out, pod_hold
from autoscaler.live.guardrails.repairs import protection_of
from autoscaler.live.kube.client import Json, KubeClient, KubeError, PausedError, UnreachableError
from autoscaler.live.kube.fields import ParseError
from autoscaler.live.model import ClusterView
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, LABEL_POOL, TAINT_TO_BE_DELETED
from autoscaler.live.objects import NodeState, NodeView, ObjectRef, PodView
from autoscaler.live.providers import Instance, InstanceNotFoundError, Provider, ProviderError, TransientError

_LOG = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a removal, or of a part of it."""

    STARTED = "started"
    EVICTED = "evicted"
    REMOVED = "removed"
    EMPTIED = "emptied"
    RECOVERED = "recovered"
    UNDONE = "undone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """Something that people want to know of.

    Attributes:
        outcome: what happened. `UNDONE` and `FAILED` hold up further removals for a while.
        about: the node, or the pod that was evicted.
        pool: pool of the node.
        reason: one sentence.
        moves: the node is emptied by consolidation, and not removed.
    """

    outcome: Outcome
    about: ObjectRef
    pool: str
    reason: str
    moves: bool = False


class RemovalMachine:
    """Removes nodes step by step; thread-safe.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: pools and guardrails.
        clock: unix seconds stand in taints and annotations.
        providers: by pool.
        report: called with what happened.
        stops: why nothing of a pool may be changed now; empty: it may.
    """

    def __init__(
        self,
        client: KubeClient,
        config: LiveConfig,
        clock: Clock,
        providers: dict[str, Provider],
        report: Callable[[Report], None],
        stops: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._client, self._clock, self._providers, self._report = client, clock, providers, report
        self._stops = stops
        self._protection = config.guardrails.protection
        self._repair = {each.name: each.repair for each in config.pools}
        self._times = config.guardrails.removal
        self._fresh = Freshness(client, config, clock)
        self._mutex = threading.RLock()
        self._under_way: dict[str, str] = {}  # pool by name of the node
        self._uids: dict[str, str] = {}  # of nodes that were under way, for Events
        self._places = Places(config, self._fresh, clock.wall)
        self._moves = Moves(client, config, clock, self._fresh, self._evicted_to_move)
        self._moving: set[str] = set()  # of these, the nodes that are only emptied
        self._late: set[str] = set()
        self._waiting_for: dict[str, str] = {}

    @property
    def under_way(self) -> tuple[str, ...]:
        """Names of the nodes that are being removed."""
        with self._mutex:
            return tuple(sorted(self._under_way))

    def recover(self) -> None:
        """Take over what another process left behind.

        Raises:
            KubeError: the nodes cannot be listed.
        """
        items = self._client.get("/api/v1/nodes", {"labelSelector": LABEL_POOL}).get("items") or []
        with self._mutex:
            for item in items:
                metadata = item["metadata"]
                pool = metadata["labels"][LABEL_POOL]
                if pool not in self._providers:
                    continue
                self._uids[metadata["name"]] = metadata["uid"]
                if ANNOTATION_REMOVAL_STEP in (metadata.get("annotations") or {}):
                    self._under_way[metadata["name"]] = pool
                elif (item.get("spec") or {}).get("taints"):
                    self._recover_foreign(metadata["name"], pool)

    def adopt(self, view: ClusterView) -> None:
        """Take over what appears later: a write of a dead process may leave a frozen API server after `recover`."""
        with self._mutex:
            for pool in view.pools:
                for node in pool.in_state(NodeState.DRAINING):
                    if node.deleted_seconds is not None:
                        continue
                    self._uids[node.name] = node.uid
                    if ANNOTATION_REMOVAL_STEP in node.annotations:
                        self._under_way.setdefault(node.name, pool.name)
                    elif any(foreign.is_stale(taint, self._clock.wall(), self._times) for taint in node.taints):
                        self._recover_foreign(node.name, pool.name)

    def _recover_foreign(self, name: str, pool: str) -> None:
        if not self._stops(pool) and foreign.recover(self._client, name, self._clock.wall(), self._times):
            self._tell(Outcome.RECOVERED, name, pool, "the deletion taint of an autoscaler that ended is taken back")

    def start(self, removals: Iterable[Removal]) -> None:
        """Taint all chosen nodes; nothing is evicted or deleted yet. Machines that never became nodes go at once."""
        with self._mutex:
            for removal in removals:
                try:
                    if removal.node is None:
                        self._give_back(removal)
                    elif removal.name not in self._under_way:
                        self._taint(removal)
                except (KubeError, ProviderError) as error:
                    self._tell(Outcome.FAILED, removal.name, removal.pool, str(error))

    def empty(self, consolidations: Iterable[Consolidation]) -> list[str]:
        """Taint the nodes whose jobs are to be moved; nothing is evicted yet.

        Returns:
            Pools of those for which that was possible.
        """
        begun = []
        with self._mutex:
            for each in consolidations:
                name = each.node.name
                if name in self._under_way:
                    continue
                self._moving.add(name)
                try:
                    if self._begin(each.node, each.pool, Mode.MOVE, each.reason):
                        begun.append(each.pool)
                except KubeError as error:
                    self._tell(Outcome.FAILED, name, each.pool, str(error))
                if name not in self._under_way:
                    self._moving.discard(name)
        return begun

    def _taint(self, removal: Removal) -> None:
        if removal.node is not None:
            mode = Mode.DRAIN if removal.evict else Mode.EMPTY
            self._begin(removal.node, removal.pool, mode, removal.reason)

    def _begin(self, node: NodeView, pool: str, mode: Mode, reason: str) -> bool:
        """Taint a node; False: it is another one of the same name by now."""
        raw = self._client.get(f"/api/v1/nodes/{node.name}")
        if raw["metadata"]["uid"] != node.uid:
            return False
        write_progress(self._client, raw, Progress(Step.TAINTED, mode, self._clock.wall()))
        self._under_way[node.name], self._uids[node.name] = pool, node.uid
        self._tell(Outcome.STARTED, node.name, pool, reason)
        return True

    def _give_back(self, removal: Removal) -> None:
        for instance in self._providers[removal.pool].instances():
            if instance.name == removal.name and not instance.is_deleting:
                self._providers[removal.pool].delete(instance)
                self._tell(Outcome.REMOVED, removal.name, removal.pool, removal.reason)

    def advance(self) -> None:
        """Take every removal as far as it goes without waiting."""
        with self._mutex:
            for name, pool in sorted(self._under_way.items()):
                try:
                    self._check_switch(pool)
                    self._advance(name, pool)
                    self._waiting_for.pop(name, None)
                except KubeError as error:
                    self._wait(name, error)

    def _check_switch(self, pool: str) -> None:
        """Raise where nothing of a pool may be changed: what is under way stays as it is."""
        why = self._stops(pool)
        if why:
            raise PausedError(0, "Paused", why)

    def _wait(self, name: str, error: KubeError) -> None:
        """Say once what a removal waits for; it is looked at again soon and often."""
        if self._waiting_for.get(name) != error.kind:
            self._waiting_for[name] = error.kind
            _LOG.warning("a removal waits", extra={"node": name, "reason": error.message})

    def _advance(self, name: str, pool: str) -> None:
        try:
            fresh = self._fresh.node(name)
        except ParseError as error:
            raw = self._client.get(f"/api/v1/nodes/{name}")
            self._undo(raw, name, pool, f"the node cannot be read: {error}")
            return
        if fresh is None:
            self._finish(Outcome.REMOVED, name, pool, "it is gone")
            return
        progress = read_progress(fresh.view.annotations)
        if ANNOTATION_REMOVAL_STEP not in fresh.view.annotations:
            self._finish(Outcome.UNDONE, name, pool, "somebody took the annotation away")
            return
        try:
            if progress is None or (progress.step is Step.SETTLING and progress.mode is not Mode.MOVE):
                raise UndoError(f"the annotation {ANNOTATION_REMOVAL_STEP} is damaged")
            if progress.mode is Mode.MOVE:
                self._moving.add(name)
            self._step(fresh, pool, progress)
        except UndoError as why:
            self._undo(fresh.raw, name, pool, str(why))

    def _step(self, fresh: FreshNode, pool: str, progress: Progress) -> None:
        if progress.step is not Step.DELETING:
            if fresh.view.taint(TAINT_TO_BE_DELETED) is None:
                raise UndoError("somebody took the taint away")
            hold = opted_out(fresh.view)
            if hold is not None:
                raise UndoError(hold.reason)
        age = self._clock.wall() - progress.since_seconds
        if progress.step is Step.TAINTED:
            if age > self._times.taint_wait_seconds + foreign.STALE_TAINT_SECONDS:
                raise UndoError("it was left behind by a process that ended")
            if age < self._times.taint_wait_seconds:
                return
        if progress.mode is Mode.MOVE:
            self._move(fresh, pool, progress, age)
        elif progress.step is Step.TAINTED:
            self._recheck(fresh, pool, progress)
        elif progress.step is Step.EVICTING:
            self._evict(fresh, pool, progress, age)
        else:
            self._delete(fresh, pool, age)

    def _move(self, fresh: FreshNode, pool: str, progress: Progress, age: float) -> None:
        """The steps of a node that is emptied and stays."""
        if progress.step is Step.TAINTED:
            self._go_on(fresh, pool, self._moves.begin(fresh, progress))
        elif progress.step is Step.EVICTING:
            if self._moves.evict(fresh, progress, age):
                self._go_on(fresh, pool, progress.next(Step.SETTLING, self._clock.wall()))
        elif progress.step is Step.SETTLING:
            settled = self._moves.settled(fresh, progress, age)
            if settled:
                clear_progress(self._client, fresh.raw)
                self._finish(Outcome.EMPTIED, fresh.view.name, pool, settled)
        else:
            raise UndoError(f"the annotation {ANNOTATION_REMOVAL_STEP} is damaged")

    def _evicted_to_move(self, pod: PodView) -> None:
        pool = self._under_way[pod.node_name]
        reason = f"pod {pod.name} was evicted from node {pod.node_name}; it goes on from its checkpoint on another one"
        self._report(Report(Outcome.EVICTED, pod.owner or pod.ref, pool, reason, moves=True))

    def _recheck(self, fresh: FreshNode, pool: str, progress: Progress) -> None:
        """The look after the wait: the scheduler may have used the node before it saw the taint."""
        hold = node_hold(fresh.view, fresh.cluster, self._protection_of(fresh, pool))
        if hold is not None:
            raise UndoError(hold.reason)
        if fresh.pods and progress.mode is not Mode.DRAIN:
            raise UndoError(f"it just received pod {fresh.pods[0].namespace}/{fresh.pods[0].name}")
        if fresh.pods:
            self._places.check(fresh)
        step = Step.EVICTING if fresh.pods else Step.DELETING
        self._go_on(fresh, pool, progress.next(step, self._clock.wall()))

    def _go_on(self, fresh: FreshNode, pool: str, progress: Progress) -> None:
        """Write the next step down before it is taken."""
        raw = write_progress(self._client, fresh.raw, progress)
        self._step(fresh.with_raw(raw), pool, progress)

    def _evict(self, fresh: FreshNode, pool: str, progress: Progress, age: float) -> None:
        if not fresh.pods:
            self._places.forget(fresh.view.uid)
            self._go_on(fresh, pool, progress.next(Step.DELETING, self._clock.wall()))
            return
        staying = [pod for pod in fresh.pods if pod.deleted_seconds is None]
        protection = self._protection_of(fresh, pool)
        for pod in staying:
            # Budgets are the API server's to enforce: it counts while we evict.
            hold = pod_hold(pod, tuple(pdb for pdb in fresh.cluster.pdbs if pdb.selects(pod)), protection)
            if hold is not None:
                raise UndoError(hold.reason)
            if self._clock.to_wall(pod.created_seconds) > progress.since_seconds + CREATION_RESOLUTION_SECONDS:
                # Its controller would make it again and again, and we would evict it again and again.
                raise UndoError(f"pod {pod.namespace}/{pod.name} was put there in spite of the taint")
        if staying:
            # Another process may have begun this, and others may have filled the other nodes since.
            self._places.check(fresh)
        refusals = [reason for pod in staying if (reason := self._evict_pod(pod, pool))]
        limit = self._times.eviction_timeout_seconds
        if refusals and age > limit:
            raise UndoError(f"not evicted in {limit:.0f} s: {refusals[0]}")
        if not refusals and age > limit + self._times.grace_timeout_seconds:
            raise UndoError(f"pod {fresh.pods[0].namespace}/{fresh.pods[0].name} was evicted and does not end")

    def _protection_of(self, fresh: FreshNode, pool: str) -> Protection:
        return protection_of(self._protection, self._repair[pool]) if fresh.view.faults else self._protection

    def _evict_pod(self, pod: PodView, pool: str) -> str:
        """Evict one pod; return why it was refused and may be tried again, empty when it was not."""
        self._check_switch(pool)
        attempt = try_evict(self._client, pod, self._times.grace_timeout_seconds)
        if attempt.evicted:
            self._report(Report(Outcome.EVICTED, pod.ref, pool, f"its node {pod.node_name} is removed"))
        return attempt.refusal

    def _delete(self, fresh: FreshNode, pool: str, age: float) -> None:
        name = fresh.view.name
        if age > self._times.delete_timeout_seconds and name not in self._late:
            self._late.add(name)
            self._tell(Outcome.FAILED, name, pool, f"it is still there {age:.0f} s after it was given back")
        if fresh.view.deleted_seconds is not None:
            return
        instance = self._instance_of(name, pool)
        if instance is not None and instance.is_deleting:
            return
        if fresh.pods:
            raise UndoError(f"it just received pod {fresh.pods[0].namespace}/{fresh.pods[0].name}")
        if instance is None:
            raise UndoError(f"the provider of pool {pool} knows no such machine")
        try:
            self._providers[pool].delete(instance)
        except (InstanceNotFoundError, TransientError) as error:
            _LOG.info("the answer to a deletion is not clear", extra={"node": name, "reason": str(error)})
        except ProviderError as error:
            raise UndoError(f"the provider refuses to delete it: {error}") from error

    def _instance_of(self, node: str, pool: str) -> Instance | None:
        try:
            return next((each for each in self._providers[pool].instances() if each.node_name == node), None)
        except ProviderError as error:
            raise UnreachableError(0, "Provider", str(error)) from error

    def _undo(self, raw: Json, name: str, pool: str, reason: str) -> None:
        clear_progress(self._client, raw)
        self._finish(Outcome.UNDONE, name, pool, reason)

    def _finish(self, outcome: Outcome, name: str, pool: str, reason: str) -> None:
        del self._under_way[name]
        self._late.discard(name)
        self._tell(outcome, name, pool, reason)
        self._moving.discard(name)
        self._uids.pop(name, None)

    def _tell(self, outcome: Outcome, name: str, pool: str, reason: str) -> None:
        about = ObjectRef("Node", name, "", self._uids.get(name, ""))
        self._report(Report(outcome, about, pool, reason, name in self._moving))
