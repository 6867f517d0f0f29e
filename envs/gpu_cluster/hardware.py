"""A catalogue of GPUs and of machines with them: power, price, boot and embodied carbon, each with its source.

The figures are in `configs/hardware/*.yaml`, one file for each GPU. They are for orders of magnitude; measure your own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from configs.errors import did_you_mean
from configs.loader import load_config
from configs.presets import list_presets
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.power import PowerConfig
from traces.curves.registry import load_power_caps
from traces.curves.tables import PowerCapTable

FOLDER = "hardware"
LIFETIME_HOURS = 5 * 8760.0
"""The hours over which the carbon of making a machine is spread."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its source.

    Attributes:
        value: the number.
        kind: measured, modelled from measurements, or assumed.
        source: where it is from.
    """

    value: float
    kind: Literal["measured", "modelled", "assumed"]
    source: str

    def __post_init__(self) -> None:
        """Refuse a negative number.

        Raises:
            ClusterError: as above.
        """
        check_number("value", self.value, ClusterError, low=0.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """A machine with GPUs of one model.

    Attributes:
        name: of the cloud's shape, with the cloud in front, or of a typical server.
        gpus: how many.
        host_watts: power without the GPUs while it is on.
        usd_per_hour: price of the machine; 0: it has none by the hour.
        host_embodied_kg: carbon of making it without its GPUs, kgCO2e.
        boot_seconds: from the order until its GPUs can be used.
    """

    name: str
    gpus: int
    host_watts: Figure
    usd_per_hour: Figure
    host_embodied_kg: Figure
    boot_seconds: Figure


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU model.

    Attributes:
        model: short name, as traces and pools use it.
        description: full name.
        memory_gib: of one GPU.
        limit_watts: its power limit.
        idle_watts: on, without work.
        busy_watts: at work, without a cap.
        embodied_kg: carbon of making one, kgCO2e.
        shapes: machines with it.
        power_caps: measured speed and power under caps, see `physics.curves.power_caps`; None: not measured.
    """

    model: str
    description: str
    memory_gib: float
    limit_watts: Figure
    idle_watts: Figure
    busy_watts: Figure
    embodied_kg: Figure
    shapes: tuple[Shape, ...]
    power_caps: str | None = None

    def shape(self, name: str | None = None) -> Shape:
        """A machine by its name; None: the one with most GPUs.

        Raises:
            ClusterError: there is no such machine with this GPU.
        """
        if name is None:
            return max(self.shapes, key=lambda shape: shape.gpus)
        for shape in self.shapes:
            if shape.name == name:
                return shape
        hint = did_you_mean(name, [shape.name for shape in self.shapes])
        raise ClusterError(f"{self.model}: there is no shape {name!r}{hint}")


@cache
def catalogue() -> dict[str, Gpu]:
    """All GPU models, by model."""
    presets = [name for name in list_presets() if name.startswith(f"{FOLDER}/")]
    return {gpu.model: gpu for gpu in sorted((load_config(name, Gpu) for name in presets), key=lambda gpu: gpu.model)}


def find_hardware(name: str) -> tuple[Gpu, Shape]:
    """A GPU model, with its largest machine, or a machine, with its GPU model.

    Raises:
        ClusterError: there is neither; the nearest name is proposed.
    """
    gpus = catalogue()
    models = {gpu.model.lower(): gpu for gpu in gpus.values()}
    if name.lower() in models:
        gpu = models[name.lower()]
        return gpu, gpu.shape()
    for gpu in gpus.values():
        for shape in gpu.shapes:
            if shape.name == name:
                return gpu, shape
    known = [*gpus, *(shape.name for gpu in gpus.values() for shape in gpu.shapes)]
    raise ClusterError(f"there is no hardware {name!r}{did_you_mean(name, known)}; see `autoscaler hardware list`")


def hardware_pool(hardware: str, max_nodes: int, **changes: Any) -> PoolConfig:
    """A pool of machines of the catalogue.

    Args:
        hardware: a GPU model such as `V100`, or a machine such as `aws-p3.16xlarge`.
        max_nodes: most nodes that can be on.
        changes: other fields of `PoolConfig`.

    Raises:
        ClusterError: there is no such hardware, or a change has no meaning.
    """
    gpu, shape = find_hardware(hardware)
    embodied_kg = shape.host_embodied_kg.value + shape.gpus * gpu.embodied_kg.value
    pool = PoolConfig(
        gpu.model.lower(),
        max_nodes=max_nodes,
        gpus_per_node=shape.gpus,
        gpu_model=gpu.model,
        boot_seconds=shape.boot_seconds.value,
        power=PowerConfig(gpu.idle_watts.value, gpu.busy_watts.value, shape.host_watts.value),
        usd_per_node_hour=shape.usd_per_hour.value,
        embodied_g_per_node_hour=round(1000.0 * embodied_kg / LIFETIME_HOURS, 3),
    )
    return replace(pool, **changes)


class CapErrors(NamedTuple):
    """How far the power under a cap is from what was measured.

    Attributes:
        workloads: W names.
        cap_watts: L limits.
        relative: [W, L] float64, error of each point over the measured power; NaN: not measured or not in the model.
    """

    workloads: tuple[str, ...]
    cap_watts: tuple[int, ...]
    relative: NDArray[np.float64]

    @property
    def median(self) -> float:
        """The median of the absolute errors below the highest limit, where the model is not the measurement itself."""
        return float(np.nanmedian(np.abs(self.relative[:, :-1])))


def cap_errors(model: PowerCapTable, measured: PowerCapTable) -> CapErrors:
    """Compare a model of the power under caps with measurements, point by point.

    Args:
        model: speed and power by workload at some fractions of the limit, read linearly between.
        measured: the same at the limits that were measured.
    """
    shared = tuple(name for name in measured.workloads if name in model.workloads)
    fractions = np.array(measured.cap_watts) / measured.cap_watts[-1]
    known = np.array(model.cap_watts) / model.cap_watts[-1]
    errors = []
    for name in shared:
        ours = np.interp(fractions, known, model.relative_watts[model.workloads.index(name)])
        truth = measured.relative_watts[measured.workloads.index(name)]
        errors.append(np.where(fractions < known[0], np.nan, ours / truth - 1.0))
    return CapErrors(shared, measured.cap_watts, np.array(errors))


def check_caps(gpu: Gpu, measurements: str) -> CapErrors:
    """The errors of a GPU's cap curve against a file of measurements, such as `zeus:PATH?gpu_model=V100`.

    Raises:
        ClusterError: the catalogue has no cap curve for the GPU, or the format is not named.
        TraceError: the measurements cannot be read.
    """
    if gpu.power_caps is None:
        raise ClusterError(f"{gpu.model}: the catalogue has no measured cap curve to check")
    if ":" not in measurements:
        path = measurements.partition("?")[0]
        raise ClusterError(f"{path}: does not say its format; write it as zeus:{path}")
    return cap_errors(load_power_caps(gpu.power_caps), load_power_caps(measurements))
