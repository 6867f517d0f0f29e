"""The kinds of groups. A new one is a file and a line here."""

from __future__ import annotations

from autoscaler.live.gangs import kueue
from autoscaler.live.gangs.base import Collection, GangKind, Member
from autoscaler.live.gangs.jobset import JOB_SET
from autoscaler.live.gangs.kubeflow import KUBEFLOW
from autoscaler.live.gangs.lws import LEADER_WORKER_SET
from autoscaler.live.gangs.pod_groups import (
    KAI,
    NATIVE,
    NATIVE_OLD,
    SCHEDULER_PLUGINS,
    SCHEDULER_PLUGINS_OLD,
    VOLCANO,
)
from autoscaler.live.gangs.ray import RAY
from autoscaler.live.kube.rights import Right
from autoscaler.live.objects import GroupRef

KINDS: dict[str, GangKind] = {
    kind.name: kind
    for kind in (
        # What says outright that pods belong together comes before what runs them.
        NATIVE,
        NATIVE_OLD,
        VOLCANO,
        KAI,
        SCHEDULER_PLUGINS,
        SCHEDULER_PLUGINS_OLD,
        kueue.POD_GROUP,
        JOB_SET,
        LEADER_WORKER_SET,
        *KUBEFLOW,
        RAY,
    )
}
"""By name, in the order in which a pod is asked."""


def group_of(pod: Member) -> GroupRef | None:
    """The group that a pod is of, None: of none.

    Raises:
        ParseError: what it says of it cannot be read.
    """
    return next((found for kind in KINDS.values() if (found := kind.member(pod)) is not None), None)


def needed_rights() -> tuple[Right, ...]:
    """What all kinds need, whether or not the cluster has them: they may be installed later."""
    return (*(right for kind in KINDS.values() for right in kind.rights), *kueue.OBSERVE)


def collections() -> tuple[Collection, ...]:
    """What is watched where the API server serves it."""
    found = (kind.collection for kind in KINDS.values() if kind.collection is not None)
    return (*found, kueue.WORKLOADS, kueue.CHECKS)
