"""Which gangs may go where: whole or not at all, and only where their GPUs are ready now."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from autoscaler.live.fit.rules import as_placed
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.power_budget import PowerBudget
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import Release, Rule, Verdict
from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.names import GATE_PLACEMENT
from autoscaler.live.objects import PodView
from envs.gpu_cluster.codec import Decision


def gang_name(gang: GangView) -> str:
    """How verdicts and Events name a gang."""
    return f"{gang.ref.namespace}/{gang.ref.name}"


def unfit(pods: int) -> str:
    """That some pods, or the only one, do not fit somewhere."""
    return "its pod does not fit" if pods == 1 else f"its {pods} pods do not all fit"


def gated_pods(gang: GangView, state: GuardrailState) -> tuple[PodView, ...]:
    """Pods of a gang that still wait for us."""
    return tuple(pod for pod in gang.pending if GATE_PLACEMENT in pod.gates and pod.uid not in state.released)


def gated_companions(gang: GangView, state: GuardrailState) -> tuple[PodView, ...]:
    """Pods without GPUs of a gang that wait for the others."""
    return tuple(
        pod
        for pod in gang.companions
        if not pod.node_name and GATE_PLACEMENT in pod.gates and pod.uid not in state.released
    )


def awaits_us(gang: GangView, state: GuardrailState) -> bool:
    """Whether something else than its pods with GPUs waits for our word: its admission, or its other pods."""
    if gang.admission is not None:
        return gang.key not in state.released
    return bool(gated_companions(gang, state)) and gang.late


def fixed_pool(gang: GangView, state: GuardrailState) -> str | None:
    """The pool in which a part of a gang is already; the rest has to follow it."""
    keys = (gang.key, *(pod.uid for pod in gang.pods))
    released = next((state.released[key][0] for key in keys if key in state.released), "")
    return released or gang.begun_in or None


def chosen_pools(view: ClusterView, decision: Decision) -> Iterator[tuple[GangView, str | None]]:
    """Each waiting gang with the pool that the decision sends it to, None to hold it."""
    names = {pool.index: pool.name for pool in view.pools}
    for slot, gang in enumerate(view.queue):
        choice = int(decision.placement[slot]) if slot < len(decision.placement) else -1
        yield gang, names.get(choice)


def with_backlog(decision: Decision, view: ClusterView) -> Decision:
    """The decision with a placement for every job: those behind the window go to their default pool."""
    rows = {pool.name: pool.index for pool in view.pools}
    behind = [rows[gang.default_pool or gang.allowed_pools[0]] for gang in view.queue[len(decision.placement) :]]
    if not behind:
        return decision
    return decision._replace(placement=np.concatenate([decision.placement, np.array(behind, np.int64)]))


def releases(
    view: ClusterView,
    decision: Decision,
    state: GuardrailState,
    capacity: Capacity,
    power: PowerBudget,
    by_others: Collection[str] = (),
) -> tuple[list[Release], list[Verdict]]:
    """The gangs that go now.

    A gang of which a part has gone already goes on, whatever the decision says about it: half a gang only burns energy.

    Args:
        view: the cluster.
        decision: what the policy wants.
        state: what was released recently.
        capacity: what is free; what a released gang takes is taken from it.
        power: what the budget of a grid event leaves, likewise; a gang of which a part has gone is not held for it.
        by_others: pools whose nodes another autoscaler makes: it only sees pods without a gate, so these go at once.
    """
    released: list[Release] = []
    verdicts: list[Verdict] = []
    for gang, wanted in chosen_pools(view, decision):
        pods = gated_pods(gang, state)
        if not pods and not awaits_us(gang, state):
            continue
        fixed = fixed_pool(gang, state)
        if fixed is not None and fixed != wanted:
            reason = f"a part of it is in pool {fixed} already, the rest follows"
            verdicts.append(Verdict(Rule.GANG_TOGETHER, "gang", gang_name(gang), int(wanted is not None), 1, reason))
        pool = fixed or wanted
        if pool is None:
            continue
        # For the pods to come of a gang that has begun, `groups` has reserved what they need.
        needed = pods if fixed is not None else (*pods, *gang.expected)
        refusal = _paused(gang, pool, view) or (_over_budget(gang, pool, power) if fixed is None else None)
        refusal = refusal or _refusal(gang, needed, pool, capacity, waits=pool not in by_others)
        if refusal is None:
            power.started(gang, pool)
            released.append(Release(gang, pool, (*pods, *gated_companions(gang, state))))
        else:
            verdicts.append(refusal)
    for gang in view.running:
        companions = gated_companions(gang, state)
        if companions:  # they were created after the others
            released.append(Release(gang, "", companions))
    return released, verdicts


def _paused(gang: GangView, pool: str, view: ClusterView) -> Verdict | None:
    if pool not in view.paused_pools:
        return None
    return Verdict(Rule.PAUSED, "gang", gang_name(gang), 1, 0, f"pool {pool}: {view.paused_pools[pool]}")


def _over_budget(gang: GangView, pool: str, power: PowerBudget) -> Verdict | None:
    reason = power.refusal(gang, pool)
    return Verdict(Rule.POWER_BUDGET, "gang", gang_name(gang), 1, 0, reason) if reason else None


def _refusal(
    gang: GangView, pods: tuple[PodView, ...], pool: str, capacity: Capacity, *, waits: bool
) -> Verdict | None:
    """Why a gang has to wait; None, and its capacity is reserved, when it goes; one that `waits` goes where it fits."""
    rule: Rule
    if pool not in gang.allowed_pools:
        rule, reason = Rule.POOL_NOT_ALLOWED, f"its selectors, tolerations or GPUs rule out pool {pool}"
    elif gang.missing_pods > 0 and not gang.late:
        rule, reason = Rule.GANG_INCOMPLETE, f"{gang.missing_pods} of its {gang.parallelism} pods do not exist yet"
    elif waits and not capacity.has_ready_gpus(pool):
        rule, reason = Rule.NO_READY_GPUS, f"pool {pool} has no ready node with allocatable GPUs yet"
    elif not capacity.place(pool, as_placed(gang, pods, pool)) and waits:
        rule, reason = Rule.DOES_NOT_FIT, f"{unfit(len(pods))} on the ready nodes of pool {pool} now"
    else:
        return None
    return Verdict(rule, "gang", gang_name(gang), 1, 0, reason)
