"""Moves the jobs of a node away: their pods are evicted, and their Jobs make them again elsewhere.

The steps of `removal` for a node that stays. Each is decided on a look at the cluster as it is now.
"""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.live.actuate.eviction import UndoError, try_evict
from autoscaler.live.actuate.fresh import Freshness, FreshNode
from autoscaler.live.actuate.progress import CREATION_RESOLUTION_SECONDS, Progress, Step
from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrail_config import Protection
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.evaluate import stopped
from autoscaler.live.guardrails.movable import Movable, jobs_of, move_hold, uses_gpus
from autoscaler.live.kube.client import Json, KubeClient
from autoscaler.live.model import ClusterView
from autoscaler.live.names import LABEL_JOB_UID
from autoscaler.live.objects import NodeState, PodView


class Moves:
    """Takes nodes that are being emptied from step to step.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: pools and guardrails.
        clock: unix seconds stand in annotations.
        fresh: looks.
        evicted: called with each pod that was evicted.
    """

    def __init__(
        self,
        client: KubeClient,
        config: LiveConfig,
        clock: Clock,
        fresh: Freshness,
        evicted: Callable[[PodView], None],
    ) -> None:
        self._client, self._config, self._clock, self._fresh, self._evicted = client, config, clock, fresh, evicted
        self._times = config.guardrails.removal
        self._checked: dict[str, float] = {}  # the step that was checked, by the node's uid

    def begin(self, fresh: FreshNode, progress: Progress) -> Progress:
        """The look after the wait.

        Returns:
            The next step, with how many pods each Job has now.

        Raises:
            UndoError: the jobs must stay, or fit nowhere else any more.
        """
        view = self._check(fresh)
        moved = jobs_of(tuple(pod for pod in fresh.pods if uses_gpus(pod)))
        running = jobs_of(tuple(pod for pod in view.pods.values() if pod.node_name))
        jobs = {uid: running[uid] for uid in sorted(moved)}
        following = Progress(Step.EVICTING, progress.mode, self._clock.wall(), jobs)
        self._checked[fresh.view.uid] = following.since_seconds
        return following

    def evict(self, fresh: FreshNode, progress: Progress, age: float) -> bool:
        """Evict what uses the node's GPUs.

        Returns:
            Whether nothing does any more.

        Raises:
            UndoError: something must stay.
        """
        pods = tuple(pod for pod in fresh.pods if uses_gpus(pod))
        staying = [pod for pod in pods if pod.deleted_seconds is None]
        limit = self._times.eviction_timeout_seconds
        if staying and age > limit:
            raise UndoError(f"pod {staying[0].namespace}/{staying[0].name} is still there after {limit:.0f} s")
        for pod in staying:
            hold = move_hold(pod, tuple(pdb for pdb in fresh.cluster.pdbs if pdb.selects(pod)), self._protection)
            if hold is not None:
                raise UndoError(hold.reason)
            if self._clock.to_wall(pod.created_seconds) > progress.since_seconds + CREATION_RESOLUTION_SECONDS:
                # Its Job would make it again and again, and we would evict it again and again.
                raise UndoError(f"pod {pod.namespace}/{pod.name} was put there in spite of the taint")
        if staying and fresh.view.uid not in self._checked:
            self._check(fresh)  # another process began this, and what it knew may be wrong by now
            self._checked[fresh.view.uid] = progress.since_seconds
        for pod in staying:
            if try_evict(self._client, pod, self._times.grace_timeout_seconds).evicted:
                self._evicted(pod)
        if not staying and pods and age > limit + self._times.grace_timeout_seconds:
            raise UndoError(f"pod {pods[0].namespace}/{pods[0].name} was evicted and does not end")
        return not pods

    def settled(self, fresh: FreshNode, progress: Progress, age: float) -> str:
        """Why the node can be given back; empty: its jobs do not run elsewhere yet.

        Raises:
            UndoError: somebody uses the node.
        """
        for pod in fresh.pods:
            if uses_gpus(pod):
                raise UndoError(f"it just received pod {pod.namespace}/{pod.name}")
        waiting = [uid for uid, pods in progress.jobs.items() if self._running(uid) < pods]
        if waiting and age <= self._times.settle_timeout_seconds:
            return ""
        self._checked.pop(fresh.view.uid, None)
        return f"{len(waiting)} of its jobs still wait" if waiting else "its jobs run elsewhere"

    @property
    def _protection(self) -> Protection:
        return self._config.guardrails.protection

    def _running(self, job: str) -> int:
        """Pods of a Job that have a node, or have ended well."""
        answer = self._client.get("/api/v1/pods", {"labelSelector": f"{LABEL_JOB_UID}={job}"})
        return sum(_runs(item) for item in answer.get("items") or [])

    def _check(self, fresh: FreshNode) -> ClusterView:
        """Whether all rules about moving jobs still let it happen."""
        view, name = self._fresh.cluster(), fresh.view.name
        stop = stopped(view, self._config.guardrails.health)
        if stop is not None:
            raise UndoError(stop.reason)
        found = [(pool, node) for pool in view.pools for node in pool.nodes if node.uid == fresh.view.uid]
        for pool, node in found:
            movable = Movable(view, self._protection)
            hold = movable.hold(node)
            if hold is not None:
                raise UndoError(hold.reason)
            capacity = Capacity(view, GuardrailState(), self._config.counted_resources)
            busy = [other.name for other in pool.in_state(NodeState.BUSY)]
            if not capacity.place(pool.name, movable.gpu_pods(node), busy):
                raise UndoError(f"its pods do not fit on the other busy nodes of pool {pool.name} any more")
        if not found:
            raise UndoError(f"node {name} belongs to no pool")
        return view


def _runs(pod: Json) -> bool:
    status, spec, metadata = (pod.get(part) or {} for part in ("status", "spec", "metadata"))
    if status.get("phase") == "Succeeded":
        return True
    return bool(spec.get("nodeName")) and status.get("phase") != "Failed" and not metadata.get("deletionTimestamp")
