"""Settings of the guardrails: Cluster Autoscaler's defaults, and one clear line for what has no meaning."""

import pytest

from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrail_config import (
    BackoffTimes,
    Cooldowns,
    GuardrailConfig,
    GuardrailConfigError,
    HealthStop,
    RemovalTimes,
    StepLimits,
    SuspensionLimits,
    TotalLimits,
)
from configs.errors import ConfigError
from configs.loader import build_config


def test_defaults_are_those_of_cluster_autoscaler():
    config = GuardrailConfig()
    cooldowns = config.cooldowns
    assert (cooldowns.unneeded_seconds, cooldowns.after_scale_up_seconds) == (600.0, 600.0)
    assert cooldowns.after_failure_seconds == 180.0
    assert (config.steps.max_removals, config.steps.max_draining) == (10, 1)
    assert (config.health.max_unready_fraction, config.health.ok_unready_nodes) == (0.45, 3)
    backoff = config.backoff
    assert (backoff.initial_seconds, backoff.max_seconds, backoff.reset_seconds) == (300.0, 1800.0, 10_800.0)
    assert backoff.provision_timeout_seconds == 900.0
    assert config.protection.expendable_priority_below == -10
    assert config.removal.taint_wait_seconds == 5.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: TotalLimits(min_nodes=-1), "totals.min_nodes"),
        (lambda: TotalLimits(min_nodes=3, max_nodes=2), "totals.max_nodes"),
        (lambda: TotalLimits(min_gpus=8, max_gpus=7), "totals.max_gpus"),
        (lambda: StepLimits(max_new_nodes=0), "steps.max_new_nodes"),
        (lambda: StepLimits(max_removals=-1), "steps.max_removals"),
        (lambda: StepLimits(max_draining=-1), "steps.max_draining"),
        (lambda: StepLimits(max_suspended=0), "steps.max_suspended"),
        (lambda: SuspensionLimits(min_run_seconds=-1.0), "suspension.min_run_seconds"),
        (lambda: SuspensionLimits(max_seconds=120.0), "suspension.max_seconds"),
        (lambda: Cooldowns(unneeded_seconds=-1.0), "cooldowns.unneeded_seconds"),
        (lambda: Cooldowns(after_failure_seconds=float("nan")), "cooldowns.after_failure_seconds"),
        (lambda: HealthStop(max_unready_fraction=1.5), "health.max_unready_fraction"),
        (lambda: HealthStop(ok_unready_nodes=-1), "health.ok_unready_nodes"),
        (lambda: BackoffTimes(initial_seconds=60.0, max_seconds=59.0), "backoff.max_seconds"),
        (lambda: BackoffTimes(provision_timeout_seconds=0.0), "backoff.provision_timeout_seconds"),
        (lambda: RemovalTimes(taint_wait_seconds=float("inf")), "removal.taint_wait_seconds"),
    ],
)
def test_values_without_meaning_are_refused_by_name(make, named):
    with pytest.raises(GuardrailConfigError, match=f"guardrails.{named} is "):
        make()


def test_an_unknown_key_is_an_error_with_the_nearest_name():
    data = {"pools": [{"name": "a", "max_nodes": 1}], "guardrails": {"cooldowns": {"unneded_seconds": 1.0}}}
    with pytest.raises(ConfigError, match="did you mean 'unneeded_seconds'"):
        build_config(data, LiveConfig)


def test_settings_of_the_file_arrive():
    data = {"pools": [{"name": "a", "max_nodes": 1}], "guardrails": {"totals": {"max_gpus": 64}}}
    assert build_config(data, LiveConfig).guardrails.totals.max_gpus == 64
