"""Job lists of simulators: Tiresias, Muri, Gavel."""

import json
from pathlib import Path

import pytest

import traces

HEADER = "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n"


def test_tiresias_counts_seconds_and_muri_milliseconds(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(HEADER + "7,4,1000,500,vgg16,60000,30\n")
    for name, scale in (("tiresias", 1), ("muri", 1000)):
        trace = traces.load(f"{name}:{tmp_path}/x.csv")
        assert trace.submit_time_seconds.tolist() == [1000 / scale]
        assert trace.duration_seconds.tolist() == [60_000 / scale]
        assert trace.gpu_milli.tolist() == [4000]
        assert trace.table["workload"].to_pylist() == ["vgg16"]
    with pytest.raises(traces.TraceURIError, match=r"may be muri \(.*, tiresias \("):
        traces.find_uri(f"{tmp_path}/x.csv")


NEW = "ResNet-50 (batch size 64)\tpython3 main.py --a %s/b\tcv\t--num_steps\t1\t7200\t2\t5.0\t-1.0\t30.5\n"
OLD = "ResNet-50 (batch size 64)\tpython3 main.py --a %s/b\t--num_steps\t1\t7200\t30.5\t2\n"


@pytest.fixture
def speeds(tmp_path: Path) -> str:
    key = "('ResNet-50 (batch size 64)', 2)"
    document = {"v100": {key: {"null": 2.0, "other": [1, 1]}}, "k80": {key: {"null": 0.5}}, "p100": {}}
    (tmp_path / "speeds.json").write_text(json.dumps(document))
    return f"{tmp_path}/speeds.json"


@pytest.mark.parametrize("row", [NEW, OLD])
def test_gavel_has_ten_fields_or_seven(tmp_path: Path, speeds: str, row: str) -> None:
    (tmp_path / "x.trace").write_text(row)
    trace = traces.load(f"gavel:{tmp_path}/x.trace?throughputs={speeds}")
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {
        "job_id": "job-1",
        "submit_time_seconds": 30.5,
        "duration_seconds": 3600.0,
        "gpu_milli": 2000,
        "workload": "resnet50",
        **({"priority": 5} if row == NEW else {}),
    }
    slow = traces.load(f"gavel:{tmp_path}/x.trace?throughputs={speeds}&gpu=k80")
    assert slow.duration_seconds.tolist() == [14_400]
    assert traces.find_uri(f"{tmp_path}/x.trace")[0] == f"gavel:{tmp_path}/x.trace"


def test_gavel_needs_throughputs_and_counts_jobs_that_have_none(tmp_path: Path, speeds: str) -> None:
    (tmp_path / "x.trace").write_text(NEW + NEW.replace("ResNet-50", "A3C"))
    with pytest.raises(traces.TraceURIError, match="holds steps and no run times; add"):
        traces.load(f"gavel:{tmp_path}/x.trace")
    trace = traces.load(f"gavel:{tmp_path}/x.trace?throughputs={speeds}")
    assert trace.metadata.dropped == {"its job_type and scale_factor were not measured on v100": 1}
    (tmp_path / "y.trace").write_text("a\tb\n")
    with pytest.raises(traces.TraceFileError, match="its first row has 2 fields, not 10 or 7"):
        traces.load(f"gavel:{tmp_path}/y.trace?throughputs={speeds}")


def test_gavel_reads_its_published_throughputs(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "x.trace").write_text(NEW)
    path = data_dir / "elastic" / "gavel" / "simulation_throughputs.json.gz"
    assert 60 < traces.load(f"gavel:{tmp_path}/x.trace?throughputs={path}").duration_seconds[0] < 7200
