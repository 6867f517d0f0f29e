"""Which pods hold their node, by the conventions of Cluster Autoscaler and of the providers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from autoscaler.live.guardrail_config import Protection
from autoscaler.live.guardrails.verdicts import Rule
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    ANNOTATION_MIRROR_POD,
    ANNOTATION_SAFE_LOCAL_VOLUMES,
    ANNOTATION_SAFE_TO_EVICT,
    ANNOTATION_SCALE_DOWN_DISABLED,
)
from autoscaler.live.objects import NodeView, PdbView, PodView
from autoscaler.live.providers import protecting_annotations

SYSTEM_NAMESPACE = "kube-system"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a node must stay.

    Attributes:
        rule: the rule.
        reason: names the pod and the annotation, volume or budget.
    """

    rule: Rule
    reason: str


def evictable_pods(node: NodeView, view: ClusterView) -> tuple[PodView, ...]:
    """The pods that would have to be evicted from a node: all but those of DaemonSets, mirrors and finished ones."""
    return tuple(
        pod
        for pod in view.pods_on(node)
        if not (pod.finished or pod.is_daemon_set or ANNOTATION_MIRROR_POD in pod.annotations)
    )


def opted_out(node: NodeView) -> Hold | None:
    """Whether a person forbade to remove a node."""
    for annotation in (ANNOTATION_SCALE_DOWN_DISABLED, *sorted(protecting_annotations())):
        if node.annotations.get(annotation) == "true":
            return Hold(Rule.OPT_OUT, f'the node is annotated {annotation}: "true"')
    return None


def node_hold(node: NodeView, view: ClusterView, protection: Protection) -> Hold | None:
    """The first reason why a node must stay; None: it may be drained."""
    hold = opted_out(node)
    if hold is not None:
        return hold
    needed: Counter[str] = Counter()
    for pod in evictable_pods(node, view):
        budgets = tuple(pdb for pdb in view.pdbs if pdb.selects(pod))
        hold = pod_hold(pod, budgets, protection) or budget_hold(pod, budgets, needed)
        if hold is not None:
            return hold
    return None


def pod_hold(pod: PodView, budgets: tuple[PdbView, ...], protection: Protection) -> Hold | None:
    """Why a pod must not be evicted, its disruption budgets aside.

    Args:
        pod: neither finished nor of a DaemonSet nor a mirror.
        budgets: those that select it.
        protection: settings.
    """
    name = f"pod {pod.namespace}/{pod.name}"
    if not pod.readable:
        return Hold(Rule.UNREADABLE, f"{name} cannot be read, so nobody knows what protects it")
    return _annotation_hold(pod, name) or _kind_hold(pod, name, budgets, protection)


def _annotation_hold(pod: PodView, name: str) -> Hold | None:
    """Why its owner forbids to evict a pod."""
    safe = pod.annotations.get(ANNOTATION_SAFE_TO_EVICT)
    if safe == "false":
        return Hold(Rule.SAFE_TO_EVICT, f'{name} is annotated {ANNOTATION_SAFE_TO_EVICT}: "false"')
    forbids = min((key for key in protecting_annotations() if pod.annotations.get(key) == "true"), default=None)
    return None if forbids is None else Hold(Rule.DO_NOT_DISRUPT, f'{name} is annotated {forbids}: "true"')


def _kind_hold(pod: PodView, name: str, budgets: tuple[PdbView, ...], protection: Protection) -> Hold | None:
    """Why a pod of this kind must not be evicted, unless its owner says that it may or it is on its way out."""
    safe = pod.annotations.get(ANNOTATION_SAFE_TO_EVICT) == "true"
    if safe or pod.deleted_seconds is not None or pod.priority < protection.expendable_priority_below:
        return None
    unsafe = _local_data(pod) if protection.local_storage else None
    if protection.gpu_pods and (pod.gpu_milli > 0 or pod.accelerators):
        what = ", ".join(pod.accelerators) or "GPUs"
        return Hold(Rule.GPU_POD, f'{name} uses {what}; annotate it {ANNOTATION_SAFE_TO_EVICT}: "true" if it may move')
    if pod.owner is None:
        return Hold(Rule.BARE_POD, f"{name} has no controller that would make it again")
    if unsafe is not None:
        return Hold(Rule.LOCAL_STORAGE, f"{name} keeps data in the local volume {unsafe!r}")
    if protection.system_pods and pod.namespace == SYSTEM_NAMESPACE and not budgets:
        return Hold(Rule.SYSTEM_POD, f"{name} is a system pod without a PodDisruptionBudget")
    return None


def _local_data(pod: PodView) -> str | None:
    """A local volume that its owner did not declare safe to lose."""
    named = {volume.strip() for volume in pod.annotations.get(ANNOTATION_SAFE_LOCAL_VOLUMES, "").split(",")}
    return min(set(pod.local_volumes) - named, default=None)


def budget_hold(pod: PodView, budgets: tuple[PdbView, ...], needed: Counter[str]) -> Hold | None:
    """Whether budgets forbid the eviction; `needed` counts what the pods before it on the node use up."""
    if pod.deleted_seconds is not None:
        return None
    name = f"pod {pod.namespace}/{pod.name}"
    if len(budgets) > 1:
        names = ", ".join(sorted(pdb.name for pdb in budgets))
        return Hold(Rule.TWO_PDBS, f"{name} is in the PodDisruptionBudgets {names}; Kubernetes evicts no such pod")
    for pdb in budgets:
        needed[pdb.uid] += 1
        if needed[pdb.uid] > pdb.disruptions_allowed:
            left = pdb.disruptions_allowed
            return Hold(
                Rule.PDB, f"PodDisruptionBudget {pdb.namespace}/{pdb.name} allows {left} disruptions, {name} counts"
            )
    return None
