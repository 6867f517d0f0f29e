"""`autoscaler traces` from the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import traces
from autoscaler.cli import main
from autoscaler.trace_page import _figure
from tests.conftest import ROOT


def test_list_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "list"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{item.name} " in f"\n{out}" and item.example in out for item in traces.formats())


def test_list_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "list", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {item["name"] for item in document["formats"]} == {item.name for item in traces.formats()}


def test_generate_import_and_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")
    assert main(["traces", "generate", "quickstart", "--days", "3", "--seed", "0", "-o", first]) == 0
    assert main(["traces", "import", f"{first}?limit=100", "-o", second]) == 0
    assert traces.load(second).num_jobs == 100
    capsys.readouterr()
    assert main(["traces", "info", second, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoscaler.traces.info/1"
    assert document["jobs"] == 100
    assert main(["traces", "info", second]) == 0
    assert "100" in capsys.readouterr().out


def test_info_counts_the_jobs_that_carry_each_optional_fact(capsys: pytest.CaptureFixture[str]) -> None:
    uri = "synthetic:quickstart?days=3&seed=0&limit=100&checkpointable=1&priorities=0:1,5:1"
    assert main(["traces", "info", uri, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["jobs_with"]["checkpoint_interval_seconds"] == document["jobs_with"]["user"] == 100
    assert document["jobs_with"]["deadline_seconds"] == 0
    assert document["synthetic_columns"] == ["priority", "checkpoint_interval_seconds"]
    assert main(["traces", "info", uri]) == 0
    out = capsys.readouterr().out
    assert "100 (100% sampled)" in out
    assert "100 (100%)" in out


def test_the_documentation_names_every_field_of_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "info", "synthetic:quickstart?days=2&seed=0", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8").partition("## `autoscaler.traces.info/1`")[2]
    rows = [line.split(" | ")[0] for line in text.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    named = {name.split(".")[0].removesuffix("[]") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == set(document) - {"schema"}


def test_list_names_the_shared_options_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "list"]) == 0
    out = capsys.readouterr().out
    assert out.count("checkpointable=") == out.count("limit=") == 1


def test_generate_repeats_itself(tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        assert main(["traces", "generate", "bursty", "--days", "1", "--seed", "3", "-q", "-o", str(path)]) == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_info_of_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.csv").write_text(
        "sn,cpu_milli,memory_mib,gpu,model\na,1000,1000,8,[bold]T4\nb,1000,1000,8,[bold]T4\n"
    )
    assert main(["traces", "info", f"openb-nodes:{tmp_path}/n.csv"]) == 0
    assert "[bold]T4" in capsys.readouterr().out
    assert main(["traces", "info", f"openb-nodes:{tmp_path}/n.csv", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kinds"] == [{"gpu_model": "[bold]T4", "gpus_per_node": 8, "nodes": 2}]


def test_import_and_info_tell_what_was_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One damaged byte and a cell too few in one row, which Arrow cannot even report without a traceback."""
    rows = b"job_id,submission_time,duration,num_gpu\n" + b"".join(b"j%d,5,600,1\n" % row for row in range(9))
    (tmp_path / "x.csv").write_bytes(rows + b"j\xff,5,600\nj10,5,NA,1\nj11,5,600,-1\n")
    output = str(tmp_path / "x.parquet")
    assert main(["traces", "import", f"itp:{tmp_path}/x.csv", "-o", output]) == 0
    captured = capfd.readouterr()
    assert "3 rows left out that cannot be used: 1 because it is not UTF-8 text, " in captured.err
    assert captured.err.count("\n") == 2
    assert main(["traces", "info", output, "--json", "-"]) == 0
    assert sum(json.loads(capfd.readouterr().out)["bad_rows"].values()) == 3
    assert main(["traces", "info", output]) == 0
    assert "1 row: its num_gpu is not a number of GPUs" in capfd.readouterr().out
    for arguments in (["import", f"itp:{tmp_path}/x.csv", "-o", output], ["info", f"itp:{tmp_path}/x.csv"]):
        assert main(["traces", *arguments, "--strict"]) == 2
        problem = "row 10: is not UTF-8 text (byte 2 of the line); fix or remove this row"
        assert capfd.readouterr().err == f"error: {tmp_path}/x.csv: {problem}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "itpp:x.csv"], "did you mean 'itp'"),
        (["info", "itp:nowhere.csv"], "nowhere.csv: cannot be read"),
        (["import", "synthetic:steady?days=1", "-o", "x.csv"], "end the name in .parquet"),
        (["import", "synthetic:steady?days=1", "-o", "nowhere/x.parquet"], "nowhere/x.parquet: cannot be written"),
        (["generate", "quikstart", "-o", "x.parquet"], "did you mean 'quickstart'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["traces", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


def test_help_imports_neither_traces_nor_arrow() -> None:
    code = (
        "import sys; from autoscaler.cli import main; main(['traces', '--help']); "
        "print([name for name in ('pyarrow', 'numpy', 'traces') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_signal_is_described_with_the_errors_of_its_forecasts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "info", "synthetic-signal:solar?days=90&seed=1"]) == 0
    shown = capsys.readouterr().out
    assert "carbon of synthetic-solar, gCO2e/kWh, average, location-based" in shown
    assert "ridge forecast" in shown


def test_jobs_are_laid_over_a_signal_by_a_rule_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = "synthetic:quickstart?days=3&seed=0"
    assert main(["traces", "info", jobs, "--signal", "synthetic:solar?start=2022-01-01T00:00", "--json", "-"]) == 0
    alignment = json.loads(capsys.readouterr().out)["alignment"]
    assert alignment["rule"] == "season"
    assert alignment["shift_days"] % 7 == 0
    assert main(["traces", "info", jobs, "--signal", "synthetic:solar?start=2022-01-01T00:00"]) == 0
    assert "rule season, moved by" in " ".join(capsys.readouterr().out.split())
    assert main(["traces", "info", "synthetic-signal:flat", "--signal", "synthetic:flat"]) == 2
    assert "only jobs are laid over a signal" in capsys.readouterr().err


def test_one_page_shows_a_trace_or_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, uri = tmp_path / "trace.html", "synthetic:bursty?days=3&seed=0"
    assert main(["traces", "plot", uri, "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "Run times" in text
    assert "synthetic:bursty?days=3&amp;seed=0" in text
    assert "http" not in text.replace("http-equiv", "")
    assert main(["traces", "plot", uri, "synthetic:itp?days=3&seed=0", "-o", str(page), "-q"]) == 0
    assert "synthetic, model itp" in page.read_text(encoding="utf-8")
    assert "not in the data" not in page.read_text(encoding="utf-8")
    assert main(["traces", "plot", "synthetic:itp?days=3&seed=0", "-o", str(page), "-q"]) == 0
    assert "not in the data" in page.read_text(encoding="utf-8")  # users
    capsys.readouterr()
    assert main(["traces", "plot", f"{uri}&limit=1", "-o", str(page)]) == 2
    assert "a picture needs two at least" in capsys.readouterr().err


def test_strict_is_no_mistake_where_every_bad_value_is_an_error_anyway(tmp_path: Path) -> None:
    output = str(tmp_path / "x.parquet")
    assert main(["traces", "import", "synthetic:steady?days=1&seed=0", "--strict", "-o", output, "-q"]) == 0
    assert main(["traces", "import", output, "--strict", "-o", str(tmp_path / "y.parquet"), "-q"]) == 0
    assert main(["traces", "info", "synthetic-signal:solar?days=2", "--strict"]) == 0


def test_no_path_is_not_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("job_id,submission_time,duration,num_gpu\na,5,600,1\n")
    assert main(["traces", "import", "", "-o", str(tmp_path / "x.parquet")]) == 2
    assert "names no file or preset" in capsys.readouterr().err


def test_a_trace_whose_jobs_all_came_at_once_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("job_id,submission_time,duration,num_gpu\na,5,600,1\nb,5,700,2\n")
    assert main(["traces", "plot", f"itp:{tmp_path}/x.csv", "-o", f"{tmp_path}/x.html"]) == 0
    assert "Run times" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_a_second_trace_that_is_larger_is_shown_whole() -> None:
    traces_of = [traces.load(f"synthetic:steady?days=2&seed=0&jobs_per_day={rate}") for rate in (50, 5000)]
    load = next(axes for axes in _figure(traces_of).axes if axes.get_title() == "Load if nobody waited")
    largest = max(line.get_ydata().max() for line in load.get_lines())
    assert load.get_ylim()[0] == 0 < largest < load.get_ylim()[1]


def test_info_says_what_to_cite_for_a_copy_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").write_text("job_id,submission_time,duration,num_gpu\na,0,600,1\n")
    assert main(["traces", "import", f"itp:{tmp_path}/x.csv", "-q", "-o", f"{tmp_path}/x.parquet"]) == 0
    for uri in (f"itp:{tmp_path}/x.csv", f"{tmp_path}/x.parquet"):
        assert main(["traces", "info", uri]) == 0
        assert "ElasticFlow" in capsys.readouterr().out


def test_info_says_whether_data_are_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").write_text("job_id,submission_time,duration,num_gpu\na,0,600,1\nb,60,700,2\n")
    uri, copy = f"itp:{tmp_path}/x.csv", str(tmp_path / "x.parquet")
    assert main(["traces", "import", f"{uri}?load=2", "-q", "-o", copy]) == 0
    kinds = {uri: "real", f"{uri}?window=0..30": "real", f"{uri}?load=2": "derived", copy: "derived"}
    kinds |= {f"{uri}?elastic=1": "derived", "synthetic:steady?days=1&seed=0": "synthetic"}
    for each, kind in kinds.items():
        assert main(["traces", "info", each, "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind


def test_info_tells_the_load_of_each_gpu_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\na,1000,1000,1,T4\nb,1000,1000,3,A10\n")
    path = str(tmp_path / "x.parquet")
    columns = {"submit_time_seconds": [0.0, 3600.0, 0.0], "duration_seconds": [7200.0, 3600.0, 3600.0]}
    models = [["T4"], ["T4", "A10"], None]
    traces.Trace.from_columns({**columns, "gpu_milli": [1000] * 3, "gpu_models": models}).to_parquet(path)
    assert main(["traces", "info", path, "--nodes", f"openb-nodes:{tmp_path}/n.csv", "--json", "-"]) == 0
    loads = {item["gpu_model"]: item["load"] for item in json.loads(capsys.readouterr().out)["offered_load"]}
    assert loads == {"all": 1.0, "A10": 0.0, "T4": 2.0}
    assert main(["traces", "info", path, "--nodes", f"openb-nodes:{tmp_path}/n.csv"]) == 0
    assert "the queue never drains" in capsys.readouterr().out
    assert main(["traces", "info", f"{path}?map_gpus=T4:T40", "--nodes", f"openb-nodes:{tmp_path}/n.csv"]) == 2
    assert "a job takes only T40, which no node has; did you mean 'T4'" in capsys.readouterr().err


def test_predict_shows_the_errors_of_each_predictor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "predict", "synthetic:quickstart?days=10&seed=0&estimated=1", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["run_times"].keys() == {"one value", "the trace's own", "history", "rolling"}
    assert document["run_times"]["the trace's own"]["median_factor"] == pytest.approx(1.0, abs=0.05)
    arrivals = document["arrivals"]
    assert arrivals["self-exciting"]["rms_error"] < arrivals["as many as yesterday"]["rms_error"]
    assert main(["traces", "predict", "synthetic:quickstart?days=1&seed=0"]) == 0
    out = capsys.readouterr().out
    assert "run time by history" in out
    assert "too few to learn arrivals from" in " ".join(out.split())
