"""Rules are listed by name or by group, and a rule whose lever is off is refused before it is tuned."""

from __future__ import annotations

import pytest

from agents.errors import PolicyNeedsLeverError, UnknownPolicyError
from autoscaler.evaluation.candidates import make_rule, rule_names
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig

PLAIN = CodecLayout()
BASIC = ["always-on", "reactive", "random", "reactive-tuned"]


def test_a_group_has_the_rules_whose_levers_are_on() -> None:
    assert rule_names("basic", PLAIN) == BASIC
    literature = rule_names("literature", PLAIN)
    assert {"hpa", "keda", "seasonal", "helios-ces", "tuned-combination"} <= set(literature)
    assert not {"zeus-caps", "karpenter-balanced", "gaia", *BASIC} & set(literature)
    assert set(rule_names("all", PLAIN)) == {*BASIC, *literature}
    assert "zeus-caps" in rule_names("literature", CodecLayout(power_caps=True))


def test_names_and_groups_may_be_mixed_and_none_comes_twice() -> None:
    assert rule_names("hpa,basic,reactive", PLAIN) == ["hpa", *BASIC]
    assert rule_names("none", PLAIN) == []


def test_an_unknown_rule_or_group_proposes_the_nearest() -> None:
    with pytest.raises(UnknownPolicyError, match="unknown rule 'literatur'; did you mean 'literature'"):
        rule_names("literatur", PLAIN)
    with pytest.raises(UnknownPolicyError, match="did you mean 'helios-ces'"):
        rule_names("helios-cse", PLAIN)


def test_a_rule_whose_lever_is_off_is_not_tuned() -> None:
    def tune(name: str) -> None:
        raise AssertionError(f"{name} was tuned")

    with pytest.raises(PolicyNeedsLeverError, match=r"policy zeus-caps needs codec\.power_caps"):
        make_rule("zeus-caps", EnvironmentConfig(), 0, tune)  # type: ignore[arg-type]
