"""Alibaba PAI 2020."""

import io
import tarfile
from datetime import datetime
from pathlib import Path

import pytest

import traces

HOUR = 3600
JOBS = "j1,i1,u1,Terminated,{0}.0,{1}.0\nj2,i2,u2,Failed,{0}.0,{1}.0\n".format(100 * HOUR, 103 * HOUR)


def task(
    job: str,
    *,
    count: str = "1",
    start: float = 101 * HOUR,
    end: float = 102 * HOUR,
    gpu: str = "100",
    kind: str = "V100",
) -> str:
    times = f"{start or ''},{end or ''}"
    return f"{job},worker,{count},Terminated,{times},600.0,29.3,{gpu},{kind}\n"


def folder(tmp_path: Path, tasks: str, **tables: str) -> Path:
    (tmp_path / "pai_task_table.csv").write_text(tasks)
    (tmp_path / "pai_task_table.header").write_text("job_name,task_name\n")
    for name, text in tables.items():
        (tmp_path / f"pai_{name}_table.csv").write_text(text)
    return tmp_path


def load(path: Path, query: str = "") -> traces.Trace:
    return traces.load(f"pai:{path}{query}")


def test_percent_of_a_gang_become_gpus_and_cores(tmp_path: Path) -> None:
    trace = load(folder(tmp_path, task("j1", count="4.0", gpu="200"), job=JOBS))
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {
        "job_id": "j1/worker",
        "submit_time_seconds": 0.0,
        "duration_seconds": 3600.0,
        "gpu_milli": 8000,
        "user": "u1",
        "gpu_models": ["V100"],
        "cpu_milli": 24_000,
        "memory_mib": 120_013,
        "status": "Terminated",
    }


def test_hour_and_weekday_are_those_of_shanghai(tmp_path: Path) -> None:
    assert load(folder(tmp_path, task("j1"), job=JOBS)).metadata.start_time == datetime.fromisoformat(
        "1970-01-05T12:00"
    )


def test_half_a_gpu_is_a_share_and_workers_that_share_gpus_are_split_rounded_or_dropped(tmp_path: Path) -> None:
    path = folder(tmp_path, task("j1", gpu="50.0") + task("j2", count="3", gpu="50"))
    trace = load(path)
    assert trace.gpu_milli.tolist() == [500] * 4
    assert trace.table["job_id"].to_pylist() == ["j1/worker", *(f"j2/worker/{number}" for number in range(3))]
    assert trace.table["cpu_milli"].to_pylist() == [6000] * 4
    assert load(path, "?gangs=round").gpu_milli.tolist() == [500, 2000]
    dropped = load(path, "?gangs=drop")
    assert dropped.gpu_milli.tolist() == [500]
    assert sum(dropped.metadata.dropped.values()) == 1


def test_a_time_of_0_or_none_is_unknown(tmp_path: Path) -> None:
    tasks = task("j1") + task("j2", start=0) + task("j3", end=0) + task("j4", gpu="", kind="CPU") + task("j5", gpu="0")
    tasks += "j6,worker,1,Waiting,0.0,0.0,600,29,100,MISC\n"
    trace = load(folder(tmp_path, tasks))
    assert trace.table["job_id"].to_pylist() == ["j1/worker"]
    assert trace.metadata.dropped == {
        "it requests no GPU": 2,
        "it never ran": 2,
        "it still ran at the end of the collection": 1,
    }


def test_misc_is_any_model_and_groups_say_more(tmp_path: Path) -> None:
    path = folder(tmp_path, task("j1", kind="MISC") + task("j2", kind="MISC"), job=JOBS)
    (path / "pai_group_tag_table.csv").write_text("i1,u1,V100M32,g,bert\n")
    trace = load(path)
    assert trace.table["gpu_models"].to_pylist() == [["V100M32"], None]
    assert trace.table["workload"].to_pylist() == ["bert", None]


def test_a_job_runs_from_its_first_instance_to_its_last(tmp_path: Path) -> None:
    instances = "".join(
        f"j1,worker,n{number},w,i1,Terminated,{start},{end},m1\n"
        for number, (start, end) in enumerate([(365_000.5, 367_000), (364_000, 366_000), (0, 0), ("", "")])
    )
    trace = load(folder(tmp_path, task("j1", count="2"), job=JOBS, instance=instances))
    assert trace.duration_seconds.tolist() == [3000]


def test_the_tables_may_be_archives_as_released(tmp_path: Path) -> None:
    for name, text in (("pai_task_table", task("j1")), ("pai_job_table", JOBS)):
        with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
            item = tarfile.TarInfo(f"{name}.csv")
            item.size = len(text)
            archive.addfile(item, io.BytesIO(text.encode()))
    assert load(tmp_path).table["user"].to_pylist() == ["u1"]
    with pytest.raises(traces.TraceFileError, match="has no pai_task_table"):
        load(tmp_path / "pai_job_table.tar.gz")


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    good = "".join(task(f"j{number}") for number in range(6))
    bad = task("x1", count="0") + task("x2", count="2.5") + task("x3", end=100 * HOUR) + task("j1")
    assert load(folder(tmp_path, good + bad)).metadata.bad_rows == {
        "its inst_num is no number of workers": 2,
        "its job_id is that of an earlier row": 1,
        "its duration_seconds is negative": 1,
    }


LIST = "job_id,num_inst,submit_time,num_cpu,num_gpu,gpu_type,duration,user"


def test_lists_of_the_simulator_count_whole_gpus_of_an_instance(tmp_path: Path) -> None:
    rows = [
        "a,4,100,6.0,0.5,MISC,600,u1",
        "b,1,50,4.0,0.25,T4,0,u2",
        "c,2,60,4.0,0,CPU,9,u2",
        "d,3,70,4.0,0.5,P100,9,u2",
    ]
    path = tmp_path / "pai_job_no_estimate_100K.csv"
    path.write_text("\n".join([LIST, *rows]) + "\n")
    trace = traces.load(f"pai-simulator:{path}?gangs=round")
    assert trace.table["job_id"].to_pylist() == ["b", "d", "a"]
    assert trace.gpu_milli.tolist() == [250, 2000, 2000]
    assert trace.duration_seconds.tolist() == [1, 9, 600]  # a run time of 0 is 1 s
    assert trace.table["cpu_milli"].to_pylist() == [4000, 12_000, 24_000]
    assert trace.table["gpu_models"].to_pylist() == [["T4"], ["P100"], None]
    assert trace.metadata.dropped == {"it requests no GPU": 1}
    assert traces.find_uri(str(path))[0] == f"pai-simulator:{path}"
    assert traces.load(f"pai-simulator:{path}").num_jobs == 5  # d in three instances


def test_lists_of_the_simulator_may_have_estimates(tmp_path: Path) -> None:
    path = tmp_path / "pai_job_duration_estimate_100K.csv"
    path.write_text(f"{LIST},user_dur,group_gpu_dur\na,1,0,6,1,T4,600,u,50,70.5\nb,1,9,6,1,T4,600,u,,\n")
    assert traces.load(f"pai-simulator:{path}").table["predicted_duration_seconds"].to_pylist() == [70.5, None]
    by_user = traces.load(f"pai-simulator:{path}?estimates=user_dur").table["predicted_duration_seconds"]
    assert by_user.to_pylist() == [50.0, None]
    path.write_text(f"{LIST}\na,0,0,6,1,T4,600,u\n")
    with pytest.raises(traces.TraceValueError, match="row 1, column num_inst: 0 is no number of workers"):
        traces.load(f"pai-simulator:{path}")


def test_a_negative_request_is_counted_and_none_is_not(tmp_path: Path) -> None:
    tasks = "".join(task(f"j{number}") for number in range(3)) + task("x", gpu="-50.0") + task("y", gpu="0.0")
    trace = load(folder(tmp_path, tasks))
    assert trace.metadata.bad_rows == {"its plan_gpu is negative": 1}
    assert trace.metadata.dropped == {"it requests no GPU": 1}
    with pytest.raises(traces.TraceValueError, match="row 4, column plan_gpu: -50 is negative"):
        load(tmp_path, "?strict=true")


def test_rows_of_instances_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    instances = "j1,worker,n0,w,i1,Terminated,365000,367000,m1\n" + "j1,worker,n1,w,i1,Terminated,soon,367000,m1\n"
    trace = load(folder(tmp_path, task("j1"), job=JOBS, instance=instances))
    assert trace.duration_seconds.tolist() == [2000]
    assert trace.metadata.bad_rows == {"in pai_instance_table its start_time is not a number": 1}
    with pytest.raises(traces.TraceValueError, match=r"pai_instance_table\.csv: row 2, column start_time: 'soon'"):
        load(tmp_path, "?strict=true")


def test_tables_of_windows_with_a_byte_order_mark_are_the_same(tmp_path: Path) -> None:
    expected = load(folder(tmp_path, task("j1") + task("j2"), job=JOBS)).table
    for path in tmp_path.glob("*.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(tmp_path).table.equals(expected)


def test_a_line_of_names_that_somebody_put_into_a_table_is_no_row(tmp_path: Path) -> None:
    names = "job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,plan_mem,plan_gpu,gpu_type\n"
    instances = "job_name,task_name,inst_name,worker_name,inst_id,status,start_time,end_time,machine\n"
    path = folder(
        tmp_path,
        names + task("j1"),
        job="job_name,inst_id,user,status,start_time,end_time\n" + JOBS,
        instance=f"{instances}j1,worker,n,w,i1,Terminated,364000,366000,m1\n",
    )
    trace = load(path, "?strict=true")
    assert trace.metadata.bad_rows == {}
    assert trace.duration_seconds.tolist() == [2000]
