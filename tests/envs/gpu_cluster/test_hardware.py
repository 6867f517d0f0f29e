"""The hardware catalogue: every figure has a source, machines become pools, and cap curves are near measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from autoscaler.cli import main
from configs.loader import build_config
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.hardware import Figure, cap_errors, catalogue, check_caps, find_hardware, hardware_pool
from traces.curves.tables import PowerCapTable

MODELS = {"T4", "V100", "P100", "K80", "A10", "A40", "RTX6000", "A100", "H100", "H200", "B200", "MI300X"}


def test_the_catalogue_has_every_model_and_its_figures_have_sources() -> None:
    gpus = catalogue()
    assert set(gpus) == MODELS
    for gpu in gpus.values():
        assert 0.0 < gpu.idle_watts.value < gpu.busy_watts.value <= 1.05 * gpu.limit_watts.value
        for part in (gpu, *gpu.shapes):
            figures = [value for name in part.__dataclass_fields__ if isinstance(value := getattr(part, name), Figure)]
            assert len(figures) == 4
            assert all(len(figure.source) > 10 for figure in figures)


def test_names_of_machines_are_unique() -> None:
    names = [shape.name for gpu in catalogue().values() for shape in gpu.shapes]
    assert len(set(names)) == len(names)


def test_a_machine_becomes_a_pool() -> None:
    pool = hardware_pool("aws-p3.8xlarge", 5, name="cloud")
    assert (pool.name, pool.max_nodes, pool.gpus_per_node, pool.gpu_model) == ("cloud", 5, 4, "V100")
    assert (pool.power.gpu_idle_watts, pool.power.gpu_busy_watts, pool.power.host_watts) == (34.8, 305.6, 180.0)
    assert pool.usd_per_node_hour == 12.24
    assert pool.embodied_g_per_node_hour == pytest.approx((1500 + 4 * 120) * 1000 / (5 * 8760), abs=1e-3)


def test_a_model_stands_for_its_largest_machine() -> None:
    assert find_hardware("v100")[1].name == "aws-p3.16xlarge"


def test_an_unknown_name_proposes_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClusterError, match=r"no hardware 'aws-p3.16xlarg'; did you mean 'aws-p3.16xlarge'"):
        find_hardware("aws-p3.16xlarg")
    assert main(["hardware", "show", "H1000"]) == 2
    assert "did you mean 'H100'" in capsys.readouterr().err


def test_the_command_prints_a_pool_that_a_config_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "show", "aws-p5.48xlarge", "--pool", "--nodes", "3"]) == 0
    pools = yaml.safe_load(capsys.readouterr().out)
    cluster = build_config({"pools": pools}, ClusterConfig, "test")
    assert cluster.pools == (hardware_pool("aws-p5.48xlarge", 3),)


def test_the_list_names_every_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "list"]) == 0
    out = capsys.readouterr().out
    assert all(shape.name in out for gpu in catalogue().values() for shape in gpu.shapes)


def table(caps: tuple[int, ...], watts: list[float]) -> PowerCapTable:
    return PowerCapTable("X", ("bert",), caps, np.ones((1, len(caps))), np.array([watts]), "test")


def test_the_error_of_a_curve_is_that_of_each_measured_point() -> None:
    errors = cap_errors(table((100, 200), [0.6, 1.0]), table((50, 100, 150, 200), [0.3, 0.5, 0.8, 1.0]))
    assert np.isnan(errors.relative[0, 0])
    assert errors.relative[0, 1:] == pytest.approx([0.2, 0.0, 0.0])
    assert errors.median == pytest.approx(0.1)


@pytest.mark.parametrize("model", ["V100", "P100", "A40", "RTX6000"])
def test_cap_curves_are_within_a_tenth_of_what_was_measured(model: str, data_dir: Path) -> None:
    path = data_dir / "power" / "zeus" / f"summary_power_{model.lower()}.csv"
    assert check_caps(catalogue()[model], f"zeus:{path}?gpu_model={model}").median <= 0.10


def test_measurements_without_a_format_are_told_how_to_write_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "check", "V100", "power.csv"]) == 2
    assert capsys.readouterr().err == "error: power.csv: does not say its format; write it as zeus:power.csv\n"


def test_a_gpu_without_a_measured_curve_says_so() -> None:
    with pytest.raises(ClusterError, match="no measured cap curve"):
        check_caps(catalogue()["H100"], "zeus:nowhere.csv?gpu_model=H100")
