"""From Jobs and pods to gangs: what waits, what runs, and which pools can ever run it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.config import GPU_MILLI, LiveConfig
from autoscaler.live.fit.pools import Together, pod_problem
from autoscaler.live.fit.rules import as_placed
from autoscaler.live.fit.shapes import pool_shape
from autoscaler.live.gangs.model import GroupView
from autoscaler.live.model import GangState, GangView, PoolView
from autoscaler.live.names import (
    ANNOTATION_CONSUME_REQUEST,
    ANNOTATION_CONSUME_REQUEST_OLD,
    ANNOTATION_DATA_GB,
    ANNOTATION_DATA_REGION,
    ANNOTATION_DEADLINE,
    ANNOTATION_LATEST_START,
    ANNOTATION_PLACED_AT,
    ANNOTATION_PREDICTED_SECONDS,
    GATE_PLACEMENT,
    LABEL_POOL,
)
from autoscaler.live.objects import JobView, PodsToCome, PodView
from autoscaler.live.view.groups import Group, Groups, ref_of, to_come, unborn
from autoscaler.live.view.quotas import Quotas, within_quotas
from autoscaler.live.view.store import Contents
from autoscaler.live.view.suspended import managers, past_of
from autoscaler.live.view.workloads import waiting_workloads

ALIKE = ("requests", "node_selector", "affinity_terms", "tolerations", "host_ports")
"""Fields of pods that decide where they fit, other pods aside."""

HELD = "its pods wait at the scheduling gate {} of others"

LAST_SECOND = 1e11
"""Times and durations from here on, some thousand years, are taken for mistakes."""

MOST_DATA_GB = 1e6
"""So are sizes of data from here on; a trace has no larger ones either."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that was submitted, whatever became of it.

    Attributes:
        key: of its gang.
        seconds: when.
        gpu_milli: GPUs of all its pods.
        user: whose it is: the value of `prediction.user_label`, else its namespace.
    """

    key: str
    seconds: float
    gpu_milli: int
    user: str = ""


def consumes_request(pod: PodView) -> bool:
    """Whether a pod waits for a ProvisioningRequest: who serves that one makes its nodes, and places it."""
    return ANNOTATION_CONSUME_REQUEST in pod.annotations or ANNOTATION_CONSUME_REQUEST_OLD in pod.annotations


def unserved_reason(pod: PodView, config: LiveConfig) -> str:
    """Why a pod that waits is left alone, as the label of a metric; empty: it is not."""
    if pod.node_name or not concerns_us(pod, config):
        return ""
    if pod.group is not None and pod.group.problem and not consumes_request(pod):
        return "group" if pod.gpu_milli > 0 and waits(pod) else ""
    if consumes_request(pod):
        return "provisioning-request" if pod.gpu_milli > 0 or pod.accelerators else ""
    return "accelerator" if pod.accelerators and pod.gpu_milli == 0 and waits(pod) else ""


def counts(pod: PodView, config: LiveConfig) -> bool:
    """Whether a pod is ours to serve: it requests GPUs, waits for no ProvisioningRequest, and its group is known."""
    if pod.group is not None and pod.group.problem:
        return False
    return requests_gpus(pod, config) and not consumes_request(pod)


def requests_gpus(pod: PodView, config: LiveConfig) -> bool:
    """Whether a pod requests GPUs of the pools, and concerns us."""
    return pod.gpu_milli > 0 and concerns_us(pod, config)


def concerns_us(pod: PodView, config: LiveConfig) -> bool:
    """Whether a pod may count: not a DaemonSet's, not a mirror, not expendable, in one of our namespaces."""
    return (
        not pod.is_daemon_set
        and not pod.is_mirror
        and pod.priority >= config.guardrails.protection.expendable_priority_below
        and (not config.namespaces or pod.namespace in config.namespaces)
    )


def waits(pod: PodView) -> bool:
    """Whether a pod without a node waits for us: for its placement, or for a node that it can be scheduled on."""
    if pod.node_name or pod.nominated_node or pod.deleted_seconds is not None:
        return False
    if pod.gates:
        return pod.gates == (GATE_PLACEMENT,)
    return pod.unschedulable or LABEL_POOL in pod.node_selector


def _gates_of_others(pods: Iterable[PodView]) -> set[str]:
    """Gates of others at which pods wait."""
    return {gate for pod in pods if not pod.node_name for gate in pod.gates if gate != GATE_PLACEMENT}


def _is_demand(pod: PodView) -> bool:
    """Whether a pod that is not finished needs capacity that nobody has promised it."""
    return not pod.node_name and not pod.nominated_node and not _gates_of_others([pod])


def home_of(pods: Iterable[PodView]) -> str | None:
    """The pool to which we sent a part of a gang, so that the rest must follow; None: no part went."""
    for pod in pods:
        if GATE_PLACEMENT not in pod.gates and ANNOTATION_PLACED_AT in pod.annotations:
            return pod.node_selector.get(LABEL_POOL)
    return None


def is_gang(job: JobView) -> bool:
    """Whether the pods of a Job must run together. The pods of other Jobs are jobs of their own."""
    return job.indexed or job.parallelism <= 1


class GangBuilder:
    """Builds the gangs of a config's pools.

    Args:
        config: pools, namespaces and the priority below which pods do not count.
        clock: how unix seconds in annotations compare with the times of objects.
    """

    def __init__(self, config: LiveConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock

    def build(
        self, contents: Contents, pools: Sequence[PoolView], together: Callable[[], Together]
    ) -> tuple[list[GangView], list[Submission]]:
        """All gangs that are not finished, and all submissions whose objects still exist.

        A Job counts as submitted when it is created; a suspended one not at all.

        Args:
            contents: what the store has, claims counted.
            pools: the pools with their nodes and shapes.
            together: looks at pods that depend on where others are.
        """
        groups, manager = Groups(contents), managers(contents)
        members: defaultdict[str, list[PodView]] = defaultdict(list)
        grouped: dict[str, tuple[Group, list[PodView]]] = {}
        for pod in contents.pods.values():
            group = groups.of(pod)
            if group is not None:
                if concerns_us(pod, self._config) and not consumes_request(pod):
                    grouped.setdefault(group.key, (group, []))[1].append(pod)
            elif counts(pod, self._config):
                job = contents.jobs.get(pod.gang)
                members[pod.gang if job is not None and is_gang(job) else pod.uid].append(pod)
        gangs: list[GangView] = []
        submissions: list[Submission] = []
        for key, pods in members.items():
            job = contents.jobs.get(key)
            gang = self._gang(key, pods, job, contents.jobs.get(pods[0].gang), manager(job))
            size = gang.gpu_milli_per_pod * gang.parallelism
            submissions.append(Submission(key, gang.submitted_seconds, size, self._user(pods, gang)))
            if gang.state is not GangState.FINISHED:
                gangs.append(gang)
        for gang in (*self._groups(grouped.values(), manager), *self._workloads(contents)):
            pods = [*gang.pods, *gang.expected]
            size = sum(pod.gpu_milli for pod in pods)
            submissions.append(Submission(gang.key, gang.submitted_seconds, size, self._user(pods, gang)))
            gangs.append(gang)
        gangs.sort(key=lambda gang: (gang.submitted_seconds, gang.key))
        quotas = Quotas(contents.quotas.values())
        return [self._judged(gang, quotas, pools, together) for gang in gangs], submissions

    def _user(self, pods: Sequence[PodView], gang: GangView) -> str:
        """Whose job a gang is, as the history of run times has it."""
        label = self._config.prediction.user_label
        return next((pod.labels[label] for pod in pods if label in pod.labels), gang.ref.namespace)

    def _judged(
        self, gang: GangView, quotas: Quotas, pools: Sequence[PoolView], together: Callable[[], Together]
    ) -> GangView:
        """A gang with the pools that can ever run it, or why no node helps it."""
        if gang.state is not GangState.QUEUED or gang.withheld:
            return gang
        gang = within_quotas(gang, quotas)
        if gang.withheld:
            return gang
        problems = {pool.name: self._problem(gang, pool, together) for pool in pools}
        allowed = tuple(pool for pool, problem in problems.items() if not problem)
        return replace(gang, allowed_pools=allowed, refusals=tuple(each for each in problems.items() if each[1]))

    def _problem(self, gang: GangView, view: PoolView, together: Callable[[], Together]) -> str:
        """Why a pool can never run a gang; empty: it can."""
        home = gang.sent_to or home_of(gang.pods)
        if home not in (None, view.name):
            return f"a part of it is in pool {home}, and the rest follows"
        pool = self._config.pool(view.name)
        shape = pool_shape(view, pool)
        waiting = [*(pod for pod in gang.pods if waits(pod)), *gang.expected]
        before: PodView | None = None
        for pod in waiting:
            # Pods of a Job are alike, so most of them need no look of their own.
            alike = before is not None and all(getattr(pod, name) == getattr(before, name) for name in ALIKE)
            problem = "" if alike else pod_problem(pod, pool, shape)
            if problem:
                return problem
            before = pod
        most = pool.max_nodes * pool.gpus_per_node
        gpu_milli = max(gang.pending_gpu_milli, gang.gpu_milli_per_pod)
        if gpu_milli > most * GPU_MILLI:
            return f"it requests {gpu_milli / GPU_MILLI:g} GPUs in all, {pool.max_nodes} nodes have {most}"
        if not any(pod.depends_on_pods for pod in waiting):
            return ""
        return together().problem(as_placed(gang, waiting, pool.name), view, shape, pool.max_nodes)

    def _gang(
        self, key: str, pods: list[PodView], job: JobView | None, owner: JobView | None, manager: str
    ) -> GangView:
        alive = sorted((pod for pod in pods if not pod.finished), key=lambda pod: pod.name)
        waiting = [pod for pod in alive if waits(pod)]
        per_pod = pods[0].gpu_milli if job is None else max(job.gpu_milli_per_pod, pods[0].gpu_milli)
        wanted = 1 if job is None else pods_wanted(job)
        missing = 0 if job is None else max(0, wanted - len(alive))
        theirs = _gates_of_others(alive)
        pending_milli = sum(pod.gpu_milli for pod in alive if _is_demand(pod)) + missing * per_pod
        if waiting:
            state = GangState.QUEUED
        elif any(pod.node_name for pod in alive):
            state = GangState.RUNNING
        else:
            state = GangState.FINISHED
        submitted = pods[0].created_seconds if job is None else job.created_seconds
        return GangView(
            key=key,
            ref=pods[0].ref if job is None else job.ref,
            state=state,
            submitted_seconds=submitted,
            parallelism=1 if job is None else job.parallelism,
            gpu_milli_per_pod=per_pod,
            pending_gpu_milli=pending_milli if waiting else 0,
            missing_pods=missing,
            pods=tuple(alive),
            to_come=(PodsToCome(unborn(waiting[0]), missing),) if waiting and missing else (),
            predicted_seconds=max((_number(pod, ANNOTATION_PREDICTED_SECONDS) for pod in alive), default=0.0),
            **self._times(alive, state, submitted),
            **_data(alive),
            **past_of(job),
            priority=max((pod.priority for pod in alive), default=0),
            managed_by=manager,
            replaceable=job is not None and _replaceable(job, len(alive)),
            evictions_left=0 if owner is None else None if owner.ignores_disruptions else owner.failures_left,
            # Without our gate, the others of its pods go on as they can.
            withheld=HELD.format(min(theirs)) if theirs and any(pod.gates for pod in waiting) else "",
        )

    def _groups(
        self, grouped: Iterable[tuple[Group, list[PodView]]], manager: Callable[[GroupView | None], str]
    ) -> Iterator[GangView]:
        """The groups that use GPUs and are not finished."""
        for group, members in grouped:
            coming = to_come(group, members)
            alive = sorted((pod for pod in members if not pod.finished), key=lambda pod: pod.name)
            if _gates_of_others(alive):
                continue  # whoever holds a part of it back decides when it goes on
            pods = [pod for pod in alive if pod.gpu_milli > 0]
            if pods or (alive and coming):
                companions = [pod for pod in alive if pod.gpu_milli == 0]
                yield replace(self._group(group, pods, companions, coming), managed_by=manager(group.description))

    def _group(
        self, group: Group, pods: list[PodView], companions: list[PodView], coming: tuple[PodsToCome, ...]
    ) -> GangView:
        alive = [*pods, *companions]
        waiting = [pod for pod in pods if waits(pod)]
        held = [pod for pod in companions if waits(pod) and pod.gates]
        description = group.description
        is_queued = bool(waiting or (held and coming and not any(pod.node_name for pod in pods)))
        created = min(pod.created_seconds for pod in alive) if description is None else description.created_seconds
        state = GangState.QUEUED if is_queued else GangState.RUNNING
        return self._gang_to_come(
            coming,
            waiting,
            [pod for pod in pods if _is_demand(pod)],
            key=group.key,
            ref=ref_of(group, alive),
            state=state,
            submitted_seconds=created,
            parallelism=max(group.size, len(pods)),
            late=group.late,
            pods=tuple(pods),
            companions=tuple(companions),
            predicted_seconds=max(_number(pod, ANNOTATION_PREDICTED_SECONDS) for pod in alive),
            **self._times(alive, state, created),
            **_data(alive),
            **past_of(description),
            priority=max(pod.priority for pod in alive),
        )

    def _workloads(self, contents: Contents) -> Iterator[GangView]:
        """Workloads of Kueue that wait for their nodes, or whose nodes wait for their pods."""
        for each in waiting_workloads(contents):
            workload = each.workload
            if self._config.namespaces and workload.namespace not in self._config.namespaces:
                continue
            yield self._gang_to_come(
                each.to_come,
                (),
                (),
                key=workload.uid,
                ref=workload.owner or workload.ref,
                state=GangState.RUNNING if each.admission is None else GangState.QUEUED,
                submitted_seconds=workload.created_seconds,
                parallelism=sum(role.count for role in each.to_come),
                late=True,
                admission=each.admission,
                sent_to=each.sent_to,
                priority=workload.priority,
            )

    def _gang_to_come(
        self,
        coming: tuple[PodsToCome, ...],
        waiting: Sequence[PodView],
        unbound: Sequence[PodView],
        **fields: Any,
    ) -> GangView:
        """A gang of which pods may be to come.

        Args:
            coming: these pods.
            waiting: its pods that wait for us.
            unbound: its pods with GPUs that have no node.
            fields: what else is known of it.
        """
        kinds = [*waiting, *(each.pod for each in coming)]
        pending = sum(pod.gpu_milli for pod in unbound) + sum(each.pod.gpu_milli * each.count for each in coming)
        is_queued = fields["state"] is GangState.QUEUED
        known = [pod.gpu_milli for pod in (*kinds, *fields.get("pods", ()))]
        return GangView(
            **fields,
            gpu_milli_per_pod=max(known),
            pending_gpu_milli=pending if is_queued else 0,
            missing_pods=sum(each.count for each in coming),
            to_come=coming,
        )

    def _times(self, pods: Sequence[PodView], state: GangState, submitted: float) -> dict[str, Any]:
        """Until when it may start and has to end, of those after its submission, and since when it runs."""
        latest, deadline = (
            self._earliest(pods, name, submitted) for name in (ANNOTATION_LATEST_START, ANNOTATION_DEADLINE)
        )
        begun = [pod.started_seconds for pod in pods if pod.started_seconds is not None]
        since = max(begun, default=None) if state is GangState.RUNNING else None
        return {"latest_start_seconds": latest, "deadline_seconds": deadline, "running_since_seconds": since}

    def _earliest(self, pods: Iterable[PodView], annotation: str, after: float) -> float | None:
        # Pods may be made again, after an eviction or a suspension, so their own creation says nothing.
        said = [self._clock.from_wall(_number(pod, annotation)) for pod in pods]
        return min((moment for moment in said if moment > after), default=None)


def _number(pod: PodView, annotation: str, below: float = LAST_SECOND) -> float:
    """What an annotation says, seconds as a rule; 0 where it says none, or none that can be."""
    try:
        number = float(pod.annotations.get(annotation, "0"))
    except ValueError:
        return 0.0
    return number if 0.0 < number < below else 0.0


def _data(pods: Iterable[PodView]) -> dict[str, Any]:
    """What pods say of the data of their job: the most, and the first place."""
    sizes, places = [0.0], [""]
    for pod in pods:
        sizes.append(_number(pod, ANNOTATION_DATA_GB, MOST_DATA_GB))
        places.append(pod.annotations.get(ANNOTATION_DATA_REGION, ""))
    return {"data_gb": max(sizes), "data_region": next(filter(None, places), "")}


def _replaceable(job: JobView, pods: int) -> bool:
    """Whether a Job survives the eviction of so many pods, and makes them again as we want them."""
    survives = job.ignores_disruptions or job.failures_left >= pods
    return survives and job.gates == (GATE_PLACEMENT,) and job.template_pool is None


def pods_wanted(job: JobView) -> int:
    """Pods that a Job needs side by side now."""
    if job.completions is None:
        return job.parallelism
    return max(0, min(job.parallelism, job.completions - job.succeeded))
