"""Jobs whose pool has the GPUs for them but lacks something else go to the next pool that can take them.

The codec plans by GPUs alone, and lets jobs overflow by them. CPUs, memory, affinity and all else that pods request
are known here (ADR 0013).
"""

from __future__ import annotations

from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.placement import chosen_pools, fixed_pool, gang_name
from autoscaler.live.guardrails.prospects import Prospects
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import Rule, Verdict
from autoscaler.live.model import ClusterView, GangView
from envs.gpu_cluster.codec import Decision


def overflow(
    view: ClusterView, decision: Decision, state: GuardrailState, config: LiveConfig, capacity: Capacity
) -> tuple[Decision, list[Verdict]]:
    """A decision with other pools for the gangs that theirs cannot take, now or by growing, where another one can.

    Args:
        view: the cluster.
        decision: what the policy wants, with a placement for every gang of the queue.
        state: refreshed with this view.
        config: pools and guardrails.
        capacity: what is free; it is as before afterwards.

    Returns:
        The decision, and what was changed.
    """
    slots = {gang.key: slot for slot, gang in enumerate(view.queue)}
    waiting: dict[str, list[GangView]] = {pool.name: [] for pool in view.pools}
    for gang, wanted in chosen_pools(view, decision):
        if wanted is not None and fixed_pool(gang, state) is None:
            waiting[wanted].append(gang)
    prospects, placement = Prospects(view, state, config, capacity), decision.placement.copy()
    verdicts: list[Verdict] = []
    for pool in view.pools:
        if not any(len(gang.allowed_pools) > 1 for gang in waiting[pool.name]):
            continue
        unmet = prospects.unmet(pool.name, waiting[pool.name])
        for gang in [gang for gang in waiting[pool.name] if gang.key in unmet]:
            others = [each for each in view.pools if each.name in gang.allowed_pools and each is not pool]
            for other in others:
                if gang.key not in prospects.unmet(other.name, [*waiting[other.name], gang]):
                    waiting[pool.name].remove(gang)
                    waiting[other.name].append(gang)
                    placement[slots[gang.key]] = other.index
                    reason = f"pool {pool.name} cannot take all that it requests, so it goes to pool {other.name}"
                    verdicts.append(Verdict(Rule.OVERFLOW, "gang", gang_name(gang), 1, 1, reason))
                    break
    return decision._replace(placement=placement) if verdicts else decision, verdicts
