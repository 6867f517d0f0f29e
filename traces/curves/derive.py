"""The constants of `traces.curves.presets`, from the data that they sum up: `python benchmarks/curves.py FOLDER`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from traces.curves.amdahl import ScalingCurve
from traces.curves.arrays import interpolate_rows
from traces.curves.elasticflow import load_elasticflow_scaling
from traces.curves.gavel import REFERENCE, load_gavel_speeds
from traces.curves.pollux import load_pollux_spread
from traces.curves.zeus import load_zeus_power_caps

CAP_FRACTIONS: Final = (0.5, 0.6, 0.8, 1.0)
"""Power limits of the presets, over the GPU's own."""

DIGITS: Final = 3
"""Decimals of the presets."""

_Rows = dict[str, tuple[float, ...]]


def speeds(data: Path) -> _Rows:
    """Workload -> speed on K80, P100 and V100 over that on the V100."""
    table = load_gavel_speeds(str(data / "elastic/gavel/simulation_throughputs.json.gz"))
    base = table.gpu_models.index(REFERENCE)
    relative = table.relative_speed / table.relative_speed[:, [base]]
    return _rounded(dict(zip(table.workloads, relative.tolist(), strict=True)))


def scaling(data: Path) -> dict[str, tuple[float, float]]:
    """Workload -> serial share and communication of the fitted curve, on A100, at the largest batch.

    Left out: the network that was measured on up to 8 GPUs only.
    """
    table = load_elasticflow_scaling(str(data / "elastic/elasticflow/throughputs_A100"))
    curves = {
        name: ScalingCurve.fit(table.gpus, row)
        for name, row in zip(table.workloads, table.speedup, strict=True)
        if not np.isnan(row[-1])
    }
    return {name: (round(curve.serial, 4), round(curve.communication, 5)) for name, curve in curves.items()}


def spread(data: Path) -> _Rows:
    """Workload -> speed on 1, 2, 3 and 4 nodes over that on one."""
    table = load_pollux_spread(str(data / "elastic/pollux"))
    return _rounded(dict(zip(table.workloads, table.relative_speed.tolist(), strict=True)))


def power_caps(data: Path, gpu_model: str) -> tuple[_Rows, _Rows]:
    """Workload -> speed, and -> power, at `CAP_FRACTIONS`, over those without a cap.

    What is above 1 is noise (NCF uses a sixth of a V100's limit, so no cap touches it) and becomes 1, lest a policy
    learn that a cap speeds jobs up.
    """
    table = load_zeus_power_caps(str(data / f"power/zeus/summary_power_{gpu_model.lower()}.csv"), gpu_model)
    watts = [fraction * table.cap_watts[-1] for fraction in CAP_FRACTIONS]
    speed, power = (
        _rounded(dict(zip(table.workloads, np.minimum(values, 1).tolist(), strict=True)))
        for values in (
            interpolate_rows(table.relative_speed, table.cap_watts, watts),
            interpolate_rows(table.relative_watts, table.cap_watts, watts),
        )
    )
    return speed, power


def _rounded(rows: Mapping[str, list[float]]) -> _Rows:
    return {name: tuple(round(value, DIGITS) for value in values) for name, values in rows.items()}
