"""Which busy nodes can be emptied: all that uses their GPUs belongs to Jobs that go on from a checkpoint.

The snapshot shows the policy how many there are, and the guardrails let no other node be emptied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from autoscaler.live.config import LivePool
from autoscaler.live.guardrail_config import Protection
from autoscaler.live.guardrails.protection import Hold, budget_hold, evictable_pods, opted_out, pod_hold
from autoscaler.live.guardrails.verdicts import Rule
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_MIRROR_POD
from autoscaler.live.objects import NodeState, NodeView, PdbView, PodView
from autoscaler.live.view.nodes import free_gpus
from envs.gpu_cluster.codec import BusyNode, NodePart

MIB_MILLI = 1000 << 20
"""A MiB in thousandths of a byte, the unit of quantities."""


def is_checkpointable(pod: PodView) -> bool:
    """Whether its owner says that its Job goes on from a checkpoint."""
    return pod.annotations.get(ANNOTATION_CHECKPOINTABLE) == "true"


def uses_gpus(pod: PodView) -> bool:
    """Whether a pod has to leave its node before that is idle; of one that cannot be read nobody knows."""
    return pod.gpu_milli > 0 or not pod.readable


def move_hold(pod: PodView, budgets: tuple[PdbView, ...], protection: Protection) -> Hold | None:
    """Why a pod that uses GPUs must not be moved, its gang, its Job and its disruption budgets aside.

    Args:
        pod: the pod.
        budgets: those that select it.
        protection: which pods hold their node; here, pods that use GPUs do unless they are checkpointable.
    """
    name = f"pod {pod.namespace}/{pod.name}"
    if pod.is_daemon_set or ANNOTATION_MIRROR_POD in pod.annotations:
        return Hold(Rule.NOT_CHECKPOINTABLE, f"{name} belongs to its node")
    if pod.readable and not is_checkpointable(pod):
        reason = f'annotate the pods of its Job {ANNOTATION_CHECKPOINTABLE}: "true" if it goes on from a checkpoint'
        return Hold(Rule.NOT_CHECKPOINTABLE, f"{name} uses GPUs; {reason}")
    return pod_hold(pod, budgets, replace(protection, gpu_pods=False))


def jobs_of(pods: tuple[PodView, ...]) -> Counter[str]:
    """How many of some pods each Job made, by its uid."""
    return Counter(pod.owner.uid for pod in pods if pod.owner is not None)


def requested_part(pod: PodView) -> NodePart:
    """What a pod requests of its node, memory rounded up."""
    memory_mib = -(-pod.requests.get("memory", 0) // MIB_MILLI)
    return NodePart(pod.gpu_milli // 1000, pod.requests.get("cpu", 0), memory_mib)


@dataclass(frozen=True, slots=True)
class BusyView:
    """A busy node, and what moving its jobs means.

    Attributes:
        node: the node.
        pods: the pods that use its GPUs, the largest first.
        hold: why they stay; None: they may be moved, or the node is full.
        known: the same for `envs.gpu_cluster.codec.consolidation_plan`.
    """

    node: NodeView
    pods: tuple[PodView, ...]
    hold: Hold | None
    known: BusyNode


class Movable:
    """Looks at the jobs of busy nodes.

    Args:
        view: the cluster.
        protection: which pods hold their node; here, pods that use GPUs do unless they are checkpointable.
    """

    def __init__(self, view: ClusterView, protection: Protection) -> None:
        self._view, self._protection = view, protection
        self._gangs = {pod.uid: gang for gang in view.running for pod in gang.pods}
        # Of large gangs each pod would be looked at once for each of its pods.
        self._gang_holds: dict[str, Hold | None] = {}

    def busy(self, pool: PoolView, settings: LivePool) -> list[BusyView]:
        """The busy nodes of a pool, by name."""
        nodes = sorted(pool.in_state(NodeState.BUSY), key=lambda node: node.name)
        return [self._busy(node, settings) for node in nodes]

    def _busy(self, node: NodeView, settings: LivePool) -> BusyView:
        free, pods = free_gpus(node, settings), self.gpu_pods(node)
        # Nothing is gained by emptying a full node.
        hold = self.hold(node) if free > 0 else None
        parts = tuple(requested_part(pod) for pod in pods)
        return BusyView(node, pods, hold, BusyNode(self._free_part(node, free), parts, free > 0 and hold is None))

    def _free_part(self, node: NodeView, gpus: int) -> NodePart:
        """What is free on a node for the scheduler, memory rounded down: every pod on it takes what it requests."""
        pods = self._view.pods_on(node)
        cpu_milli, memory_milli = (
            node.allocatable.get(name, 0) - sum(pod.requests.get(name, 0) for pod in pods) for name in ("cpu", "memory")
        )
        return NodePart(gpus, cpu_milli, memory_milli // MIB_MILLI)

    def gpu_pods(self, node: NodeView) -> tuple[PodView, ...]:
        """The pods that use its GPUs, the largest first, of equals that of the job that was submitted first."""

        def key(pod: PodView) -> tuple[int, float, str, str]:
            gang = self._gangs.get(pod.uid)
            submitted = pod.created_seconds if gang is None else gang.submitted_seconds
            return -pod.gpu_milli, submitted, pod.gang if gang is None else gang.key, pod.name

        return tuple(sorted((pod for pod in self._view.pods_on(node) if uses_gpus(pod)), key=key))

    def hold(self, node: NodeView, others: tuple[PodView, ...] = ()) -> Hold | None:
        """The first reason why the jobs of a node stay.

        What does not use GPUs is not moved, but a node that it holds would stay on, so nothing is gained.

        Args:
            node: the node.
            others: pods that are evicted from other nodes; they use up the same budgets.
        """
        hold = opted_out(node)
        if hold is not None:
            return hold
        budgets: Counter[str] = Counter()
        jobs = jobs_of(others)
        for pod in others:
            budgets.update(pdb.uid for pdb in self._budgets(pod))
        moved = self.gpu_pods(node)
        for pod in (*moved, *(pod for pod in evictable_pods(node, self._view) if not uses_gpus(pod))):
            selecting = self._budgets(pod)
            if uses_gpus(pod):
                hold = self._pod_hold(pod, selecting, jobs)
            else:
                hold = pod_hold(pod, selecting, self._protection)
            hold = hold or budget_hold(pod, selecting, budgets)
            if hold is not None:
                return hold
        return None

    def _budgets(self, pod: PodView) -> tuple[PdbView, ...]:
        return tuple(pdb for pdb in self._view.pdbs if pdb.selects(pod))

    def _pod_hold(self, pod: PodView, budgets: tuple[PdbView, ...], jobs: Counter[str]) -> Hold | None:
        """Why a pod that uses GPUs stays; `jobs` counts evictions by the uid of the Job."""
        hold = move_hold(pod, budgets, self._protection)
        if hold is not None:
            return hold
        gang, owner = self._gangs.get(pod.uid), pod.owner
        if gang is None or owner is None or owner.kind != "Job":
            reason = f"pod {pod.namespace}/{pod.name} is not of a Job that runs with all its pods"
            return Hold(Rule.NOT_CHECKPOINTABLE, reason)
        jobs[owner.uid] += 1
        if gang.evictions_left is not None and jobs[owner.uid] > gang.evictions_left:
            why = "raise its backoffLimit, or let its podFailurePolicy ignore DisruptionTarget"
            return Hold(Rule.JOB_WOULD_FAIL, f"Job {pod.namespace}/{owner.name} would fail by the eviction; {why}")
        if gang.key not in self._gang_holds:
            self._gang_holds[gang.key] = self.gang_hold(gang)
        return self._gang_holds[gang.key]

    def gang_hold(self, gang: GangView) -> Hold | None:
        """Why a gang must not be stopped: one pod that is evicted stops it all, so each of them must allow it."""
        if gang.missing_pods > 0 or any(pod.deleted_seconds is not None for pod in gang.pods):
            reason = f"pods of Job {gang.ref.namespace}/{gang.ref.name} come or go just now"
            return Hold(Rule.NOT_CHECKPOINTABLE, reason)
        holds = (move_hold(pod, self._budgets(pod), self._protection) for pod in gang.pods)
        return next((hold for hold in holds if hold is not None), None)
