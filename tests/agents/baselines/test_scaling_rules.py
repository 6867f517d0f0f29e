"""Rules that scale nodes: each decision is worked out by hand."""

from __future__ import annotations

import pytest

from agents.baselines.cluster_autoscaler import ClusterAutoscaler
from agents.baselines.elasticflow import GROW, KEEP, SHRINK, ElasticFlow
from agents.baselines.hpa import TARGET, HorizontalAutoscaler
from agents.baselines.karpenter_balanced import TOLERANCE, Balanced
from agents.baselines.karpenter_when_empty_or_underutilized import WhenEmptyOrUnderutilized
from agents.baselines.keda import THRESHOLD, QueueThreshold
from agents.baselines.lifetime_aware import LifetimeAware
from agents.baselines.rule import Facts
from agents.baselines.zeus_caps import ENERGY, TIME, WEIGHT, ZeusCaps
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, ClusterSnapshot
from tests.agents.baselines.worlds import LAYOUT, decide, moment, setpoint

NONE, ONE, ALL = (CONSOLIDATION_CHOICES.index(name) for name in ("none", "one", "all"))


def busy(*free: int, **columns: float) -> ClusterSnapshot:
    """Busy nodes with so many GPUs free, one of which can be emptied unless `columns` says otherwise."""
    return moment(free=free, **{"emptiable_nodes": 1, "consolidatable": 1, **columns})


def test_cluster_autoscaler_drains_a_node_that_was_below_half_for_ten_minutes() -> None:
    rule = ClusterAutoscaler(LAYOUT)
    at = [busy(0, 5, hour=minute / 60) for minute in (0, 5, 9.9, 10.1, 10.2)]
    assert [int(decide(rule, *at[: count + 1]).consolidation[0]) for count in range(5)] == [NONE, NONE, NONE, ONE, NONE]
    assert setpoint(rule, decide(rule, at[0])) == (600.0, 0.0)


def test_cluster_autoscaler_counts_anew_after_a_node_was_in_use() -> None:
    rule = ClusterAutoscaler(LAYOUT)
    seen = [busy(5, hour=0.0), busy(4, hour=0.1), busy(5, hour=0.11), busy(5, hour=0.27)]
    assert decide(rule, *seen).consolidation[0] == NONE
    assert decide(rule, busy(5, hour=0.29), reset=False).consolidation[0] == ONE


def test_cluster_autoscaler_leaves_a_node_that_is_half_in_use() -> None:
    rule = ClusterAutoscaler(LAYOUT)
    assert decide(rule, busy(4, hour=0.0), busy(4, hour=1.0)).consolidation[0] == NONE


def test_karpenter_empties_all_within_a_tenth_of_the_nodes_and_one_beyond() -> None:
    rule = WhenEmptyOrUnderutilized(LAYOUT)
    ten = [2] * 10
    assert decide(rule, busy(*ten, emptiable_nodes=1)).consolidation[0] == ALL
    assert decide(rule, busy(*ten, emptiable_nodes=2)).consolidation[0] == ONE
    assert decide(rule, busy(*ten, *ten, emptiable_nodes=2)).consolidation[0] == ALL
    assert decide(rule, busy(*ten, consolidatable=0)).consolidation[0] == NONE
    assert setpoint(rule, decide(rule, busy(2))) == (0.0, 0.0)


def test_karpenter_balanced_compares_what_is_saved_with_what_is_disrupted() -> None:
    """Two nodes, 8 and 6 GPUs in use: saved 1/2; disrupted (1 + 6) / (2 + 14); the score is 8/7.

    And 8 + 1 GPUs: saved 1/2, disrupted 2/11; 11/4. A single node of 8 with nothing else: 9 / 9 = 1.
    """
    two, light = busy(0, 2), busy(0, 7)
    for tolerance, expected in ((2.0, ONE), (1.0, ONE), (0.9, ONE), (0.5, NONE)):
        assert decide(Balanced(LAYOUT, {TOLERANCE: tolerance}), two).consolidation[0] == expected
    assert decide(Balanced(LAYOUT, {TOLERANCE: 0.5}), light).consolidation[0] == ONE
    # Ten nodes of which nine are idle: 1/10 saved, 9/18 disrupted, 0.2.
    idle = busy(0, idle_nodes=9)
    assert decide(Balanced(LAYOUT, {TOLERANCE: 2.0}), idle).consolidation[0] == NONE
    assert decide(Balanced(LAYOUT, {TOLERANCE: 6.0}), idle).consolidation[0] == ONE


def test_hpa_wants_the_nodes_at_which_use_meets_the_target() -> None:
    """Ten full nodes: 80 GPUs in use. At 0.8 that is 12.5, so 13 nodes; at 0.5 it is 20, at 0.9 11.1, so 12."""
    full = moment(free=[0] * 10, max_nodes=60)
    for target, headroom, nodes in ((0.8, 0.3, 13), (0.5, 1.0, 20), (0.9, 0.15, 12)):
        rule = HorizontalAutoscaler(LAYOUT, {TARGET: target})
        decision = decide(rule, full)
        assert setpoint(rule, decision) == (300.0, headroom)
        assert decision.target_nodes[0] == nodes


def test_hpa_changes_nothing_within_its_tolerance() -> None:
    """Ten busy nodes with 4 GPUs free each: use is 0.5. For a target of 0.46 it would want 11; the ratio is 1.09."""
    half = moment(free=[4] * 10, max_nodes=60)
    assert decide(HorizontalAutoscaler(LAYOUT, {TARGET: 0.46}), half).target_nodes[0] == 10
    assert decide(HorizontalAutoscaler(LAYOUT, {TARGET: 0.45}), half).target_nodes[0] == 12


def test_keda_orders_nothing_until_the_queue_is_long_enough() -> None:
    rule = QueueThreshold(LAYOUT, {THRESHOLD: 1.0})
    below, enough = moment(queue=(4.0, 3.0)), moment(queue=(4.0, 4.0))
    assert decide(rule, below).target_nodes[0] == 0
    assert decide(rule, below).placement.tolist() == [-1, -1, -1]
    assert decide(rule, enough).target_nodes[0] == 1
    assert decide(rule, enough).placement.tolist() == [0, 0, -1]


def test_keda_starts_what_fits_and_what_may_be_held_no_longer() -> None:
    rule = QueueThreshold(LAYOUT, {THRESHOLD: 2.0})
    assert decide(rule, moment(queue=(4.0,), idle_nodes=1)).placement[0] == 0
    late = moment(queue=(4.0,))
    late.queue[0, 2] = 600.0  # waited as long as a job may be held
    assert decide(rule, late).placement[0] == 0


def test_elasticflow_narrows_while_a_job_waits_and_widens_when_none_does() -> None:
    rule = ElasticFlow(LAYOUT)
    elastic = {"shrinkable_gpus": 4.0, "growable_gpus": 4.0}
    assert decide(rule, moment(queue=(4.0,), free=[2], **elastic)).width[0] == SHRINK
    assert decide(rule, moment(queue=(2.0,), free=[2], **elastic)).width[0] == KEEP
    assert decide(rule, moment(free=[2], **elastic)).width[0] == GROW
    assert decide(rule, moment(free=[2])).width[0] == KEEP


@pytest.mark.parametrize(("weight", "cap"), [(0.0, 3), (1.0, 1), (100.0, 0)])
def test_zeus_weighs_energy_against_time(weight: float, cap: int) -> None:
    """At weight 1 the caps cost 0.150, 0.131, 0.138 and 0.152 USD per GPU-hour of work."""
    energy, time = [[0.10, 0.08, 0.078, 0.077]], [[1.0, 1.02, 1.2, 1.5]]
    facts = Facts({ENERGY: energy, TIME: time, "usd_per_waiting_gpu_hour": 0.05})
    costs = [usd + weight * 0.05 * hours for usd, hours in zip(energy[0], time[0], strict=True)]
    assert costs.index(min(costs)) == cap
    decision = decide(ZeusCaps(LAYOUT, {WEIGHT: weight}, facts), moment(free=[0]))
    assert decision.power_cap.tolist() == [cap, 0]


def test_lifetime_aware_is_a_set_point_with_the_packer_of_its_name() -> None:
    rule = LifetimeAware(LAYOUT, {"idle_timeout_seconds": 300.0}, packer=LifetimeAware.tuned_packer)
    assert rule.packer == "lifetime-aware"
    assert setpoint(rule, decide(rule, moment(free=[0]))) == (300.0, 0.0)
