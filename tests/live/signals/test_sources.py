"""Each source against a local server that answers as the real one does: values, history, and whatever goes wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscaler.live.registry import SOURCES, load_source
from autoscaler.live.signal_config import SignalSource
from autoscaler.live.signals.base import Around, Problem, SourceError
from tests.live.signals.web import Answer, Request, Web, serving, vector

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC).timestamp()
HOUR = 3600.0
TOKEN = "s3cret-t0ken"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELECTRICITY_MAPS_TOKEN", "ENTSOE_TOKEN", "WATTTIME_USER", "WATTTIME_PASSWORD"):
        monkeypatch.setenv(name, TOKEN)


def hour(offset: float) -> str:
    return datetime.fromtimestamp(NOW - 1800.0 + offset * HOUR, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def maps_row(offset: float, value: Any, **more: Any) -> dict[str, Any]:
    return {"zone": "DE", "carbonIntensity": value, "datetime": hour(offset), "emissionFactorType": "lifecycle", **more}


def watttime(values: list[tuple[float, Any]], unit: str = "lbs_co2_per_mwh", region: str = "CAISO_NORTH") -> Any:
    data = [{"point_time": hour(offset), "value": value} for offset, value in values]
    return {"data": data, "meta": {"region": region, "units": unit, "signal_type": "co2_moer"}}


def entsoe(points: str, *, zone: str = "10YXX", currency: str = "EUR", hours: int = 4) -> bytes:
    start, end = (datetime.fromtimestamp(NOW - 1800.0 + at * HOUR, UTC) for at in (0, hours))
    return (
        '<?xml version="1.0"?>'
        '<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">'
        f"<TimeSeries><in_Domain.mRID>{zone}</in_Domain.mRID><currency_Unit.name>{currency}</currency_Unit.name>"
        "<price_Measure_Unit.name>MWH</price_Measure_Unit.name><curveType>A03</curveType><Period><timeInterval>"
        f"<start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end></timeInterval>"
        f"<resolution>PT60M</resolution>{points}</Period></TimeSeries></Publication_MarketDocument>"
    ).encode()


def point(position: int, price: float) -> str:
    return f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"


def source(name: str, quantity: str, settings: dict[str, Any], timeout: float = 5.0) -> Any:
    return load_source(name).make(SignalSource(name, settings, timeout_seconds=timeout), quantity, Around(lambda: NOW))


def good(name: str, web: Web, timeout: float = 5.0) -> Any:
    """A source of each kind that answers well."""
    if name == "electricity-maps":
        history = [maps_row(-2, 300), maps_row(-1, 310)]
        web.answers["/carbon-intensity/latest"] = maps_row(0, 320)
        web.answers["/carbon-intensity/history"] = {"zone": "DE", "history": history}
        return source(name, "carbon", {"zone": "DE", "url": web.url}, timeout)
    if name == "watttime":
        web.answers["/login"] = {"token": "abc"}
        web.answers["/v3/forecast"] = watttime([(0, 1000.0), (1, 5.0)])
        web.answers["/v3/historical"] = watttime([(-2, 800.0), (-1, 900.0)])
        return source(name, "carbon", {"region": "CAISO_NORTH", "url": web.url}, timeout)
    if name == "entsoe":
        web.answers["/"] = Answer(entsoe(point(1, 100.0) + point(3, -20.0)))
        return source(name, "price", {"zone": "10YXX", "usd_per_unit": 1.1, "url": f"{web.url}/"}, timeout)
    web.answers["/api/v1/query"] = vector((NOW, "0.12"))
    values = [[NOW - HOUR, "0.1"], [NOW, "0.11"]]
    result = [{"metric": {}, "values": values}]
    web.answers["/api/v1/query_range"] = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return source("prometheus", "price", {"url": web.url, "query": "price"}, timeout)


WEB = ("electricity-maps", "watttime", "entsoe", "prometheus")


def test_electricity_maps_tells_the_last_day_first_and_then_the_latest_hour(web: Web) -> None:
    found = good("electricity-maps", web)
    first = found.read(None)
    assert first.values.tolist() == [300.0, 310.0, 320.0]
    assert first.end_seconds == NOW + 1800.0, "an hourly value holds for its hour"
    assert first.basis == "average"
    assert found.read(first.end_seconds).values.tolist() == [320.0]
    assert {request.headers["auth-token"] for request in web.requests} == {TOKEN}


def test_watttime_logs_in_once_and_takes_only_the_present_of_a_forecast(web: Web) -> None:
    found = good("watttime", web)
    assert found.read(None).values == pytest.approx([800 * 0.45359237, 900 * 0.45359237, 1000 * 0.45359237])
    second = found.read(NOW)
    assert second.values == pytest.approx([453.59237])
    assert second.basis == "marginal"
    assert [request.path for request in web.requests].count("/login") == 1


def test_watttime_logs_in_again_when_its_token_is_refused(web: Web) -> None:
    found = good("watttime", web)
    found.read(None)
    well, web.answers["/v3/forecast"] = web.answers["/v3/forecast"], Answer({}, 401)
    with pytest.raises(SourceError):
        found.read(NOW)
    web.answers["/v3/forecast"] = well
    assert len(found.read(NOW).values) == 1
    assert [request.path for request in web.requests].count("/login") == 2


def test_entsoe_repeats_the_price_of_a_position_that_its_curve_leaves_out(web: Web) -> None:
    reading = good("entsoe", web).read(None)
    begin = NOW - 1800.0
    assert reading.time_seconds.tolist() == [begin, begin + 2 * HOUR]
    assert reading.values == pytest.approx([0.11, -0.022]), "USD/kWh, and a price may be negative"
    assert reading.end_seconds == begin + 4 * HOUR


def test_a_history_of_electricity_maps_must_be_a_list(web: Web) -> None:
    source = good("electricity-maps", web)
    web.answers["/carbon-intensity/history"] = {"zone": "DE", "history": 5}
    with pytest.raises(SourceError, match="the history is no list"):
        source.read(None)


def test_entsoe_may_repeat_a_position(web: Web) -> None:
    source = good("entsoe", web)
    web.answers["/"] = Answer(entsoe(point(1, 1.0) + point(1, 2.0)))
    assert source.read(None).values == pytest.approx([0.0011, 0.0022])


def several(*series: tuple[str, float]) -> Answer:
    """An answer with one price in each of some series, which begin with some XML of their own."""
    one = entsoe(point(1, 100.0)).decode()
    head, tail = one.split("<TimeSeries>")[0], "</Publication_MarketDocument>"
    body = one.split("<TimeSeries>")[1].removesuffix(tail)
    made = "".join(f"<TimeSeries>{own}{body.replace('100.0', str(price))}" for own, price in series)
    return Answer(f"{head}{made}{tail}".encode())


def sequence(number: int) -> str:
    name = "classificationSequence_AttributeInstanceComponent.position"
    return f"<{name}>{number}</{name}>"


def test_entsoe_takes_one_of_several_auctions_and_none_of_the_day_itself(web: Web) -> None:
    found, intraday = good("entsoe", web), "<contract_MarketAgreement.type>A07</contract_MarketAgreement.type>"
    web.answers["/"] = several((sequence(2), 7.0), (sequence(1), 50.0), (intraday, 9.0))
    assert found.read(None).values == pytest.approx([0.055])
    other = source("entsoe", "price", {"zone": "10YXX", "usd_per_unit": 1.1, "url": f"{web.url}/", "sequence": 2})
    assert other.read(None).values == pytest.approx([0.0077])
    assert web.requests[-1].query["contract_MarketAgreement.type"] == "A01"


def test_entsoe_says_which_auctions_there_are_where_that_one_is_missing(web: Web) -> None:
    found = good("entsoe", web)
    web.answers["/"] = several((sequence(2), 7.0))
    with pytest.raises(SourceError, match="no price of sequence 1; there is 2") as caught:
        found.read(None)
    assert caught.value.problem is Problem.MISSING


def test_entsoe_says_what_an_acknowledgement_says(web: Web) -> None:
    found = good("entsoe", web)
    text = "No matching data found for Data item"
    reason, root = f"<Reason><code>999</code><text>{text}</text></Reason>", "Acknowledgement_MarketDocument"
    web.answers["/"] = Answer(f"<{root}>{reason}</{root}>".encode())
    with pytest.raises(SourceError, match=text) as caught:
        found.read(None)
    assert caught.value.problem is Problem.MISSING


def test_prometheus_tells_the_past_first_and_then_the_present(web: Web) -> None:
    found = good("prometheus", web)
    assert found.read(None).values.tolist() == [0.1, 0.11, 0.12]
    assert found.read(NOW).values.tolist() == [0.12]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (vector(), Problem.MISSING),
        (vector((NOW, "1"), (NOW, "2")), Problem.MALFORMED),
        (vector((NOW, "NaN")), Problem.MALFORMED),
    ],
    ids=["no series", "two series", "not a number"],
)
def test_prometheus_must_give_one_series_of_numbers(web: Web, answer: Any, problem: Problem) -> None:
    found = good("prometheus", web)
    web.answers["/api/v1/query"] = answer
    with pytest.raises(SourceError) as caught:
        found.read(NOW)
    assert caught.value.problem is problem


@pytest.mark.parametrize("name", WEB)
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer({}, 401), Problem.UNAUTHORIZED),
        (Answer({}, 403), Problem.FORBIDDEN),
        (Answer({}, 429, (("Retry-After", "77"),)), Problem.RATE_LIMITED),
        (Answer({}, 500), Problem.SERVER_ERROR),
        (Answer({}, 503), Problem.SERVER_ERROR),
        (Answer({}, 302, (("Location", "http://127.0.0.1:9/"),)), Problem.REFUSED),
        (Answer(b"{{{ no json, no xml"), Problem.MALFORMED),
        (Answer(b"\xff\xfe\x00"), Problem.MALFORMED),
        (Answer([]), Problem.MALFORMED),
    ],
    ids=["401", "403", "429", "500", "503", "302", "malformed", "no text", "other json"],
)
def test_what_goes_wrong_is_told_in_one_word_and_without_the_credential(
    web: Web, name: str, answer: Answer, problem: Problem
) -> None:
    found = good(name, web)
    for path in web.answers:
        web.answers[path] = answer
    with pytest.raises(SourceError) as caught:
        found.read(None)
    assert caught.value.problem is problem
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.retry_after_seconds == (77.0 if problem is Problem.RATE_LIMITED else None)


@pytest.mark.parametrize("name", WEB)
def test_a_server_that_drips_bytes_passes_no_time_out(web: Web, name: str) -> None:
    found = good(name, web, timeout=0.3)
    for path, answer in list(web.answers.items()):
        body = answer.body if isinstance(answer, Answer) else answer
        web.answers[path] = Answer(body, drip_seconds=0.05)
    with pytest.raises(SourceError) as caught:
        found.read(None)
    assert caught.value.problem is Problem.TIMEOUT


@pytest.mark.parametrize("name", WEB)
def test_a_server_that_is_away_is_unreachable(name: str) -> None:
    with serving() as web:
        found = good(name, web)
    with pytest.raises(SourceError) as caught:
        found.read(None)
    assert caught.value.problem is Problem.UNREACHABLE
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "path", "answer", "problem"),
    [
        ("electricity-maps", "/carbon-intensity/latest", maps_row(0, 1, zone="FR"), Problem.WRONG_ZONE),
        (
            "electricity-maps",
            "/carbon-intensity/latest",
            maps_row(0, 1, emissionFactorType="direct"),
            Problem.WRONG_UNIT,
        ),
        ("electricity-maps", "/carbon-intensity/latest", maps_row(0, -5), Problem.MALFORMED),
        ("electricity-maps", "/carbon-intensity/latest", maps_row(0, None), Problem.MALFORMED),
        ("electricity-maps", "/carbon-intensity/latest", maps_row(0, "dirty"), Problem.MALFORMED),
        ("electricity-maps", "/carbon-intensity/latest", maps_row(0, 1) | {"datetime": "noon"}, Problem.MALFORMED),
        ("watttime", "/v3/forecast", watttime([(0, 1.0)], unit="percentile"), Problem.WRONG_UNIT),
        ("watttime", "/v3/forecast", watttime([(0, 1.0)], region="PJM"), Problem.WRONG_ZONE),
        ("watttime", "/v3/forecast", watttime([]), Problem.MISSING),
        ("entsoe", "/", Answer(entsoe(point(1, 1.0), zone="10YOTHER")), Problem.WRONG_ZONE),
        ("entsoe", "/", Answer(entsoe(point(1, 1.0), currency="PLN")), Problem.WRONG_UNIT),
        ("entsoe", "/", Answer(entsoe("")), Problem.MISSING),
        ("entsoe", "/", Answer(entsoe("<Point><position>x</position></Point>")), Problem.MALFORMED),
        ("entsoe", "/", Answer(entsoe(point(5, 1.0))), Problem.MALFORMED),
        ("entsoe", "/", Answer(entsoe(point(10**400, 1.0))), Problem.MALFORMED),
    ],
)
def test_values_of_another_zone_or_unit_or_that_cannot_be_are_refused(
    web: Web, name: str, path: str, answer: Any, problem: Problem
) -> None:
    found = good(name, web)
    web.answers[path] = answer
    with pytest.raises(SourceError) as caught:
        found.read(NOW)
    assert caught.value.problem is problem


def test_a_credential_of_a_file_is_read_again_for_each_request(web: Web, tmp_path: Path) -> None:
    good("electricity-maps", web)
    secret = tmp_path / "token"
    secret.write_text("one\n")
    found = source("electricity-maps", "carbon", {"zone": "DE", "url": web.url, "token_file": str(secret)})
    found.read(NOW)
    secret.write_text("two\n")
    found.read(NOW)
    assert [request.headers["auth-token"] for request in web.requests] == ["one", "two"]
    secret.unlink()
    with pytest.raises(SourceError, match=str(secret)) as caught:
        found.read(NOW)
    assert caught.value.problem is Problem.CREDENTIAL


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "carbon.csv"
    path.write_text(f"time,value\n{hour(-1)},600\n{hour(0)},400\n")
    found = source("file", "carbon", {"path": str(path), "unit": "lb/MWh"})
    first = found.read(None)
    assert first.values == pytest.approx([600 * 0.45359237, 400 * 0.45359237])
    assert first.end_seconds == NOW + 1800.0
    assert found.read(NOW) is first
    path.write_text(f"time,value\n{hour(0)},400\n{hour(1)},200.5\n")
    assert found.read(NOW).values[-1] == pytest.approx(200.5 * 0.45359237)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("time,other\n1,2\n", Problem.MALFORMED),
        ("time,value\n", Problem.MISSING),
        ("time,value\nyesterday,2\n", Problem.MALFORMED),
        ("time,value\n2026-01-01T00:00:00Z,much\n", Problem.MALFORMED),
        ("time,value\n2026-01-01T00:00:00Z,-1\n", Problem.MALFORMED),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(tmp_path: Path, text: str, problem: Problem) -> None:
    path = tmp_path / "carbon.csv"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        source("file", "carbon", {"path": str(path)}).read(None)
    assert caught.value.problem is problem


def test_a_file_that_a_spreadsheet_wrote_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "carbon.csv"
    path.write_text(f"time,value\r\n{hour(0)},400\r\n", encoding="utf-8-sig")
    assert source("file", "carbon", {"path": str(path)}).read(None).values.tolist() == [400.0]
    path.write_text("times,value\n1,2\n")
    with pytest.raises(SourceError, match="there is no column 'time'; did you mean 'times'"):
        source("file", "carbon", {"path": str(path)}).read(None)


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        source("file", "carbon", {"path": str(tmp_path / "none.csv")}).read(None)
    assert caught.value.problem is Problem.MISSING


class Client:
    """Answers with one ConfigMap."""

    def __init__(self, data: dict[str, str]) -> None:
        self.data, self.paths = data, []

    def fenced(self, check: Any, timeout: float) -> "Client":
        return self

    def get(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        return {"data": self.data}


def config_map(data: dict[str, str]) -> Any:
    settings = SignalSource("configmap", {"key": "us-west.carbon"})
    return load_source("configmap").make(settings, "carbon", Around(lambda: NOW, Client(data), "ops"))  # type: ignore[arg-type]


def test_a_number_in_a_config_map_holds_from_the_read_on() -> None:
    reading = config_map({"us-west.carbon": " 250.5\n"}).read(None)
    assert (reading.time_seconds.tolist(), reading.values.tolist(), reading.end_seconds) == ([NOW], [250.5], NOW)


def test_a_table_in_a_config_map_says_its_own_times() -> None:
    text = f'[{{"time": "{hour(0)}", "value": 1}}, {{"time": "{hour(1)}", "value": 2}}]'
    reading = config_map({"us-west.carbon": text}).read(None)
    assert np.diff(reading.time_seconds).tolist() == [HOUR]
    assert reading.values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, Problem.MISSING),
        ({"us-west.carbon": ""}, Problem.MISSING),
        ({"us-west.carbon": "dirty"}, Problem.MALFORMED),
        ({"us-west.carbon": "true"}, Problem.MALFORMED),
        ({"us-west.carbon": "-3"}, Problem.MALFORMED),
        ({"us-west.carbon": "NaN"}, Problem.MALFORMED),
        ({"us-west.carbon": '[{"value": 1}]'}, Problem.MALFORMED),
        ({"us-west.carbon": '{"value": 1}'}, Problem.MALFORMED),
    ],
)
def test_a_config_map_that_cannot_be_understood_is_refused(data: dict[str, str], problem: Problem) -> None:
    with pytest.raises(SourceError) as caught:
        config_map(data).read(None)
    assert caught.value.problem is problem


def test_every_source_of_the_registry_says_what_it_knows() -> None:
    for name in SOURCES:
        kind = load_source(name)
        assert kind.quantities, name
        assert kind.settings.__doc__, name


def test_the_query_of_prometheus_is_asked_as_it_was_given(web: Web) -> None:
    found = good("prometheus", web)
    found.read(NOW)
    (request,) = web.requests
    assert request == Request("/api/v1/query", {"query": "price", "time": repr(NOW)}, request.headers)
