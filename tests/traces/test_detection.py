"""Formats are found, and files of a folder are merged."""

import json
import random
from pathlib import Path

import pytest

import traces
from autoscaler.cli import main
from tests.traces.formats import (
    test_acme,
    test_alibaba_spot,
    test_helios,
    test_kubernetes,
    test_lingjun,
    test_openb,
    test_pai,
    test_philly_json,
    test_sacct,
    test_swf,
)
from tests.traces.test_inputs import HEADER, TEXT, WAYS, tar, zipped

SAMPLES = {
    "itp": TEXT.decode(),
    "philly": "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:02:00,60.0,2,120.0,11cb48\n",
    "csv": "submit_time_seconds,duration_seconds,gpus\n1,2,3\n",
    "sacct": test_sacct.HEADER + test_sacct.row(),
    "swf": test_swf.HEADER + test_swf.line() * 2,
    "helios": test_helios.HEADER + test_helios.row(),
    "acme": test_acme.SEREN + test_acme.seren(),
    "philly-json": json.dumps([test_philly_json.job(1, test_philly_json.HOUR)]),
    "alibaba-spot": test_alibaba_spot.HEADER + test_alibaba_spot.ROWS.partition("\n")[0],
    "openb": test_openb.HEADER + test_openb.SHARED,
    "kubernetes": json.dumps({"items": [test_kubernetes.pod()], "kind": "List"}),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_is_found_by_what_a_file_holds(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text(SAMPLES[name])
    output = tmp_path / "x.parquet"
    assert main(["traces", "import", f"{tmp_path}/x", "-o", str(output)]) == 0
    assert f"read as {name}:{tmp_path}/x: " in capfd.readouterr().err
    assert traces.load(str(output)).num_jobs == 1 + (name == "itp")


@pytest.mark.parametrize("name", [*WAYS, "x.zip", "x.tar.gz"])
def test_every_format_is_found_and_read_in_everything_that_files_come_in(tmp_path: Path, name: str) -> None:
    for form, text in SAMPLES.items():
        path = tmp_path / form / name
        path.parent.mkdir()
        if name in WAYS:
            path.write_bytes(WAYS[name](text.encode()))
        else:
            (zipped if name == "x.zip" else tar)(path, {"data/x": text.encode()})
        uri, _ = traces.find_uri(str(path))
        assert uri == f"{form}:{path}"
        assert traces.load(uri).num_jobs == 1 + (form == "itp")


def test_tables_are_found_in_a_folder_and_in_an_archive(tmp_path: Path) -> None:
    for form in ("pai", "lingjun"):
        folder = tmp_path / form
        folder.mkdir()
        if form == "pai":
            test_pai.folder(folder, test_pai.task("j1"), job=test_pai.JOBS)
        else:
            test_lingjun.load(folder, [test_lingjun.job("a")], [test_lingjun.worker("a", 0)])
            (folder / "topo.csv").write_text("ip,DSW,PSW,ASW\na,G6,P10,S2\n")
        members = {f"data/{each.name}": each.read_bytes() for each in folder.iterdir()}
        for path in (folder, zipped(tmp_path / f"{form}.zip", members), tar(tmp_path / f"{form}.tar.gz", members)):
            uri, _ = traces.find_uri(str(path))
            assert uri == f"{form}:{path}"
            assert traces.load(uri).num_jobs == 1
    reason = traces.find_uri(str(tmp_path / "pai"))[1]
    assert reason == "pai_task_table.csv: it is named pai_task_table.csv"


def test_what_is_no_trace_of_jobs_is_found_and_shown_and_not_imported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,m,4,5,9,API\n")
    assert main(["traces", "info", f"{tmp_path}/x"]) == 0
    assert f"read as burstgpt:{tmp_path}/x: its columns are Timestamp" in capfd.readouterr().err
    assert main(["traces", "import", f"{tmp_path}/x", "-o", f"{tmp_path}/x.parquet"]) == 2
    assert "burstgpt is a format of invocations, not of jobs" in capfd.readouterr().err
    for form, text in {
        "lingjun-nodes": "ip,DSW,PSW,ASW\n",
        "openb-nodes": "sn,cpu_milli,memory_mib,gpu,model\n",
        "alibaba-spot-nodes": "gpu_model,gpu_capacity_num,cpu_num,node_name\n",
        "infinitehbd": '[{"event_type": "fault_start"}]',
        "azure-llm": "TIMESTAMP,ContextTokens,GeneratedTokens\n",
    }.items():
        (tmp_path / "x").write_text(text)
        assert traces.find_uri(f"{tmp_path}/x")[0] == f"{form}:{tmp_path}/x"


def test_options_stay_and_a_uri_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(TEXT)
    assert traces.find_uri(f"{tmp_path}/x.csv?limit=1")[0] == f"itp:{tmp_path}/x.csv?limit=1"
    assert traces.find_uri("synthetic:steady") == ("synthetic:steady", "")


def test_what_is_of_no_format_or_of_several_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(traces.TraceURIError, match="is of no format that is known"):
        traces.find_uri(f"{tmp_path}/a.csv")
    (tmp_path / "b.csv").write_text(
        "job_id,submission_time,duration,num_gpu,submit_time_seconds,duration_seconds,gpus\n"
    )
    with pytest.raises(
        traces.TraceURIError, match=r"may be csv \(its columns are .*, itp \(.*; write which, such as csv:"
    ):
        traces.find_uri(f"{tmp_path}/b.csv")
    with pytest.raises(traces.TraceURIError, match="does not say its format"):
        traces.find_uri(f"{tmp_path}/nowhere.csv")


def test_the_files_of_a_folder_are_one_trace_in_whatever_order_they_were_written(tmp_path: Path) -> None:
    files = {f"cluster{number}.csv": f"{HEADER}a,{number},600,1\nb,30,600,{number + 1}\n" for number in range(4)}
    tables = []
    for order in (1, 2):
        folder = tmp_path / str(order)
        folder.mkdir()
        for name in random.Random(order).sample(sorted(files), 4):
            (folder / name).write_text(files[name])
        (folder / "README.md").write_text("about")
        tables.append(traces.load(f"itp:{folder}").table)
    assert tables[0].equals(tables[1])
    assert tables[0]["job_id"].to_pylist()[:2] == ["cluster0/a", "cluster1/a"]
    assert set(tables[0]["group"].to_pylist()) == {f"cluster{number}" for number in range(4)}
    zipped(tmp_path / "x.zip", {name: text.encode() for name, text in files.items()})
    assert traces.load(f"itp:{tmp_path}/x.zip").table.equals(tables[0])
    assert traces.load(f"itp:{tmp_path}/1?files=cluster[12]").num_jobs == 4


def test_parts_with_dates_are_put_on_one_clock(tmp_path: Path) -> None:
    for day in (9, 10):
        (tmp_path / f"{day}.csv").write_text(SAMPLES["philly"].replace("10-09", f"10-{day:02}"))
    trace = traces.load(f"philly:{tmp_path}")
    assert trace.submit_time_seconds.tolist() == [0, 86_400]
