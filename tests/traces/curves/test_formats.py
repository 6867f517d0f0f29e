"""Loaders of the original files: small samples by hand, and the real files where they are."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from traces import TraceFileError, TraceValueError
from traces.curves import ScalingCurve, derive, load_power_caps, load_scaling, load_speeds, load_spread
from traces.curves.presets import ELASTICFLOW, GAVEL, POLLUX, ZEUS

NAN = float("nan")
JOB = "('ResNet-50 (batch size {})', {})"
ZEUS_HEADER = "dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power\n"


def gavel(tmp_path: Path, document: object) -> str:
    path = tmp_path / "throughputs.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    return f"gavel:{path}"


def test_gavel_is_the_median_over_batches_of_jobs_alone_on_one_gpu(tmp_path: Path) -> None:
    small, large, failed, gang = JOB.format(16, 1), JOB.format(64, 1), JOB.format(128, 1), JOB.format(16, 2)
    document = {
        "k80": {small: {"null": 1.0, large: [0.5, 0.5]}, large: {"null": 3.0}, failed: {"null": 0.0}},
        "p100": {small: {"null": 5.0}, large: {"null": 5.0}, failed: {"null": 5.0}, gang: {"null": 99.0}},
        "v100": {small: {"null": 10.0}, large: {"null": 10.0}, failed: {"null": 10.0}, gang: {"null": 99.0}},
        "k80_unconsolidated": {},
    }
    table = load_speeds(gavel(tmp_path, document))
    assert table.workloads == ("resnet50",)
    assert table.gpu_models == ("K80", "P100", "V100")
    assert table.relative_speed.tolist() == [[0.2, 0.5, 1.0]]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "is no object of GPU models"),
        ({"v100": {}}, "has no job on one GPU under v100"),
        ({"v100": {"ResNet": {"null": 1.0}}}, "'ResNet' is no job such as"),
        ({"v100": {JOB.format(1, 1): {"null": "fast"}}}, "'fast' is no number of iterations per second"),
        ({"v100": {JOB.format(1, 1): {"null": -1}}}, "-1 is no number"),
    ],
)
def test_another_document_is_one_clear_error(tmp_path: Path, document: object, message: str) -> None:
    with pytest.raises(TraceValueError, match=message):
        load_speeds(gavel(tmp_path, document))


@pytest.mark.parametrize("content", [b"", b"{", b"\x1f\x8b broken", gzip.compress(b"{}", mtime=0)[:-4]])
def test_a_damaged_document_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(TraceFileError, match="is damaged or not JSON"):
        load_speeds(f"gavel:{tmp_path}/x.json")


def test_elasticflow_takes_one_batch_and_leaves_gaps(tmp_path: Path) -> None:
    (tmp_path / "vgg16.csv").write_text("global_batch_size,1,2,4\n64,10,15,16\n256,2,4,7\n")
    (tmp_path / "imagenet.csv").write_text("global_batch_size,1,2,4\n64,10,0,nan\n")
    table = load_scaling(f"elasticflow:{tmp_path}")
    assert (table.workloads, table.gpus) == (("resnet50", "vgg16"), (1, 2, 4))
    np.testing.assert_array_equal(table.speedup, [[1, NAN, NAN], [1, 2, 3.5]])
    smallest = load_scaling(f"elasticflow:{tmp_path}?batch=smallest")
    np.testing.assert_array_equal(smallest.speedup[1], [1, 1.5, 1.6])


def test_elasticflow_needs_one_gpu_and_numbers(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=r"has no \.csv file"):
        load_scaling(f"elasticflow:{tmp_path}")
    (tmp_path / "a.csv").write_text("global_batch_size,1,2\n64,0,15\n")
    with pytest.raises(TraceValueError, match=r"a\.csv: has no throughput on 1 GPU"):
        load_scaling(f"elasticflow:{tmp_path}")
    (tmp_path / "a.csv").write_text("global_batch_size,one\n64,0\n")
    with pytest.raises(TraceValueError, match="column 'one' is no number of GPUs"):
        load_scaling(f"elasticflow:{tmp_path}")
    (tmp_path / "a.csv").write_text("global_batch_size,1\n64,fast\n")
    with pytest.raises(TraceValueError, match="row 1, column 1: 'fast' is not a number"):
        load_scaling(f"elasticflow:{tmp_path}")


def pollux(tmp_path: Path, placements: str, scalability: str = "") -> str:
    (tmp_path / "cifar10").mkdir(exist_ok=True)
    (tmp_path / "cifar10" / "placements.csv").write_text("placement,local_bsz,step_time,sync_time\n" + placements)
    (tmp_path / "cifar10" / "scalability.csv").write_text(
        "num_nodes,num_replicas,local_bsz,step_time,sync_time\n" + scalability
    )
    return f"pollux:{tmp_path}"


def test_pollux_compares_the_same_gpus_and_batch(tmp_path: Path) -> None:
    uri = pollux(tmp_path, "2,8,1.0,0\n11,8,2.0,0\n2,16,1.0,0\n11,16,4.0,0\n1,8,0.5,0\n33,8,9.0,0\n", "")
    table = load_spread(uri)
    assert (table.workloads, table.nodes) == (("resnet18",), (1, 2, 3, 4))
    np.testing.assert_array_equal(table.relative_speed, [[1, 0.375, NAN, NAN]])


def test_pollux_scales_on_as_few_nodes_as_possible(tmp_path: Path) -> None:
    uri = pollux(tmp_path, "1,8,1.0,0\n2,8,1.0,0\n11,8,9.0,0\n34,8,1.0,0\n", "6,24,8,2.0,0\n8,24,8,1.0,0\n")
    table = load_scaling(uri)
    assert table.gpus == (1, 2, 7, 24)
    assert table.speedup.tolist() == [[1.0, 2.0, 7.0, 12.0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,8,1.0,0\n1x,8,1.0,0\n", "row 2, column placement: '1x' is no placement"),
        ("1,8,0,0\n", "row 1, column step_time: 0.0 is zero; step times must be > 0 seconds, so remove the row"),
        ("1,,1.0,0\n", "row 1, column local_bsz: is empty"),
        ("22,8,1.0,0\n", "resnet18 was not measured at 1 node"),
    ],
)
def test_a_bad_cell_of_pollux_is_named(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(TraceValueError, match=message):
        load_spread(pollux(tmp_path, rows))


def test_zeus_compares_the_same_run_at_the_highest_limit(tmp_path: Path) -> None:
    rows = [
        *("imagenet,resnet50,64,sgd,100,20,90", "imagenet,resnet50,64,sgd,200,10,180"),
        *("imagenet,resnet50,128,sgd,100,16,80", "imagenet,resnet50,128,sgd,200,8,200"),
        *("imagenet,resnet50,256,sgd,100,1,1", "squad,bert_base_uncased,8,adamw,200,5,100"),
    ]
    (tmp_path / "x.csv").write_text(ZEUS_HEADER + "\n".join(rows) + "\n")
    table = load_power_caps(f"zeus:{tmp_path}/x.csv?gpu_model=V100")
    assert (table.gpu_model, table.workloads, table.cap_watts) == ("V100", ("bert", "resnet50"), (100, 200))
    np.testing.assert_array_equal(table.relative_speed, [[NAN, 1], [0.5, 1]])
    np.testing.assert_allclose(table.relative_watts, [[NAN, 1], [0.45, 1]])
    (tmp_path / "x.csv").write_text(ZEUS_HEADER + "imagenet,resnet50,64,sgd,100,20,0\n")
    with pytest.raises(TraceValueError, match=r"row 1, column average_power: 0\.0 is no power"):
        load_power_caps(f"zeus:{tmp_path}/x.csv")


def test_the_presets_are_what_the_measurements_give(data_dir: Path) -> None:
    assert derive.speeds(data_dir) == GAVEL
    assert derive.scaling(data_dir) == ELASTICFLOW
    assert derive.spread(data_dir) == POLLUX
    for gpu_model, (limit, speed, watts) in ZEUS.items():
        assert derive.power_caps(data_dir, gpu_model) == (speed, watts), gpu_model
        path = f"{data_dir}/power/zeus/summary_power_{gpu_model.lower()}.csv"
        assert load_power_caps(f"zeus:{path}").cap_watts[-1] == limit


def test_the_fitted_curves_are_within_8_percent_of_every_point(data_dir: Path) -> None:
    table = load_scaling(f"elasticflow:{data_dir}/elastic/elasticflow/throughputs_A100")
    for name, row in zip(table.workloads, table.speedup, strict=True):
        if name in ELASTICFLOW:
            fitted = ScalingCurve(*ELASTICFLOW[name]).speedup(table.gpus)
            assert np.abs(fitted / row - 1).max() < 0.08, name


def test_the_real_files_of_scaling(data_dir: Path) -> None:
    t4 = load_scaling(f"elasticflow:{data_dir}/elastic/elasticflow/throughputs_T4")
    assert t4.workloads == ("bert", "deepspeech2", "ncf", "resnet18", "resnet50", "yolov3")
    weak = load_scaling(f"pollux:{data_dir}/elastic/pollux")
    assert weak.workloads == t4.workloads
    assert weak.gpus[-1] == 64
    assert not np.isnan(weak.speedup).any()
