"""Who used what of a run, by name: the rows of jobs, the sums of users, groups and pools, the file and the table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import autoscaler
from autoscaler.cli import main
from autoscaler.simulation import Simulation
from autoscaler.usage import NamedUsage
from configs.files import OutputFileError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.simulator import USAGE_COLUMNS
from tests.envs.gpu_cluster.builders import make_trace

TRACE = "synthetic:quickstart?days=1&seed=0"
POOLS = ClusterConfig(
    (
        PoolConfig("old", max_nodes=1, min_nodes=1, gpu_model="T4"),
        PoolConfig("new", max_nodes=1, min_nodes=1, gpu_model="V100"),
        PoolConfig("spare", max_nodes=1, min_nodes=1, gpu_model="A100"),
    )
)
JOBS = make_trace(
    [(0.0, 60.0, 2.0), (0.0, 600.0, 8.0), (5.0, 60.0, 1.0), (5.0, 60.0, 1.0)],
    [["T4"], ["V100"], ["T4"], ["T4"]],
    job_id=["a", "b", "c", "d"],
    user=["ada", "bob", "ada", None],
)


@pytest.fixture(scope="module")
def done() -> Simulation:
    return autoscaler.simulate("reactive", JOBS, cluster=POOLS, usage=True)


@pytest.fixture(scope="module")
def usage(done: Simulation) -> NamedUsage:
    assert done.usage is not None
    return done.usage


def test_there_is_a_row_for_each_job_and_one_for_the_pool_without_any(usage: NamedUsage) -> None:
    rows = usage.jobs.to_pylist()
    assert [(row["trace_row"], row["job_id"], row["user"], row["group"], row["pools"]) for row in rows] == [
        (0, "a", "ada", None, "old"),
        (1, "b", "bob", None, "new"),
        (2, "c", "ada", None, "old"),
        (3, "d", None, None, "old"),
        (None, None, None, None, "spare"),
    ]
    assert rows[1]["gpu_hours"] == pytest.approx(8 / 6)
    assert usage.unattributed == {name: rows[4][name] for name in USAGE_COLUMNS}


def test_users_groups_and_pools_sum_to_the_run(done: Simulation, usage: NamedUsage) -> None:
    assert [row["user"] for row in usage.by_user] == ["bob", "ada", None]
    assert [row["group"] for row in usage.by_group] == [None]
    assert [row["pool"] for row in usage.by_pool] == ["old", "new", "spare"]
    for column, measure in (("kwh", "energy_kwh.total"), ("total_usd", "objective_usd")):
        for rows in (usage.by_user, usage.by_group):
            whole = sum(row[column] for row in rows) + usage.unattributed[column]
            assert whole == pytest.approx(done.measures[measure], rel=1e-9)
        assert sum(row[column] for row in usage.by_pool) == pytest.approx(done.measures[measure], rel=1e-9)
        assert pc.sum(usage.jobs[column]).as_py() == pytest.approx(done.measures[measure], rel=1e-9)


def test_the_table_shows_users_or_what_is_known_instead(usage: NamedUsage) -> None:
    table = usage.table()
    assert table.title == "energy by user, the most 3 of 3"
    assert [row[0] for row in table.rows] == ["bob", "ada", "not known"]
    pools = replace(usage, by_user=[{**usage.by_user[0], "user": None}]).table()
    assert pools.header[0] == "pool"
    assert {row[0] for row in pools.rows} == {"old", "new", "spare"}
    many = replace(usage, by_user=[{**usage.by_user[0], "user": str(index)} for index in range(12)]).table()
    assert (many.title, len(many.rows)) == ("energy by user, the most 10 of 12", 10)


def test_nothing_is_attributed_where_nobody_asks() -> None:
    plain = autoscaler.simulate("reactive", JOBS, cluster=POOLS)
    assert plain.usage is None
    assert "usage" not in plain.document()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command_writes_the_rows_and_prints_a_table(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, document = tmp_path / f"usage{suffix}", tmp_path / "run.json"
    arguments = ["simulate", "--trace", TRACE, "--quiet", "--usage", str(path), "--json", str(document)]
    assert main(arguments) == 0
    assert "energy by " in capsys.readouterr().out
    table = csv.read_csv(path) if suffix == ".csv" else pq.read_table(path)
    result: dict[str, Any] = json.loads(document.read_text())
    assert table.column_names == ["trace_row", "job_id", "user", "group", "pools", *USAGE_COLUMNS]
    assert pc.sum(table["kwh"]).as_py() == pytest.approx(result["energy_kwh"]["total"], rel=1e-9)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run.json", path.name]


def test_a_file_of_another_kind_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match=r"usage\.xlsx: usage is written as CSV or Parquet; end the name in"):
        autoscaler.simulate("reactive", JOBS, cluster=POOLS, usage=tmp_path / "usage.xlsx")
    assert not list(tmp_path.iterdir())
