"""The table and the queries of a grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoscaler.bench.learning_cost import Assumptions
from autoscaler.bench.picture import draw
from autoscaler.bench.table import bench_table
from autoscaler.cli import main

ROW: dict[str, Any] = {
    "key": "k", "code": "c", "version": 1, "fingerprint": "f", "kind": "rule", "settings": "{}",
    "bound_usd": 100.0, "hours": 24.0, "learning_cpu_seconds": 0.0, "learning_steps": 0,
}  # fmt: skip


def row(scenario: str, policy: str, seed: int, window: int, usd: float, **more: Any) -> dict[str, Any]:
    """One window; 10 kWh for each USD."""
    own = {"scenario": scenario, "policy": policy, "seed": seed, "window": window}
    costs = {"objective_usd": usd, "decidable_usd": usd - 100.0, "energy_kwh_total": 10.0 * usd}
    return {**ROW, **own, **costs, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scenarios of five windows; `learned` closes half of the gap, and has two seeds."""
    rows = []
    for scenario in ("a", "b"):
        for window in range(1, 6):
            rows.append(row(scenario, "reactive-tuned", 0, window, 110.0))
            rows.append(row(scenario, "always-on", 0, window, 150.0))
            rows += [
                row(
                    scenario,
                    "learned",
                    seed,
                    window,
                    105.0,
                    kind="agent",
                    learning_cpu_seconds=7200.0,
                    learning_steps=9,
                )
                for seed in (0, 1)
            ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    return tmp_path


def test_policies_are_compared_with_the_bound_and_the_reference(folder: Path) -> None:
    table = bench_table(folder)
    assert table.reference == "reactive-tuned"
    learned, tuned, always = table.policies
    assert [each.name for each in table.policies] == ["learned", "reactive-tuned", "always-on"]
    assert learned.ratio is not None
    assert learned.ratio.mean == pytest.approx(1.05)
    assert learned.gap_closed is not None
    assert learned.gap_closed.mean == pytest.approx(0.5)
    assert learned.improvement is not None
    assert learned.improvement.mean == 1.0
    assert always.gap_closed is not None
    assert always.gap_closed.mean == pytest.approx(-4.0)
    assert always.improvement is not None
    assert always.improvement.mean == 0.0
    assert tuned.improvement is None
    assert tuned.gap_closed is None
    assert learned.seeds == 2


def test_a_tuned_rule_says_what_was_simulated_and_its_budget_in_all_scenarios(folder: Path) -> None:
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    for each in rows:
        if each["policy"] == "always-on":
            number = 10 if each["scenario"] == "a" else 5
            each["settings"] = json.dumps({"simulated_jobs": number, "budget_jobs": 100})
            each["learning_cpu_seconds"] = 1.0
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    table = bench_table(folder)
    jobs = {each.name: tuple(each.jobs) for each in table.policies}
    assert jobs == {"always-on": (15, 200), "learned": (None, None), "reactive-tuned": (None, None)}
    (shown,) = (each for each in table.tables() if each.title.startswith("learning"))
    assert {cells[0]: cells[-2:] for cells in shown.rows} == {"always-on": ["15", "200"], "learned": ["-", "-"]}
    assert table.document()["policies"]["always-on"]["budget_jobs"] == 200


def test_learning_is_paid_back_by_the_energy_that_it_saves(folder: Path) -> None:
    """2 CPU-hours in each of two scenarios at 10 W are 0.04 kWh; 50 kWh a day are saved in each."""
    learned = bench_table(folder, assumptions=Assumptions(watts_per_core=10.0, grams_per_kwh=500.0)).policies[0]
    assert learned.learning is not None
    assert learned.learning.cpu_hours == pytest.approx(4.0)
    assert learned.learning.kwh == pytest.approx(0.04)
    assert learned.learning.grams == pytest.approx(20.0)
    assert learned.learning.payback_days == pytest.approx(0.0004)
    against = bench_table(folder, reference="learned")
    assert [each.learning for each in against.policies if each.name == "always-on"] == [None]


def test_a_policy_that_uses_more_energy_is_never_paid_back(folder: Path) -> None:
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    rows = [{**each, "energy_kwh_total": 9e9} if each["policy"] == "learned" else each for each in rows]
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    table = bench_table(folder)
    assert table.policies[0].learning is not None
    assert table.policies[0].learning.payback_days == float("inf")
    assert "never" in table.tables()[-1].rows[0][-3]


def test_a_scenario_without_a_bound_counts_for_the_improvement_only(folder: Path) -> None:
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    rows = [{**each, "bound_usd": None, "decidable_usd": None} if each["scenario"] == "b" else each for each in rows]
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    learned = bench_table(folder).policies[0]
    assert learned.ratio is not None
    assert learned.ratio.mean == pytest.approx(1.05)
    assert learned.improvement is not None
    assert learned.improvement.mean == 1.0


def changed(folder: Path, scenario: str, **values: Any) -> list[dict[str, Any]]:
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    rows = [{**each, **values} if each["scenario"] == scenario else each for each in rows]
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    return rows


def test_a_bound_below_zero_has_no_ratio_and_counts_for_the_gap(folder: Path) -> None:
    changed(folder, "b", bound_usd=-5.0)
    learned = bench_table(folder).policies[0]
    assert learned.ratio is not None
    assert learned.ratio.mean == pytest.approx(1.05)
    assert learned.gap_closed is not None
    assert learned.gap_closed.mean == pytest.approx(0.5)
    entry = bench_table(folder).document()["policies"]["learned"]["scenarios"]["b"]
    assert (entry["ratio"], entry["gap_closed"]) == (None, pytest.approx(0.5))


def test_a_policy_that_ran_in_one_scenario_stands_below_those_that_ran_in_all(folder: Path) -> None:
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    rows += [row("a", "once", 0, window, 100.5) for window in range(1, 6)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    assert [each.name for each in bench_table(folder).policies] == ["learned", "reactive-tuned", "always-on", "once"]


def test_the_command_prints_all_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "table", "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    for words in ("2 scenarios, best first", "USD of a window", "12 W per core", "1.050 [1.050, 1.050]", "reference"):
        assert words in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "table", "c"], "has no results of 'c'"),
        (["bench", "table", "--reference", "learnt"], "did you mean 'learned'"),
        (["results", "select polizy from results"], "polizy"),
        (["results", "selekt"], "the table is `results`"),
    ],
)
def test_bad_questions_are_one_line(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(folder)]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("command", [["bench", "table"], ["results", "select 1"]])
def test_without_results_the_command_that_makes_them_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "autoscaler bench run --out" in capsys.readouterr().err


def test_results_answer_sql(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select policy, round(avg(objective_usd / bound_usd), 4) as ratio from results group by policy order by ratio"
    assert main(["results", sql, "--out", str(folder), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["columns"] == ["policy", "ratio"]
    assert document["rows"] == [["learned", 1.05], ["reactive-tuned", 1.1], ["always-on", 1.5]]
    assert main(["results", sql, "--out", str(folder)]) == 0
    assert "always-on" in capsys.readouterr().out


def test_many_columns_are_shown_below_each_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = ", ".join(f"{number} as c{number}" for number in range(20))
    assert main(["results", f"select policy, {wide} from results", "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "40 rows, the first 4 are here" in printed
    assert "c19" in printed


def test_the_picture_shows_the_gap_of_each_scenario(folder: Path, tmp_path: Path) -> None:
    axes = draw(bench_table(folder)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a"]
    places = sorted(float(line.get_xdata()[0]) for line in axes.lines[1:])
    assert places == pytest.approx([-0.3, -0.3, 0.0, 0.0, 0.3, 0.3])  # -400 % and 50 % are beyond the axis
    for name in ("suite.png", "suite.svg"):
        assert main(["bench", "table", "--out", str(folder), "--figure", str(tmp_path / name)]) == 0
    first = (tmp_path / "suite.svg").read_bytes()
    assert main(["bench", "table", "--out", str(folder), "--figure", str(tmp_path / "suite.svg")]) == 0
    assert (tmp_path / "suite.svg").read_bytes() == first


def test_a_picture_needs_somebody_to_be_compared_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [each for each in pq.read_table(folder / "results.parquet").to_pylist() if each["policy"] == "always-on"]
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    assert main(["bench", "table", "--out", str(folder), "--figure", str(folder / "x.png")]) == 2
    assert "nothing can be drawn" in capsys.readouterr().err
    assert not (folder / "x.png").exists()
    assert main(["bench", "table", "--out", str(folder), "--figure", str(folder / "x.pdf")]) == 2
