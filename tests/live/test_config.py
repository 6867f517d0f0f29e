"""Settings, rights and the clock."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.live.clock import ScaledClock
from autoscaler.live.config import LiveConfig, LivePool, NodeGroup, with_flags
from autoscaler.live.guardrail_config import GuardrailConfig
from autoscaler.live.kube import rights
from autoscaler.live.names import LEASE_NAME
from autoscaler.live.preflight import needed_rights
from autoscaler.live.providers import kind_of
from autoscaler.live.registry import PROVIDERS
from autoscaler.live.repair_config import RebootRequest, Repair
from autoscaler.live.signal_config import LiveRegion, SignalSettings, SignalSource
from configs.errors import ConfigError
from configs.loader import build_config, load_config
from envs.gpu_cluster.codec import CodecLayout
from tests.live import raw

ROOT = Path(__file__).resolve().parents[2]


def test_the_preset_is_a_dry_run_of_one_pool_from_zero() -> None:
    config = load_config("live/kwok", LiveConfig)
    assert config.dry_run
    assert [(pool.min_nodes, pool.provider) for pool in config.pools] == [(0, "kwok")]
    assert not with_flags(config, False, None).dry_run
    assert with_flags(config, None, "a.jsonl").audit_path == "a.jsonl"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pools": []}, "pools is empty"),
        ({"pools": [{"name": "a", "max_nodes": 1}] * 2}, "used twice"),
        ({"pools": [{"name": str(n), "max_nodes": 1} for n in range(5)]}, "holds at most 4"),
        ({"pools": [{"name": "a", "max_nodes": -1}]}, "max_nodes is -1"),
        ({"pools": [{"name": "a", "max_nodes": 1, "min_nodes": 2}]}, "min_nodes is 2"),
        ({"pools": [{"name": "a", "max_nodes": 1, "gpus_per_node": 17}]}, "gpus_per_node is 17"),
        ({"pools": [{"name": "a", "max_nodes": 1, "provider": "kwak"}]}, "provider is 'kwak'; did you mean 'kwok'"),
        (
            {"pools": [{"name": "a", "max_nodes": 1, "provider_settings": {"gpu_delay_secs": 1.0}}]},
            "pool a: provider_settings of kwok: unknown key 'gpu_delay_secs'; did you mean 'gpu_delay_seconds'",
        ),
        (
            {"pools": [{"name": "a", "max_nodes": 1, "provider": "karpenter", "provider_settings": {"node_pool": 3}}]},
            "provider_settings of karpenter: node_pool is 3",
        ),
        ({"decision_interval_secs": 3}, "did you mean 'decision_interval_seconds'"),
        ({"settle_seconds": 0.0}, "settle_seconds is 0.0"),
        ({"resync_interval_seconds": 0.5}, "resync_interval_seconds is 0.5"),
        ({"clock": {"time_scale": 0.0}}, "time_scale"),
        ({"http": {"activity_timeout_seconds": 599.0}}, "activity_timeout_seconds is 599.0; a quiet cluster waits 600"),
        (
            {"http": {"activity_timeout_seconds": 9.0}, "clock": {"time_scale": 60.0}},
            "activity_timeout_seconds is 9.0; a quiet cluster waits 10 wall seconds",
        ),
        ({"clock": {"time_zone": "Mars/Olympus"}}, "IANA"),
        ({"api": {"stale_seconds": 0.0}}, "stale_seconds"),
    ],
)
def test_a_mistake_is_one_line_that_says_what(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_config({"pools": [{"name": "gpu", "max_nodes": 1}], **change}, LiveConfig)
    assert "\n" not in str(caught.value)


def granted(path: Path) -> set[rights.Right]:
    """What a manifest grants to our ServiceAccount."""
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    bound = {item["roleRef"]["name"] for item in documents if item["kind"].endswith("Binding")}
    found = set()
    for role in documents:
        if role["kind"] not in ("Role", "ClusterRole"):
            continue
        assert role["metadata"]["name"] in bound
        for rule in role["rules"]:
            (group,), (resource,) = rule["apiGroups"], rule["resources"]
            for verb in rule["verbs"]:
                name = rule.get("resourceNames", [""])[0]
                found.add(rights.Right(group, resource, verb, "", role["kind"] == "Role", name))
    return found


def plain(wanted: Iterable[rights.Right]) -> set[rights.Right]:
    """Rights without what they are for."""
    return {replace(each, purpose="") for each in wanted}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_manifest_of_a_provider_grants_what_it_asks_for_and_nothing_else(name: str) -> None:
    kind = kind_of(name)
    wanted = plain((*kind.observe, *kind.act))
    assert granted(ROOT / "deploy" / "providers" / f"{name}.yaml") == wanted
    assert all(each.verb != "*" and each.resource != "*" for each in wanted)


def test_the_manifest_grants_what_any_provider_needs_and_nothing_else() -> None:
    pools = (LivePool("a", 1, node_group=NodeGroup("a")), LivePool("b", 1, provider="karpenter"))
    needed = plain(needed_rights(raw.config(*pools, dry_run=False)))
    own = plain(right for name in PROVIDERS for right in (*kind_of(name).observe, *kind_of(name).act))
    wanted = needed - own
    assert granted(ROOT / "deploy" / "rbac.yaml") == wanted
    assert all(each.verb != "*" and each.resource != "*" for each in wanted)
    assert LEASE_NAME in {each.name for each in wanted}


def test_the_manifest_of_reboots_grants_what_the_request_asks_for() -> None:
    asks, asks_not = (
        LivePool("a", 1, repair=Repair(enabled=each, reboot_request=RebootRequest())) for each in (True, False)
    )
    with_it, without = (plain(needed_rights(raw.config(pool, dry_run=False))) for pool in (asks, asks_not))
    assert granted(ROOT / "deploy" / "reboot.yaml") == with_it - without


def test_the_manifest_of_suspending_grants_what_the_switch_and_the_lever_ask_for() -> None:
    on, off = (
        plain(needed_rights(raw.config(guardrails=GuardrailConfig(curb_for_grid_events=each), dry_run=False)))
        for each in (True, False)
    )
    assert granted(ROOT / "deploy" / "suspend.yaml") == on - off
    assert plain(needed_rights(raw.config(layout=CodecLayout(suspension=True), dry_run=False))) == on


def test_the_manifest_of_signals_grants_what_the_source_configmap_asks_for() -> None:
    source = SignalSource("configmap", {"key": "carbon"})
    signals = SignalSettings((LiveRegion("west", carbon=source, price=source),))
    with_signals, without = (plain(needed_rights(raw.config(signals=each))) for each in (signals, SignalSettings()))
    assert granted(ROOT / "deploy" / "signals.yaml") == with_signals - without


def test_a_dry_run_needs_no_right_to_change_anything() -> None:
    assert {each.verb for each in needed_rights(raw.config(dry_run=True))} == {"list", "watch"}


def test_a_scaled_clock_counts_trace_seconds_and_maps_unix_times_back_and_forth() -> None:
    clock = ScaledClock(60.0, epoch_seconds=1000.0)
    assert 1000.0 <= clock.now() < 1060.0
    unix = clock.to_wall(1600.0)
    assert clock.from_wall(unix) == pytest.approx(1600.0, abs=1e-3)
    assert unix - clock.to_wall(1000.0) == pytest.approx(10.0, abs=1e-5)
    with pytest.raises(ValueError, match="time_scale"):
        ScaledClock(0.0)
