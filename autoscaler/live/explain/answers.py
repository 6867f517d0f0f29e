"""Finds the object that somebody asks about, and says why it is as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.live.config import LiveConfig
from autoscaler.live.explain.staying import Staying
from autoscaler.live.explain.suspension import running_reason, suspended_reason
from autoscaler.live.explain.target import Target, TargetError, unknown
from autoscaler.live.explain.waiting import Reasons, Waiting, When
from autoscaler.live.guardrails import Allowed, Verdict
from autoscaler.live.model import ClusterView
from autoscaler.live.names import GATE_PLACEMENT
from autoscaler.live.objects import JobView, NodeView, ObjectView, PodView
from autoscaler.live.policy.decide import Decided
from autoscaler.live.view.gangs import concerns_us
from autoscaler.live.view.store import Contents
from envs.gpu_cluster.codec import Decision


@dataclass(frozen=True, slots=True)
class Seen:
    """One dry reconcile.

    Attributes:
        view: what was seen.
        contents: the objects that it was made of.
        decided: what the policy decided.
        decision: the same with a placement for every job.
        allowed: what the guardrails left of it.
        config: pools and guardrails.
        when: writes times.
    """

    view: ClusterView
    contents: Contents
    decided: Decided
    decision: Decision
    allowed: Allowed
    config: LiveConfig
    when: When


@dataclass(frozen=True, slots=True)
class Answer:
    """Why an object is as it is.

    Attributes:
        target: the object.
        state: one word: a node's state, or `waiting`, `running`, `starting`, `finished`, `suspended`, `not-ours`.
        sentences: why, the most telling first.
        pools: of a job or pod that waits, why it does not start in each pool.
        verdicts: of the guardrails about it.
    """

    target: Target
    state: str
    sentences: tuple[str, ...]
    pools: Mapping[str, str] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()

    def document(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        verdicts = [{"rule": str(each.rule), "kind": each.kind, "reason": each.reason} for each in self.verdicts]
        said = {"sentences": list(self.sentences), "pools": dict(self.pools), "verdicts": verdicts}
        return {"target": str(self.target), "state": self.state, **said}


def answer(target: Target, seen: Seen) -> Answer:
    """Answer for one object.

    Raises:
        UnknownObjectError: there is no such object.
        TargetError: several kinds have one of that name.
    """
    tables: dict[str, list[ObjectView]] = {
        "Node": list(seen.contents.nodes.values()),
        "Pod": list(seen.contents.pods.values()),
        "Job": list(seen.contents.jobs.values()),
    }
    kinds = [target.kind] if target.kind else list(tables)
    found = [(kind, view) for kind in kinds for view in tables[kind] if _is(view, kind, target)]
    if not found:
        raise unknown(target, [view for kind in kinds for view in tables[kind]])
    if len(found) > 1:
        names = ", ".join(str(Target(view.name, kind, view.namespace)) for kind, view in found)
        raise TargetError(f"{target.name!r} is the name of {names}; write which")
    kind, view = found[0]
    target = Target(view.name, kind, view.namespace)
    return _node(target, view, seen) if isinstance(view, NodeView) else _work(target, view, seen)


def _is(view: ObjectView, kind: str, target: Target) -> bool:
    return view.name == target.name and (kind == "Node" or view.namespace == target.namespace)


def _node(target: Target, raw: NodeView, seen: Seen) -> Answer:
    every = (*seen.view.unmanaged_nodes, *(node for pool in seen.view.pools for node in pool.nodes))
    node = next(node for node in every if node.uid == raw.uid)
    sentences = Staying(seen.view, seen.decided, seen.allowed, seen.config, seen.when).sentences(node)
    verdicts = tuple(each for each in seen.allowed.verdicts if each.kind == "node" and each.subject == node.name)
    state = str(node.state) if node.pool is not None else "not-ours"
    return Answer(target, state, tuple(sentences), {}, verdicts)


def _work(target: Target, view: ObjectView, seen: Seen) -> Answer:
    """Why a Job or a pod waits, or that it does not."""
    pods = _pods(view, seen.contents)
    uids = {view.uid, *(pod.uid for pod in pods)}
    reasons = Reasons(seen.view, seen.decision, seen.allowed, seen.config, seen.when)
    waiting = [each for each in reasons.all() if uids & {each.ref.uid, *(pod.uid for pod in each.pods)}]
    if waiting:
        return _waiting(target, waiting[0], seen)
    for release in seen.allowed.releases:
        if uids & {release.gang.ref.uid, *(pod.uid for pod in release.pods)}:
            return Answer(target, "starting", (f"It goes to pool {release.pool} now: its pods fit on ready nodes.",))
    state, sentence = _quiet(view, pods, seen)
    more = running_reason(uids, seen.view, seen.allowed, seen.config, seen.when) if state == "running" else ""
    return Answer(target, state, (sentence, more) if more else (sentence,))


def _pods(view: ObjectView, contents: Contents) -> list[PodView]:
    if isinstance(view, PodView):
        return [view]
    found = [pod for pod in contents.pods.values() if pod.owner is not None and pod.owner.uid == view.uid]
    return [pod for pod in found if not pod.finished]


def _waiting(target: Target, waiting: Waiting, seen: Seen) -> Answer:
    sentences = [f"It waits: {waiting.reason}."] if waiting.reason else ["It waits."]
    sentences += [f"Pool {pool}: {why}." for pool, why in waiting.pools.items()]
    name = f"{waiting.ref.namespace}/{waiting.ref.name}"
    verdicts = tuple(
        each for each in seen.allowed.verdicts if each.kind == "cluster" or (each.kind, each.subject) == ("gang", name)
    )
    return Answer(target, "waiting", tuple(sentences), waiting.pools, verdicts)


def _quiet(view: ObjectView, pods: list[PodView], seen: Seen) -> tuple[str, str]:
    """State and sentence of a Job or pod that waits for none of our nodes."""
    if isinstance(view, JobView) and view.finished:
        return "finished", "It is finished."
    if isinstance(view, PodView) and view.finished:
        return "finished", f"It is finished: {view.phase}."
    if isinstance(view, JobView) and view.suspended:
        return "suspended", suspended_reason(view, seen.view, seen.allowed, seen.config, seen.when)
    placed = [pod for pod in pods if pod.node_name]
    if placed:
        where = ", ".join(sorted({pod.node_name for pod in placed})[:5])
        rest = f"; {len(pods) - len(placed)} of its pods have no node yet" if len(placed) < len(pods) else ""
        return "running", f"It runs on {where}{rest}."
    if not pods:
        return "waiting", "Its controller has created no pod of it yet, so there is nothing to place."
    return "not-ours", next(_not_ours(pods[0], seen))


def _not_ours(pod: PodView, seen: Seen) -> Iterator[str]:
    """Why a pod without a node is left alone."""
    if pod.deleted_seconds is not None:
        yield f"Pod {pod.name} is being deleted."
    others = [gate for gate in pod.gates if gate != GATE_PLACEMENT]
    if others:
        yield f"It is held by the scheduling gates of others: {', '.join(others)}."
    if seen.config.namespaces and pod.namespace not in seen.config.namespaces:
        yield f"Its namespace is none of those that the autoscaler serves: {', '.join(seen.config.namespaces)}."
    if not concerns_us(pod, seen.config):
        yield "Its kind or its priority keeps it out: pods of DaemonSets, mirrors and expendable pods order no nodes."
    if pod.gpu_milli <= 0:
        resources = ", ".join(seen.config.gpu_resources)
        yield f"It requests no GPUs of the pools ({resources}), so no node is ordered for it."
    yield "The scheduler has not said yet that it is Unschedulable; it may be bound at any moment."
