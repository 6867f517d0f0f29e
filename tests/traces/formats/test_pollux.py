"""Workloads of Pollux and Sia: run times follow from measured trainings."""

from pathlib import Path

import pytest

import traces

LIST = "name,time,application,num_replicas,batch_size\n"


@pytest.fixture
def measured(tmp_path: Path) -> str:
    """One application: 1,000 iterations at a batch of 100, 250 at 400; 10 steps/s, on one GPU and on two."""
    app = tmp_path / "measured" / "cifar10"
    app.mkdir(parents=True)
    (app / "placements.csv").write_text("placement,local_bsz,step_time,sync_time\n1,100,0.1,0\n2,50,0.1,0\n11,50,9,0\n")
    (app / "scalability.csv").write_text("num_nodes,num_replicas,local_bsz,step_time,sync_time\n1,1,100,0.1,0\n")
    for batch, iterations in ((100, 1000), (400, 250)):
        (app / f"validation-{batch}.csv").write_text(f"progress,iteration,metric\n1,5,0.1\n2,{iterations},0.9\n")
    return str(tmp_path / "measured")


def load(tmp_path: Path, rows: str, measured: str, options: str = "") -> traces.Trace:
    (tmp_path / "workload.csv").write_text(LIST + rows)
    return traces.load(f"pollux:{tmp_path}/workload.csv?measured={measured}{options}")


def test_a_run_time_is_that_of_the_measured_training(tmp_path: Path, measured: str) -> None:
    rows = "a,5,cifar10,1,100\nb,6,cifar10,2,100\nc,7,cifar10,1,200\nd,8,cifar10,1,0\ne,9,cifar10,1,800\n"
    trace = load(tmp_path, rows, measured)
    # 1,000 steps of 0.1 s; two GPUs with 50 each; 500 steps of 200 at 1,000 samples/s; the smallest batch; 250 of 800.
    assert trace.duration_seconds.tolist() == pytest.approx([100.0, 100.0, 100.0, 100.0, 200.0])
    assert trace.table["workload"].to_pylist() == ["resnet18"] * 5
    assert trace.submit_time_seconds.tolist() == [5.0, 6.0, 7.0, 8.0, 9.0]


def test_jobs_are_elastic_up_to_what_was_measured(tmp_path: Path, measured: str) -> None:
    trace = load(tmp_path, "a,5,cifar10,1,100\n", measured)
    assert (trace.table["min_gpus"].to_pylist(), trace.table["max_gpus"].to_pylist()) == ([1], [2])
    rigid = load(tmp_path, "a,5,cifar10,1,100\n", measured, "&elastic_jobs=false")
    assert rigid.table["min_gpus"].null_count == 1


def test_what_was_not_measured_is_left_out_and_counted(tmp_path: Path, measured: str) -> None:
    rows = "a,5,cifar10,1,100\nb,5,cifar10,3,100\nc,5,bert,1,12\n"
    trace = load(tmp_path, rows, measured)
    assert trace.num_jobs == 1
    assert dict(trace.metadata.dropped) == {"its application was not measured on so many GPUs": 2}


def test_without_measurements_it_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(LIST + "a,5,cifar10,1,100\n")
    with pytest.raises(traces.TraceURIError, match="add \\?measured=FOLDER"):
        traces.load(f"pollux:{tmp_path}/w.csv")


def test_a_folder_without_the_end_of_a_training_is_one_line(tmp_path: Path, measured: str) -> None:
    for file in (Path(measured) / "cifar10").glob("validation-*.csv"):
        file.unlink()
    with pytest.raises(traces.TraceFileError, match=r"has no validation-BATCH\.csv") as caught:
        load(tmp_path, "a,5,cifar10,1,100\n", measured)
    assert "\n" not in str(caught.value)


def test_the_published_measurements_serve_every_application(tmp_path: Path, data_dir: Path) -> None:
    names = ("bert", "cifar10", "deepspeech2", "imagenet", "ncf", "yolov3")
    rows = "".join(
        f"{name},0,{name},{gpus},0\n".replace(f"{name},0", f"{name}-{gpus},0", 1) for name in names for gpus in (1, 4)
    )
    trace = load(tmp_path, rows, f"{data_dir}/elastic/pollux")
    assert trace.num_jobs == 12
    one, four = trace.duration_seconds[::2], trace.duration_seconds[1::2]
    faster = dict(zip(names, one > four, strict=True))
    assert faster == dict.fromkeys(names, True) | {"ncf": False}, "with small batches, ncf is slower on several GPUs"
    assert (one > 60.0).all()
    assert (one < 30 * 86_400.0).all()
