"""Sees machines and pods come and go, with the time of each, and says what jobs waited for and what nodes did."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoscaler.live.clock import Clock
from autoscaler.live.model import ClusterView
from autoscaler.live.names import ANNOTATION_PLACED_AT, TAINT_TO_BE_DELETED
from autoscaler.live.view.store import Resource

GPU = "nvidia.com/gpu"


@dataclass
class PodTimes:
    """When a pod got how far, in clock seconds; None: not yet.

    Attributes:
        seen: it was there.
        placed: its gate was removed, by the clock of who did it.
        bound: it had a node.
        node: name of that node.
        finished: it succeeded.
        lost: it was deleted after it had a node and before it ended, so that its work was lost.
    """

    seen: float
    placed: float | None = None
    bound: float | None = None
    node: str = ""
    finished: float | None = None
    lost: float | None = None


@dataclass
class MachineTimes:
    """When a machine got how far, in clock seconds; None: not yet.

    Attributes:
        name: name of its node.
        seen: it was there, so it was ordered.
        usable: it was ready with its GPUs.
        tainted: its removal began.
        gone: it was deleted.
    """

    name: str
    seen: float
    usable: float | None = None
    tainted: float | None = None
    gone: float | None = None


@dataclass
class Witness:
    """Takes the place of a store behind watches.

    Attributes:
        clock: in whose seconds the times are.
        machines: by uid.
        pods: by job and uid.
    """

    clock: Clock
    machines: dict[str, MachineTimes] = field(default_factory=dict)
    pods: dict[str, dict[str, PodTimes]] = field(default_factory=dict)

    def replace(self, resource: str, items: Sequence[Any]) -> None:
        """A list."""
        for item in items:
            self.apply(resource, "ADDED", item)

    def apply(self, resource: str, kind: str, item: Any) -> None:
        """An event."""
        now, metadata = self.clock.now(), item["metadata"]
        if resource == Resource.PODS:
            job = metadata.get("labels", {}).get("batch.kubernetes.io/job-name", "")
            pod = self.pods.setdefault(job, {}).setdefault(metadata["uid"], PodTimes(now))
            self._pod(pod, item, now)
            if kind == "DELETED" and pod.bound is not None and pod.finished is None and pod.lost is None:
                pod.lost = now
            return
        machine = self.machines.setdefault(metadata["uid"], MachineTimes(metadata["name"], now))
        # A NodeClaim says which node it became.
        machine.name = item.get("status", {}).get("nodeName") or machine.name
        if kind == "DELETED":
            machine.gone = now
        if machine.usable is None and _is_usable(item):
            machine.usable = now
        taints = item.get("spec", {}).get("taints") or []
        if machine.tainted is None and any(taint["key"] == TAINT_TO_BE_DELETED for taint in taints):
            machine.tainted = now

    def _pod(self, pod: PodTimes, item: Any, now: float) -> None:
        placed = item["metadata"].get("annotations", {}).get(ANNOTATION_PLACED_AT)
        if placed is not None:
            pod.placed = self.clock.from_wall(float(placed))
        node = item["spec"].get("nodeName")
        if node and pod.bound is None:
            pod.bound, pod.node = now, node
        if item["status"].get("phase") == "Succeeded" and pod.finished is None:
            pod.finished = now

    def finished(self, job: str) -> int:
        """Pods of a job that succeeded."""
        return sum(pod.finished is not None for pod in self.pods.get(job, {}).values())

    def lost(self, job: str) -> int:
        """Pods of a job whose work was lost."""
        return sum(pod.lost is not None for pod in self.pods.get(job, {}).values())

    def bound_at(self, job: str, pods: int) -> float | None:
        """When as many pods of a job as it has had got their nodes for the first time."""
        times = sorted(pod.bound for pod in self.pods.get(job, {}).values() if pod.bound is not None)
        return times[pods - 1] if len(times) >= pods else None

    def ended_at(self, job: str) -> float | None:
        """When the last pod of a job succeeded; None: none has."""
        times = [pod.finished for pod in self.pods.get(job, {}).values() if pod.finished is not None]
        return max(times, default=None)

    def last_end(self, default: float) -> float:
        """When the last pod succeeded."""
        every = [pod.finished for pods in self.pods.values() for pod in pods.values()]
        return max((end for end in every if end is not None), default=default)

    def machine_seconds(self, start: float, end: float) -> float:
        """Sum over machines of the time that each was there."""
        return sum(_overlap(each.seen, each.gone, start, end) for each in self.machines.values())


def _is_usable(item: Any) -> bool:
    status = item.get("status", {})
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or [])
    return ready and status.get("allocatable", {}).get(GPU, "0") != "0"


def _overlap(first: float, last: float | None, start: float, end: float) -> float:
    return max(0.0, min(end, end if last is None else last) - max(first, start))


@dataclass(frozen=True, slots=True)
class WaitParts:
    """What one job waited for, in clock seconds, from submission to its last pod's node.

    Attributes:
        appear: until its pods were there: the API server and the Job's controller.
        see: until a reconcile began that saw them all: the pause before a decision and the interval between two.
        capacity: until the node that was the last to have free capacity had it: order and boot, or jobs that ran there.
        decide: until its gates were removed: the pause, the interval and the time to decide and write, once more.
        bind: until the scheduler had bound its last pod.
    """

    appear: float
    see: float
    capacity: float
    decide: float
    bind: float


def wait_parts(witness: Witness, job: str, created: float, views: Iterable[ClusterView]) -> WaitParts | None:
    """Take the wait of a job apart; None: it was not placed by us, or no view shows it waiting."""
    pods = list(witness.pods.get(job, {}).values())
    placed = [pod.placed for pod in pods if pod.placed is not None]
    bound = witness.bound_at(job, len(pods))
    saw = min((view.now_seconds for view in views if _shows(view, job)), default=None)
    if saw is None or bound is None or len(placed) < len(pods):
        return None
    appeared, released = max(pod.seen for pod in pods), max(placed)
    saw = max(saw, appeared)
    # What was ready before the first look did not hold it up.
    capacity = max((at for at in _capacity(witness, {pod.node for pod in pods}) if saw < at < released), default=saw)
    return WaitParts(appeared - created, saw - appeared, capacity - saw, released - capacity, bound - released)


def _shows(view: ClusterView, job: str) -> bool:
    return any(gang.ref.name == job and gang.missing_pods == 0 for gang in view.queue)


def _capacity(witness: Witness, nodes: set[str]) -> Iterable[float]:
    """When nodes became usable, and when pods on them ended."""
    yield from (each.usable for each in witness.machines.values() if each.name in nodes and each.usable is not None)
    for pods in witness.pods.values():
        yield from (pod.finished for pod in pods.values() if pod.node in nodes and pod.finished is not None)


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What nodes did, in clock seconds summed over nodes, from the first submission to the end of the last job.

    Attributes:
        boot: ordered and not usable yet.
        busy: with a pod on it.
        idle: usable, without a pod, and not being removed.
        removal: from the taint to the deletion.
    """

    boot: float
    busy: float
    idle: float
    removal: float


def node_parts(witness: Witness, start: float, end: float) -> NodeParts:
    """Take the node-seconds apart."""
    boot = busy = removal = 0.0
    for machine in witness.machines.values():
        gone = end if machine.gone is None else machine.gone
        boot += _overlap(machine.seen, gone if machine.usable is None else machine.usable, start, end)
        removal += 0.0 if machine.tainted is None else _overlap(machine.tainted, machine.gone, start, end)
        busy += _busy_seconds(witness, machine.name, start, end)
    total = witness.machine_seconds(start, end)
    return NodeParts(boot, busy, total - boot - busy - removal, removal)


def _busy_seconds(witness: Witness, node: str, start: float, end: float) -> float:
    """Length of the union of the spans in which pods were on a node."""
    spans = sorted(
        (pod.bound, end if pod.finished is None else pod.finished)
        for pods in witness.pods.values()
        for pod in pods.values()
        if pod.node == node and pod.bound is not None
    )
    total, reached = 0.0, start
    for first, last in spans:
        total += max(0.0, min(last, end) - max(first, reached))
        reached = max(reached, last)
    return total


def boot_seconds(witness: Witness) -> float:
    """Mean time from a node's order until it is usable."""
    times = [each.usable - each.seen for each in witness.machines.values() if each.usable is not None]
    return float(np.mean(times)) if times else 0.0


def extra_run_seconds(witness: Witness, runs: dict[str, float]) -> float:
    """Mean time by which pods hold their node longer than they run."""
    times = [
        pod.finished - pod.bound - run
        for job, run in runs.items()
        for pod in witness.pods.get(job, {}).values()
        if pod.finished is not None and pod.bound is not None
    ]
    return float(np.mean(times)) if times else 0.0
