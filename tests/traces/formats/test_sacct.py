"""Slurm's accounting."""

from datetime import datetime
from pathlib import Path

import pytest

import traces

FIELDS = "JobID|User|Account|Partition|State|Submit|Start|End|ElapsedRaw|Timelimit|NNodes|NCPUS|AllocTRES"
HEADER = f"{FIELDS}|ConsumedEnergyRaw\n"
DAY = "2024-05-01T"
TRES = "billing=16,cpu=16,gres/gpu:a100=4,gres/gpu=4,mem=128G,node=1"


def row(
    name: str = "17",
    state: str = "COMPLETED",
    start: str = f"{DAY}08:10:00",
    end: str = f"{DAY}09:10:00",
    elapsed: str = "3600",
    limit: str = "1-02:03:04",
    nodes: str = "1",
    tres: str = TRES,
    energy: str = "",
) -> str:
    return f"{name}|ann|lab|gpu|{state}|{DAY}08:00:00|{start}|{end}|{elapsed}|{limit}|{nodes}|16|{tres}|{energy}\n"


def load(tmp_path: Path, text: str, query: str = "") -> traces.Trace:
    (tmp_path / "jobs.txt").write_text(text)
    return traces.load(f"sacct:{tmp_path}/jobs.txt{query}")


def only(trace: traces.Trace) -> dict[str, object]:
    (job,) = trace.table.to_pylist()
    return {name: value for name, value in job.items() if value is not None}


def test_a_job_with_all_that_slurm_knows(tmp_path: Path) -> None:
    trace = load(tmp_path, HEADER + row(energy="7200000"))
    assert only(trace) == {
        "job_id": "17",
        "submit_time_seconds": 0.0,
        "duration_seconds": 3600.0,
        "gpu_milli": 4000,
        "user": "ann",
        "group": "lab",
        "gpu_models": ["a100"],
        "cpu_milli": 16_000,
        "memory_mib": 131_072,
        "status": "COMPLETED",
        "predicted_duration_seconds": 93_784.0,
        "energy_kwh": 2.0,
    }
    assert trace.metadata.start_time == datetime.fromisoformat("2024-05-01T08:00")


def test_what_is_no_job_with_gpus_is_dropped_by_reason(tmp_path: Path) -> None:
    rows = [
        row("1"),
        row("1.batch"),
        row("1.0"),
        row("2", tres="cpu=4,mem=4G,node=1"),
        row("3", state="PENDING", start="Unknown", end="Unknown", elapsed="0"),
        row("4", state="RUNNING", end="Unknown"),
        row("5", state="CANCELLED by 1000", start="None", end=f"{DAY}09:00:00", elapsed="0"),
        row("6_3", state="CANCELLED by 1000"),
        row("7", elapsed="0"),
        row("8", state="COMPLETED", end="Unknown"),
    ]
    trace = load(tmp_path, HEADER + "".join(rows))
    assert trace.table["job_id"].to_pylist() == ["1", "6_3"]
    assert trace.table["status"].to_pylist() == ["COMPLETED", "CANCELLED"]
    assert trace.metadata.dropped == {
        "it is a step of a job": 2,
        "it requests no GPU": 1,
        "it still ran at the end of the collection": 2,
        "it never ran": 3,
    }
    assert trace.metadata.bad_rows == {}


@pytest.mark.parametrize(
    ("energies", "kwh"),
    [
        (("", "3600000", "", ""), 1.0),
        (("0", "1800000", "900000", "1800000"), 0.75),
        (("", "", "", ""), None),
        (("18446744073709551615", "", "", ""), None),
    ],
)
def test_energy_is_that_of_the_job_or_of_its_steps(
    tmp_path: Path, energies: tuple[str, ...], kwh: float | None
) -> None:
    names = ("17", "17.batch", "17.0", "17.1")
    trace = load(tmp_path, HEADER + "".join(row(name, energy=each) for name, each in zip(names, energies, strict=True)))
    assert trace.table["energy_kwh"].to_pylist() == [kwh]


def test_energy_with_a_unit(tmp_path: Path) -> None:
    text = (HEADER + row(energy="7.2M")).replace("ConsumedEnergyRaw", "ConsumedEnergy")
    assert load(tmp_path, text).table["energy_kwh"].to_pylist() == [2.0]


def test_an_older_gres_counts_one_node(tmp_path: Path) -> None:
    text = HEADER.replace("AllocTRES", "AllocGRES")
    trace = load(tmp_path, text + row("1", nodes="2", tres="gpu:v100:4(S:0-1)") + row("2", nodes="3", tres="gpu"))
    assert trace.gpu_milli.tolist() == [8000, 3000]
    assert trace.table["gpu_models"].to_pylist() == [["v100"], None]


@pytest.mark.parametrize("limit", ["UNLIMITED", "Partition_Limit", ""])
def test_no_time_limit_is_no_estimate(tmp_path: Path, limit: str) -> None:
    assert load(tmp_path, HEADER + row(limit=limit)).table["predicted_duration_seconds"].to_pylist() == [None]


def test_a_line_may_end_in_a_pipe_and_times_may_count_from_1970(tmp_path: Path) -> None:
    """As `sacct -p` and SLURM_TIME_FORMAT=%s write it."""
    text = (HEADER + row(start="1714550400", end="1714554000")).replace(f"{DAY}08:00:00", "1714550000")
    trace = load(tmp_path, text.replace("\n", "|\n"))
    assert trace.metadata.start_time == datetime.fromisoformat("2024-05-01T07:53:20")
    assert trace.duration_seconds.tolist() == [3600]


def test_elapsed_is_read_where_there_is_no_raw_one(tmp_path: Path) -> None:
    text = HEADER.replace("ElapsedRaw", "Elapsed") + row("1", elapsed="2-00:00:01") + row("2", elapsed="05:06")
    assert load(tmp_path, text).duration_seconds.tolist() == [172_801, 306]


def test_a_table_for_humans_is_refused_with_the_command(tmp_path: Path) -> None:
    text = "JobID           JobName  Partition \n------------ ---------- ---------- \n17           train      gpu\n"
    with pytest.raises(traces.TraceValueError, match=r"table for humans.*--parsable2"):
        load(tmp_path, text)
    with pytest.raises(traces.TraceValueError, match="no column AllocTRES, which holds the GPUs"):
        load(tmp_path, "JobID|Submit|Start|End\n")


def test_raw_ids_serve_where_there_are_no_others(tmp_path: Path) -> None:
    trace = load(tmp_path, (HEADER + row("17") + row("17.batch", tres="")).replace("JobID|", "JobIDRaw|"))
    assert trace.table["job_id"].to_pylist() == ["17"]
    assert traces.find_uri(f"{tmp_path}/jobs.txt")[0] == f"sacct:{tmp_path}/jobs.txt"


def test_two_clocks_in_one_file_are_refused_with_the_row(tmp_path: Path) -> None:
    rows = row("1") + row("2").replace(f"{DAY}08:00:00", "1714550000")
    with pytest.raises(traces.TraceValueError, match=r"row 2, column Submit: '1714550000' is in seconds from 1970"):
        load(tmp_path, HEADER + rows)
    rows = row("1") + row("2").replace(f"{DAY}08:00:00", f"{DAY}08:00:00+02:00")
    with pytest.raises(
        traces.TraceValueError, match=r"row 2, column Submit: .* is at \+02:00, those before it are without"
    ):
        load(tmp_path, HEADER + rows)


def test_rows_that_cannot_be_are_counted_by_reason(tmp_path: Path) -> None:
    rows = [
        *(row(str(number)) for number in range(1, 9)),
        row("8"),
        row("9", end="9999-12-31T00:00:00", elapsed=""),
        row("10", end=f"{DAY}07:00:00", elapsed=""),
        row("11", start="soon"),
    ]
    trace = load(tmp_path, HEADER + "".join(rows))
    assert trace.metadata.bad_rows == {
        "its Start is not a time": 1,
        "its JobID is that of an earlier row": 1,
        "its duration_seconds is negative": 1,
        "its duration_seconds is above 4e+09 seconds": 1,
    }
    with pytest.raises(traces.TraceValueError, match="row 12, column Start: is not a time"):
        load(tmp_path, HEADER + "".join(rows), "?strict=true")


def test_the_group_may_be_the_partition(tmp_path: Path) -> None:
    assert load(tmp_path, HEADER + row(), "?group=partition").table["group"].to_pylist() == ["gpu"]


def test_another_separator_is_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text((HEADER + row()).replace("|", ";"))
    assert traces.find_uri(f"{tmp_path}/x")[0] == f"sacct:{tmp_path}/x"
    for query in ("", "?separator=semicolon"):
        assert traces.load(f"sacct:{tmp_path}/x{query}").num_jobs == 1


def test_what_was_requested_counts_only_where_nothing_was_allocated(tmp_path: Path) -> None:
    header = "JobID|Submit|Start|End|ReqTRES|AllocTRES\n"
    times = "2024-05-01T10:00:00|2024-05-01T10:00:00|2024-05-01T11:00:00"
    rows = f"1|{times}|gres/gpu=2|cpu=8,gres/gpu=4\n2|{times}|gres/gpu=2|cpu=8,mem=4G\n3|{times}|gres/gpu=2|\n"
    (tmp_path / "x").write_text(header + rows)
    trace = traces.load(f"sacct:{tmp_path}/x")
    assert dict(zip(trace.table["job_id"].to_pylist(), trace.gpu_milli.tolist(), strict=True)) == {"1": 4000, "3": 2000}
    assert trace.metadata.dropped == {"it requests no GPU": 1}


@pytest.mark.parametrize(
    ("tres", "milli", "models"),
    [
        ("gres/gpu:1g.5gb=1", 143, None),
        ("gres/gpu:a100_3g.20gb=2,gres/gpu=2", 857, None),
        ("gres/gpu=4,gres/gpu:nvidia_a100_2g.10gb=4", 2000, None),
        ("gres/gpu:tesla_v100-sxm2=4", 4000, ["tesla_v100-sxm2"]),
        ("gres/gpu:h100=2,gres/gpu=2", 2000, ["h100"]),
    ],
)
def test_instances_of_mig_are_shares_of_a_gpu(tmp_path: Path, tres: str, milli: int, models: list[str] | None) -> None:
    times = "2024-05-01T10:00:00|2024-05-01T10:00:00|2024-05-01T11:00:00"
    (tmp_path / "x").write_text(f"JobID|Submit|Start|End|AllocTRES\n1|{times}|cpu=8,{tres}\n")
    trace = traces.load(f"sacct:{tmp_path}/x")
    assert (trace.gpu_milli.tolist(), trace.table["gpu_models"].to_pylist()) == ([milli], [models])
