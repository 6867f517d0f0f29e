"""A signal from a ConfigMap on the real control plane: its value and the account stand in the status ConfigMap."""

from typing import Any

from autoscaler.live.names import SIGNALS_CONFIG_MAP
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import deployed, live_settings
from tests.cluster.test_live_status import status

MAPS = "/api/v1/namespaces/kube-system/configmaps"
REGIONS = (
    "signals.regions=[{name: west, carbon: {source: configmap, settings: {key: west.carbon}, poll_seconds: 0.5, "
    "max_age_seconds: 1000000.0}}]"
)


def write(cluster: ControlPlane, text: str) -> None:
    """Say another carbon intensity."""
    named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SIGNALS_CONFIG_MAP}}
    path = f"{MAPS}/{SIGNALS_CONFIG_MAP}"
    if cluster._exists(path):
        cluster.request("PUT", path, {**named, "data": {"west.carbon": text}})
    else:
        cluster.request("POST", MAPS, {**named, "data": {"west.carbon": text}})


def shown(cluster: ControlPlane, state: str, value: float) -> dict[str, Any] | None:
    """The status once it shows the signal so, and some energy."""
    found = status(cluster)
    (signal,) = found["signals"]
    is_so = signal["state"] == state and signal["value"] == value and found["account"]["energyKwh"]["total"] > 0.0
    return found if is_so else None


def test_a_config_map_is_followed_and_its_last_good_value_is_kept(cluster: ControlPlane) -> None:
    write(cluster, "250")
    with deployed(cluster, live_settings("pools.0.max_nodes=2", "pools.0.min_nodes=1", REGIONS)) as running:
        first = cluster.wait_until(lambda: shown(cluster, "known", 250.0), "the status shows the signal")
        write(cluster, "120")
        second = cluster.wait_until(lambda: shown(cluster, "known", 120.0), "the status shows its new value")
        write(cluster, "no number")
        third = cluster.wait_until(lambda: shown(cluster, "held", 120.0), "the last good value is kept")
        assert running.process._not_ready() == "", "/readyz stays true"
    spent = [each["account"] for each in (first, second, third)]
    energy = [each["energyKwh"]["total"] for each in spent]
    assert energy == sorted(set(energy)), "the account grows"
    assert all(each["carbonUnknownKwh"] == 0.0 for each in spent[1:])
    assert spent[0]["carbonGrams"]["total"] <= spent[0]["energyKwh"]["total"] * 250.0 * 1.000001
    assert spent[2]["carbonGrams"]["total"] < spent[2]["energyKwh"]["total"] * 250.0, "the lower value counts too"
    assert "neither a number nor JSON" in third["signals"][0]["problem"]
