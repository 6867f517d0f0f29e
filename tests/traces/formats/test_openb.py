"""Alibaba's GPU cluster of 2023."""

from pathlib import Path

import pytest

import traces

HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)
SHARED = "shared,6000,12288,1,460,,LS,Running,100,400,150\n"
GANG = "gang,6000,12288,8,1000,V100M16|V100M32|V100M32,BE,Failed,90,190,90\n"
PENDING = "pending,6000,12288,1,1000,T4,LS,Pending,200,294,\n"
CPU = "cpu,6000,12288,0,0,,LS,Running,0,50,0\n"
AT_ONCE = "at-once,6000,12288,1,230,,BE,Pending,300,300,\n"


def load(tmp_path: Path, rows: str, query: str = "") -> traces.Trace:
    (tmp_path / "x.csv").write_text(HEADER + rows)
    return traces.load(f"openb:{tmp_path}/x.csv{query}")


def test_pods_become_jobs(tmp_path: Path) -> None:
    trace = load(tmp_path, SHARED + GANG)
    assert trace.table["job_id"].to_pylist() == ["gang", "shared"]
    assert trace.submit_time_seconds.tolist() == [90, 100]
    assert trace.duration_seconds.tolist() == [100, 250]
    assert trace.gpu_milli.tolist() == [8000, 460]
    assert trace.table["gpu_models"].to_pylist() == [["V100M16", "V100M32"], None]
    assert trace.table["group"].to_pylist() == ["BE", "LS"]
    assert trace.table["cpu_milli"].to_pylist() == [6000, 6000]
    assert trace.table["memory_mib"].to_pylist() == [12_288, 12_288]
    assert trace.metadata.dropped == {}


def test_best_effort_gives_way_and_an_unknown_class_has_no_priority(tmp_path: Path) -> None:
    rows = [
        SHARED.replace("shared", qos).replace(",LS,", f",{qos},") for qos in ("BE", "LS", "Guaranteed", "Burstable")
    ]
    trace = load(tmp_path, "".join(rows) + SHARED.replace(",LS,", ",other,") + PENDING.replace(",LS,", ",,"))
    assert trace.table["priority"].to_pylist() == [0, 1, 1, 1, None, None]
    assert trace.metadata.synthetic_columns == ()


def test_pods_that_are_no_gpu_jobs_are_dropped_and_counted(tmp_path: Path) -> None:
    trace = load(tmp_path, CPU + SHARED + AT_ONCE + CPU.replace("cpu", "cpu2", 1))
    assert trace.table["job_id"].to_pylist() == ["shared"]
    assert trace.metadata.dropped == {"it requests no GPU": 2, "it was deleted in the second of its start": 1}


def test_pending_pods_keep_the_life_they_had_or_are_dropped(tmp_path: Path) -> None:
    assert load(tmp_path, SHARED + PENDING).duration_seconds.tolist() == [250, 94]
    trace = load(tmp_path, SHARED + PENDING, "?pending=drop")
    assert trace.num_jobs == 1
    assert list(trace.metadata.dropped.values()) == [1]


def test_rows_are_counted_in_the_file_also_after_dropped_ones(tmp_path: Path) -> None:
    with pytest.raises(traces.TraceValueError, match=r"row 3, column deletion_time: -50\.0 is negative"):
        load(tmp_path, CPU + SHARED + SHARED.replace("shared", "late").replace("400", "100"), "?strict=true")
    trace = load(tmp_path, CPU + SHARED + SHARED.replace("shared", "late").replace("400", "100"))
    assert trace.metadata.bad_rows == {"its deletion_time is negative": 1}


def test_a_file_of_cpu_pods_only_says_so(tmp_path: Path) -> None:
    with pytest.raises(traces.TraceURIError, match="no job in the file: 1 row dropped because it requests no GPU"):
        load(tmp_path, CPU)


def test_the_real_default_list_accounts_for_all_8152_pods(data_dir: Path) -> None:
    trace = traces.load(f"openb:{data_dir}/traces/openb/openb_pod_list_default.csv.gz")
    assert trace.num_jobs + sum(trace.metadata.dropped.values()) == 8152
    assert sorted(trace.metadata.dropped.values()) == [1, 1088]
    assert trace.table["priority"].null_count == 0
    assert set(trace.priority.tolist()) == {0, 1}
    assert trace.table["gpu_models"].null_count == trace.num_jobs


def test_the_real_list_with_models(data_dir: Path) -> None:
    trace = traces.load(f"openb:{data_dir}/traces/openb/openb_pod_list_gpuspec33.csv.gz?pending=drop")
    models = [spec for spec in trace.table["gpu_models"].to_pylist() if spec]
    assert trace.num_jobs == 6203
    assert {model for spec in models for model in spec} == {"T4", "G2", "G3", "P100", "V100M16", "V100M32", "A10"}
    assert all(len(spec) == len(set(spec)) for spec in models)
