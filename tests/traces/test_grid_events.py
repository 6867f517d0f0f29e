"""Grid events of a file."""

from pathlib import Path

import numpy as np
import pytest

import traces
from autoscaler.cli import main

HEAD = "start,end,kw,share,told"


def events(tmp_path: Path, *rows: str, options: str = "power_kw=kw&fraction=share&notice=told") -> traces.GridEvents:
    (tmp_path / "e.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return traces.load_grid_events(f"csv-grid-events:{tmp_path}/e.csv?{options}")


def test_rows_are_sorted_and_each_has_its_own_budget_and_notice(tmp_path: Path) -> None:
    found = events(
        tmp_path, "2022-07-02T12:00:00Z,2022-07-02T14:00:00Z,,0.5,24", "2022-07-01T12:00:00Z,2022-07-01T13:00:00Z,40,,2"
    )
    assert np.diff(found.start_seconds).tolist() == [86400.0]
    assert (found.end_seconds - found.start_seconds).tolist() == [3600.0, 7200.0]
    np.testing.assert_array_equal(found.power_kw, [40.0, np.nan])
    np.testing.assert_array_equal(found.fraction, [np.nan, 0.5])
    assert found.notice_seconds.tolist() == [7200.0, 86400.0]


def test_times_without_an_offset_are_of_the_zone(tmp_path: Path) -> None:
    row = "2022-07-01 12:00,2022-07-01 13:00,40,,1"
    local = events(tmp_path, row, options="power_kw=kw&timezone=Europe/Berlin")
    assert events(tmp_path, row, options="power_kw=kw").start_seconds - local.start_seconds == 7200.0
    assert local.notice_seconds.tolist() == [3600.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2022-07-01,2022-07-01,40,,1"], "row 1: ends at 2022-07-01.* not after its start"),
        (["2022-07-01,2022-07-02,40,0.5,1"], "row 1: .* give one of them"),
        (["2022-07-01,2022-07-02,,,1"], "row 1: .* give one of them"),
        (["2022-07-01,2022-07-02,-4,,1"], "row 1: power is -4 kW"),
        (["2022-07-01,2022-07-02,,1.5,1"], "fraction 0 to 1"),
        (["2022-07-01,2022-07-02,4,,-1"], "notice is -3600 s"),
        (
            ["2022-07-01,2022-07-03,4,,1", "2022-07-02,2022-07-04,4,,1"],
            "row 2: starts at .* before the event of row 1 ends",
        ),
        (["monday,2022-07-02,4,,1"], "row 1: 'monday' is not a time"),
        ([], "holds no event"),
    ],
)
def test_what_is_no_event_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(traces.TraceError, match=message):
        events(tmp_path, *rows)


def test_the_command_shows_them_and_refuses_a_file_without_budgets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events(tmp_path, "2022-07-01T12:00:00Z,2022-07-01T13:30:00Z,40,,2")
    assert main(["traces", "info", f"csv-grid-events:{tmp_path}/e.csv?power_kw=kw"]) == 0
    assert "1, 1.5 h together" in capsys.readouterr().out
    assert main(["traces", "info", f"csv-grid-events:{tmp_path}/e.csv"]) == 2
    assert "name the column of the budgets" in capsys.readouterr().err


def test_another_separator_is_found(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("\ufeffstart;end;kw\r\n2022-07-01T10:00:00Z;2022-07-01T12:00:00Z;40\r\n")
    events = traces.load_grid_events(f"csv-grid-events:{path}?power_kw=kw")
    assert events.power_kw.tolist() == [40.0]
