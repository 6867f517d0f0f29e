"""Workloads of Kueue that wait for nodes, as gangs whose pods are all to come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoscaler.live.gangs.model import WorkloadView
from autoscaler.live.names import CHECK_CONTROLLER, LABEL_POOL
from autoscaler.live.objects import Admission, CheckView, PodsToCome, PodView
from autoscaler.live.view.groups import remaining
from autoscaler.live.view.store import Contents

PENDING, READY = "Pending", "Ready"


@dataclass(frozen=True, slots=True)
class WaitingWorkload:
    """A Workload that waits for nodes, or that has them and whose pods do not all exist yet.

    Attributes:
        workload: the Workload.
        to_come: its pods that nobody has created yet.
        admission: what lets them be created; None: that has happened.
        sent_to: the pool that they go to, empty: it is not chosen.
    """

    workload: WorkloadView
    to_come: tuple[PodsToCome, ...]
    admission: Admission | None = None
    sent_to: str = ""


def our_checks(contents: Contents) -> tuple[CheckView, ...]:
    """The admission checks that name us as their controller, by name."""
    ours = (check for check in contents.checks.values() if check.controller == CHECK_CONTROLLER)
    return tuple(sorted(ours, key=lambda check: check.name))


def waiting_workloads(contents: Contents) -> Iterator[WaitingWorkload]:
    """All of them."""
    names = {check.name for check in our_checks(contents)}
    if not names:
        return
    pods = _pods_by_owner(contents)
    for workload in contents.workloads.values():
        check = next((each for each in workload.checks if each.get("name") in names), None)
        if check is None or workload.over or not workload.reserved:
            continue
        members = [] if workload.owner is None else pods[workload.owner.uid]
        total = sum(role.count for role in workload.roles)
        coming = remaining(workload.roles, members, max(0, total - len(members)))
        if not coming:
            continue
        if check.get("state") == PENDING:
            sets = tuple(each.role for each in coming)
            admission = Admission(workload.ref, workload.resource_version, str(check["name"]), workload.checks, sets)
            yield WaitingWorkload(workload, coming, admission)
        elif check.get("state") == READY and (pool := _pool_of(check)):
            yield WaitingWorkload(workload, coming, None, pool)


def _pods_by_owner(contents: Contents) -> Mapping[str, list[PodView]]:
    """Pods by the uid of the Job or of the object of their group."""
    objects = {(each.kind, each.namespace, each.name): each.uid for each in contents.groups.values()}
    found: defaultdict[str, list[PodView]] = defaultdict(list)
    for pod in contents.pods.values():
        found[pod.gang].append(pod)
        if pod.group is not None and (uid := objects.get((pod.group.kind, pod.namespace, pod.group.name))):
            found[uid].append(pod)
    return found


def _pool_of(check: Mapping[str, object]) -> str:
    """The pool to which we sent a Workload."""
    updates = check.get("podSetUpdates")
    for update in updates if isinstance(updates, list) else ():
        selector = update.get("nodeSelector") if isinstance(update, dict) else None
        if isinstance(selector, dict) and isinstance(selector.get(LABEL_POOL), str):
            return str(selector[LABEL_POOL])
    return ""
