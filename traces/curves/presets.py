"""Built-in tables, so that speed, scaling, spread and power caps need no files.

The numbers are medians and fits of ours over published measurements, not the measurements.
`python benchmarks/curves.py FOLDER` derives them again, and a test compares.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from configs.errors import did_you_mean
from traces.curves.amdahl import ScalingCurve
from traces.curves.derive import CAP_FRACTIONS
from traces.curves.tables import PowerCapTable, ScalingTable, SpeedTable, SpreadTable
from traces.errors import TraceURIError

GAVEL: Final[Mapping[str, tuple[float, ...]]] = {
    "a3c": (0.479, 0.792, 1.0),
    "cyclegan": (0.114, 0.543, 1.0),
    "lm": (0.254, 0.832, 1.0),
    "recommendation": (1.398, 2.222, 1.0),
    "resnet18": (0.148, 0.926, 1.0),
    "resnet50": (0.15, 0.631, 1.0),
    "transformer": (0.287, 0.741, 1.0),
}
"""Speed on one K80, P100 and V100 over that on the V100, median over batch sizes. The recommender was slower on the
V100 than on the others at nearly every batch size.
Source: Narayanan et al. (Gavel, OSDI 2020), measured throughputs; our medians."""

ELASTICFLOW: Final[Mapping[str, tuple[float, float]]] = {
    "bert": (0.2483, 0.00193),
    "deepspeech2": (0.102, 0.0),
    "gpt2": (0.1456, 0.00161),
    "inception3": (0.123, 0.00122),
    "resnet50": (0.0591, 0.00039),
    "vgg16": (0.046, 5e-05),
}
"""`ScalingCurve` (serial, communication) of strong scaling on 1 to 64 A100 at the largest global batch measured; within
8 % of every point.
Source: Gu et al. (ElasticFlow, ASPLOS 2023), measured throughputs; our fit."""

POLLUX: Final[Mapping[str, tuple[float, ...]]] = {
    "bert": (1.0, 0.434, 0.596, 0.566),
    "deepspeech2": (1.0, 0.87, 0.961, 0.935),
    "ncf": (1.0, 0.497, 0.644, 0.609),
    "resnet18": (1.0, 0.868, 0.978, 0.84),
    "resnet50": (1.0, 0.832, 0.991, 0.97),
    "yolov3": (1.0, 0.456, 0.678, 0.721),
}
"""Speed of jobs of up to 4 GPUs on 1, 2, 3 and 4 nodes over that on one node of 4 T4, median over GPUs and batches. Two
nodes were slower than three or four.
Source: Qiao et al. (Pollux, OSDI 2021), measured step times; our medians."""

ZEUS: Final[Mapping[str, tuple[int, Mapping[str, tuple[float, ...]], Mapping[str, tuple[float, ...]]]]] = {
    "V100": (
        250,
        {
            "bert": (0.689, 0.826, 0.939, 1.0),
            "deepspeech2": (0.84, 0.892, 0.966, 1.0),
            "ncf": (0.995, 1.0, 0.992, 1.0),
            "resnet50": (0.712, 0.855, 0.952, 1.0),
            "shufflenetv2": (0.925, 0.961, 0.978, 1.0),
        },
        {
            "bert": (0.539, 0.646, 0.835, 1.0),
            "deepspeech2": (0.661, 0.746, 0.87, 1.0),
            "ncf": (0.995, 0.981, 1.0, 1.0),
            "resnet50": (0.551, 0.654, 0.831, 1.0),
            "shufflenetv2": (0.701, 0.796, 0.926, 1.0),
        },
    ),
    "A40": (
        300,
        {
            "bert": (0.598, 0.795, 0.964, 1.0),
            "deepspeech2": (0.748, 0.917, 0.99, 1.0),
            "ncf": (0.993, 1.0, 1.0, 1.0),
            "resnet50": (0.608, 0.864, 0.985, 1.0),
            "shufflenetv2": (0.927, 0.98, 0.992, 1.0),
        },
        {
            "bert": (0.546, 0.644, 0.839, 1.0),
            "deepspeech2": (0.711, 0.793, 0.947, 1.0),
            "ncf": (0.99, 1.0, 1.0, 1.0),
            "resnet50": (0.602, 0.689, 0.878, 1.0),
            "shufflenetv2": (0.76, 0.844, 0.98, 1.0),
        },
    ),
    "P100": (
        250,
        {
            "bert": (0.897, 0.947, 0.999, 1.0),
            "deepspeech2": (0.91, 0.944, 0.983, 1.0),
            "ncf": (0.986, 0.996, 0.997, 1.0),
            "resnet50": (0.912, 0.949, 0.994, 1.0),
            "shufflenetv2": (0.989, 0.992, 0.995, 1.0),
        },
        {
            "bert": (0.679, 0.785, 0.979, 1.0),
            "deepspeech2": (0.787, 0.833, 0.932, 1.0),
            "ncf": (0.997, 1.0, 0.999, 1.0),
            "resnet50": (0.717, 0.799, 0.995, 1.0),
            "shufflenetv2": (0.96, 0.992, 1.0, 1.0),
        },
    ),
    "RTX6000": (
        260,
        {
            "bert": (0.674, 0.802, 0.935, 1.0),
            "deepspeech2": (0.834, 0.921, 0.986, 1.0),
            "ncf": (1.0, 0.992, 1.0, 1.0),
            "resnet50": (0.745, 0.853, 0.955, 1.0),
            "shufflenetv2": (0.897, 0.977, 1.0, 1.0),
        },
        {
            "bert": (0.525, 0.623, 0.815, 1.0),
            "deepspeech2": (0.642, 0.725, 0.884, 1.0),
            "ncf": (0.999, 0.999, 0.998, 1.0),
            "resnet50": (0.546, 0.639, 0.827, 1.0),
            "shufflenetv2": (0.765, 0.867, 0.961, 1.0),
        },
    ),
}
"""GPU model -> its own power limit in watts, then workload -> speed, and -> power while busy, at limits of 0.5, 0.6,
0.8 and 1 of it, over those at 1; median over batch sizes and optimizers.
Source: You et al. (Zeus, NSDI 2023), measured times and powers; our medians."""


def preset_speeds(name: str) -> SpeedTable:
    """The speeds of a preset: `gavel`.

    Raises:
        TraceURIError: there is no such preset.
    """
    _check(name, ("gavel",), "speeds")
    return SpeedTable(tuple(GAVEL), ("K80", "P100", "V100"), _matrix(GAVEL), "preset gavel")


def preset_scaling(name: str) -> ScalingTable:
    """The scaling curves of a preset: `elasticflow`.

    Raises:
        TraceURIError: there is no such preset.
    """
    _check(name, ("elasticflow",), "scaling curves")
    gpus = tuple(range(1, 65))
    speedup = np.array([ScalingCurve(*numbers).speedup(gpus) for numbers in ELASTICFLOW.values()])
    return ScalingTable(tuple(ELASTICFLOW), gpus, speedup, "preset elasticflow")


def preset_spread(name: str) -> SpreadTable:
    """The slow-down over nodes of a preset: `pollux`.

    Raises:
        TraceURIError: there is no such preset.
    """
    _check(name, ("pollux",), "speeds over nodes")
    return SpreadTable(tuple(POLLUX), (1, 2, 3, 4), _matrix(POLLUX), "preset pollux")


def preset_power_caps(name: str) -> PowerCapTable:
    """The power caps of a preset, which is a GPU model: `V100`, `A40`, `P100` or `RTX6000`.

    Raises:
        TraceURIError: there is no such preset.
    """
    _check(name, tuple(ZEUS), "power caps")
    limit, speed, watts = ZEUS[name]
    caps = tuple(round(fraction * limit) for fraction in CAP_FRACTIONS)
    return PowerCapTable(name, tuple(speed), caps, _matrix(speed), _matrix(watts), f"preset {name}")


def _matrix(rows: Mapping[str, tuple[float, ...]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array(list(rows.values()), dtype=np.float64)


def _check(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise TraceURIError(f"there is no preset {name!r} of {what}{did_you_mean(name, known)}")
