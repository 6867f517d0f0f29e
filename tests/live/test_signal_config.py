"""What of `signals` a config may say: every mistake is one line that says where and how to fix it."""

from typing import Any

import pytest

from autoscaler.live.config import LiveConfig
from autoscaler.live.signals.base import MissingCredentialError
from autoscaler.live.signals.live import check_credentials
from configs.errors import UserError
from configs.loader import build_config

MAPS = {"source": "electricity-maps", "settings": {"zone": "DE"}}


def config(signals: dict[str, Any], **pool: Any) -> LiveConfig:
    return build_config({"pools": [{"name": "gpu", "max_nodes": 2, **pool}], "signals": signals}, LiveConfig)


def region(**quantities: Any) -> dict[str, Any]:
    return {"regions": [{"name": "west", **quantities}]}


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        (region(carbon={"source": "electricity-map"}), "did you mean 'electricity-maps'"),
        (region(price=MAPS), "electricity-maps knows only carbon"),
        (region(price={"source": "entsoe", "settings": {}}), "zone"),
        (region(carbon={"source": "electricity-maps", "settings": {"zon": "DE"}}), "did you mean 'zone'"),
        (region(carbon={"source": "file", "settings": {"path": "x", "unit": "g/kWh"}}), "no unit of carbon"),
        (region(price={"source": "configmap", "settings": {"key": "k", "unit": "EUR/MWh"}}), "no unit of price"),
        (region(carbon={"source": "file", "settings": {"path": "x", "timezone": "Berlin"}}), "no time zone 'Berlin'"),
        (region(carbon={"source": "file", "settings": {"path": "x", "basis": "averge"}}), "'average', 'marginal'"),
        (region(carbon={"source": "watttime", "settings": {"region": "X", "history_days": 33}}), "must be 0 to 32"),
        (
            region(price={"source": "prometheus", "settings": {"url": "http://p", "query": "q", "history_days": -1}}),
            "history_days is -1",
        ),
        (region(carbon=MAPS | {"forecast": "perfect"}), "unknown signals: forecast 'perfect'"),
        (region(carbon=MAPS | {"poll_seconds": 0}), "poll_seconds is 0"),
        (region(carbon=MAPS | {"max_age_seconds": -1}), "max_age_seconds is -1"),
        (
            region(carbon={"source": "prometheus", "settings": {"url": "prom:9090", "query": "q"}}),
            "must begin with http",
        ),
        ({"regions": [{"name": "west"}, {"name": "west"}]}, "'west' is used twice"),
        ({"power": {"url": "http://u:hunter2@prometheus"}}, "has a user and a password in it"),
        ({"usd_per_tonne": -1}, "usd_per_tonne is -1"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_fix(signals: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        config(signals)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_pool_of_an_unknown_region_is_told_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"gpu: there is no region 'wets' in signals\.regions.*did you mean 'west'"):
        config(region(carbon=MAPS), region="wets")


def test_a_pool_that_names_no_region_is_in_the_first_one() -> None:
    made = config({"regions": [{"name": "west"}, {"name": "east"}]})
    found = made.region_of(made.pools[0])
    assert found is not None
    assert found.name == "west"


def test_a_missing_credential_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(region(carbon=MAPS))
    monkeypatch.delenv("ELECTRICITY_MAPS_TOKEN", raising=False)
    with pytest.raises(MissingCredentialError) as caught:
        check_credentials(made)
    assert str(caught.value).startswith("region west: carbon: electricity-maps needs a credential: ")
    assert "ELECTRICITY_MAPS_TOKEN is not set" in str(caught.value)
    monkeypatch.setenv("ELECTRICITY_MAPS_TOKEN", "x")
    check_credentials(made)


def test_a_credential_file_that_is_not_there_is_named() -> None:
    made = config(region(carbon=MAPS | {"settings": {"zone": "DE", "token_file": "/no/such/token"}}))
    with pytest.raises(MissingCredentialError, match="/no/such/token"):
        check_credentials(made)
