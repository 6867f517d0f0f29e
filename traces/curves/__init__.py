"""Measured speed, scaling, spread and power caps of workloads, as tables that give integers to kernels.

>>> from traces.curves import load_speeds
>>> load_speeds("preset:gavel").speed_ppm(["resnet50"], ["K80", "V100"], reference="V100")[0].tolist()
[150000, 1000000]
"""

from traces.curves.amdahl import ScalingCurve
from traces.curves.arrays import PPM
from traces.curves.registry import load_power_caps, load_scaling, load_speeds, load_spread
from traces.curves.tables import PowerCapTable, ScalingTable, SpeedTable, SpreadTable

__all__ = [
    "PPM",
    "PowerCapTable",
    "ScalingCurve",
    "ScalingTable",
    "SpeedTable",
    "SpreadTable",
    "load_power_caps",
    "load_scaling",
    "load_speeds",
    "load_spread",
]
