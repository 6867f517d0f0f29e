"""The hardware catalogue as documents and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from configs.loader import to_dict
from envs.gpu_cluster.hardware import CapErrors, Figure, Gpu, Shape, catalogue, hardware_pool

LIST_SCHEMA = "autoscaler.hardware/1"
LIST_HEADER = ("shape", "GPUs", "GPU", "idle W", "busy W", "host W", "USD/h", "boot s", "kgCO2e to make")
MARKS = {"measured": "", "modelled": "~", "assumed": "?"}
"""Before a number that was not measured."""


def list_document() -> dict[str, Any]:
    """Every GPU model with its machines, figures and sources."""
    return {"schema": LIST_SCHEMA, "gpus": [asdict(gpu) for gpu in catalogue().values()]}


def list_rows() -> list[tuple[str, ...]]:
    """A row for each machine."""
    return [
        (
            shape.name,
            str(shape.gpus),
            gpu.model,
            *(_text(figure) for figure in (gpu.idle_watts, gpu.busy_watts, shape.host_watts)),
            _text(shape.usd_per_hour) if shape.usd_per_hour.value else "-",
            _text(shape.boot_seconds),
            f"{MARKS['assumed']}{shape.host_embodied_kg.value + shape.gpus * gpu.embodied_kg.value:,.0f}",
        )
        for gpu in catalogue().values()
        for shape in gpu.shapes
    ]


def _text(figure: Figure) -> str:
    return f"{MARKS[figure.kind]}{figure.value:,g}"


def show_rows(gpu: Gpu, shape: Shape) -> list[tuple[str, str]]:
    """Name and value of every figure, with its kind and source."""
    return [
        ("GPU", f"{gpu.description}, {gpu.memory_gib:g} GiB"),
        ("shape", f"{shape.name}, {shape.gpus} GPUs"),
        *_figures("GPU", gpu),
        *_figures("shape", shape),
        ("power caps", gpu.power_caps or "not measured"),
    ]


def _figures(owner: str, part: Gpu | Shape) -> Iterator[tuple[str, str]]:
    for name in part.__dataclass_fields__:
        figure = getattr(part, name)
        if isinstance(figure, Figure):
            yield f"{owner} {name}", f"{figure.value:,g} ({figure.kind}: {figure.source})"


def pool_document(name: str, max_nodes: int) -> dict[str, Any]:
    """The machine as an entry of `cluster.pools`."""
    pool = to_dict(hardware_pool(name, max_nodes))
    kept = ("name", "max_nodes", "gpus_per_node", "gpu_model", "boot_seconds")
    watts = {key: pool["power"][key] for key in ("gpu_idle_watts", "gpu_busy_watts", "host_watts")}
    costs = {key: pool[key] for key in ("usd_per_node_hour", "embodied_g_per_node_hour")}
    return {**{key: pool[key] for key in kept}, "power": watts, **costs}


def error_rows(errors: CapErrors) -> list[tuple[str, ...]]:
    """A row for each workload: the error at each limit."""
    return [
        (name, *("" if np.isnan(value) else f"{value:+.1%}" for value in row))
        for name, row in zip(errors.workloads, errors.relative.tolist(), strict=True)
    ]
