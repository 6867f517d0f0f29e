"""Packers on Alibaba's cluster of 2023 (openb): GPUs that stay unallocated as load arrives, and pods/s.

The experiment of Weng et al., "Beware of Fragmentation" (ATC 2023), figure 9(a): all 1,213 GPU nodes are on, the pods
of the trace and random copies of them arrive in random order until they request 130 % of the GPUs, and none ends.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _common import Measurement, describe, measure, parse, parser, report
from numpy.typing import NDArray

import traces
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.packing.fragmentation import make_tables
from envs.gpu_cluster.simulator.packing.node_packer import NodePacker, allocate, make_pods
from traces.tables import read_csv

LOAD = 1.3
GRID = np.arange(1, 131)  # arrived load, % of the cluster's GPUs
SHOWN = (90, 95, 100, 110, 120)
NODE_LIST, POD_LIST = "openb_node_list_gpu_node.csv", "openb_pod_list_default.csv"
COLORS = {
    "fgd": "#0072b2",
    "fgd-exact": "#56b4e9",
    "first-fit": "#009e73",
    "best-fit": "#d55e00",
    "lifetime-aware": "#f0a202",
    "topology-aware": "#cc79a7",
    "gpu-packing": "#7b3294",
    "gpu-clustering": "#a6611a",
    "dot-product": "#000000",
    "worst-fit": "#777777",
    "random-fit": "#aaaaaa",
}


class Openb:
    """The nodes and pods of the trace, also the pods without a GPU, which take CPU away from the others."""

    def __init__(self, folder: Path) -> None:
        nodes = traces.load_nodes(f"openb-nodes:{_find(folder, NODE_LIST)}").table
        columns = dict.fromkeys(("cpu_milli", "memory_mib", "num_gpu", "gpu_milli"), pa.int64())
        pods = read_csv(str(_find(folder, POD_LIST)), columns)
        self.pods = make_pods(*(pods[name].to_numpy() for name in columns))
        self.cpu, self.memory, self.gpus = (nodes[name].to_numpy() for name in ("cpu_milli", "memory_mib", "gpus"))
        self.models = nodes["gpu_model"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        self.milli = 1000 * int(self.gpus.sum())
        self.tables = make_tables(
            self.pods,
            most_cpu_milli=int(self.cpu.max()),
            most_gpus=int(self.gpus.max()),
            num_models=int(self.models.max()) + 1,
        )

    def fresh(self) -> ns.Nodes:
        """The empty cluster, with blocks of four linked GPUs."""
        shapes, linked = int(self.pods[:, ns.SHAPE].max()) + 1, np.minimum(self.gpus, 4)
        return allocate(self.cpu, self.memory, self.gpus, self.models, self.tables, num_shapes=shapes, linked=linked)

    def stream(self, seed: int) -> NDArray[np.int64]:
        """All pods and random copies of them that request LOAD times the GPUs, shuffled."""
        generator = np.random.default_rng(seed)
        copies = generator.integers(0, len(self.pods), 2 * len(self.pods))
        pods = self.pods[np.concatenate([np.arange(len(self.pods)), copies])]
        enough = int(np.searchsorted(np.cumsum(requested(pods)), LOAD * self.milli)) + 1
        pods = generator.permutation(pods[:enough])
        pods[:, ns.NUMBER] = np.arange(len(pods)) + 1_000_003 * seed
        pods[:, ns.END] = generator.integers(1, 10**6, len(pods))  # no pod ends here: random, for the lifetime-aware
        return pods

    def unallocated(self, pods: NDArray[np.int64], packer: str) -> NDArray[np.float64]:
        """Unallocated GPUs, % of all, at each arrived load of GRID."""
        nodes, _ = NodePacker(self.fresh(), self.tables, packer).place(pods)
        arrived = np.cumsum(requested(pods)) * 100 / self.milli
        allocated = np.cumsum(requested(pods) * (nodes >= 0)) * 100 / self.milli
        curve: NDArray[np.float64] = 100 - allocated[np.minimum(np.searchsorted(arrived, GRID), len(pods) - 1)]
        return curve


def requested(pods: NDArray[np.int64]) -> NDArray[np.int64]:
    """GPU thousandths that each pod requests."""
    milli: NDArray[np.int64] = pods[:, ns.NUM_GPUS] * pods[:, ns.MILLI]
    return milli


def _find(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"


def speed(openb: Openb, pods: NDArray[np.int64], packer: str, repeats: int) -> Measurement:
    """Pods/s of filling the cluster, with everything compiled."""
    empty, state = openb.fresh(), openb.fresh()
    filler = NodePacker(state, openb.tables, packer)

    def run() -> None:
        for memory, before in zip(state, empty, strict=True):
            memory[...] = before
        filler.place(pods)

    run()
    return measure(packer, "pods/s", len(pods), run, repeats)


def draw(curves: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Median over seeds with the range from least to most, near saturation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 100], [100, 0], ":", color="0.6", label="ideal")
    for packer in sorted(curves, key=lambda name: -np.median(curves[name][:, 99])):
        color, strong = COLORS.get(packer, "0.4"), packer in ("fgd", "best-fit")
        median = np.median(curves[packer], axis=0)
        axes.fill_between(GRID, curves[packer].min(0), curves[packer].max(0), color=color, alpha=0.15, linewidth=0)
        label = f"{packer}  {median[99]:.1f} %"
        axes.plot(GRID, median, color=color, linewidth=2.6 if strong else 1.4, label=label)
    axes.set(xlim=(80, 125), ylim=(0, 21), xlabel="arrived load, % of the cluster's GPUs", ylabel="unallocated GPUs, %")
    seeds = len(next(iter(curves.values())))
    axes.set_title(f"Fragmentation on openb: 1,213 nodes, median and range of {seeds} seeds")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", title="at 100 % arrived", frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print and draw."""
    options: argparse.ArgumentParser = parser(__doc__, repeats=7)
    data = Path(os.environ.get("AUTOSCALER_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    options.add_argument(
        "folder", nargs="?", type=Path, default=data / "traces" / "openb", help="holds the openb lists"
    )
    options.add_argument("--seeds", type=int, default=10, help="orders of arrival (default %(default)s)")
    options.add_argument("--figure", metavar="PATH", type=Path, help="draw the curves into this PNG or SVG")
    arguments = parse(options, seeds=1)
    if not _find(arguments.folder, POD_LIST).exists():
        print(f"skipped: {arguments.folder} has no {POD_LIST}; give the folder of Alibaba's cluster-trace-gpu-v2023")
        return
    before = describe()
    openb = Openb(arguments.folder)
    streams = [openb.stream(seed) for seed in range(arguments.seeds)]
    curves = {packer: np.array([openb.unallocated(pods, packer) for pods in streams]) for packer in PACKERS}
    rows = [speed(openb, streams[0], packer, arguments.repeats) for packer in PACKERS]
    title = f"packing openb, {len(streams[0]):,} pods, one core"
    report(title, before, rows, None)
    print(f"\n  unallocated GPUs, %, median [least, most] of {arguments.seeds} seeds, at arrived load of")
    print(f"  {'':16}" + "".join(f"{f'{load} %':>21}" for load in SHOWN))
    for packer, values in sorted(curves.items(), key=lambda item: np.median(item[1][:, 99])):
        shown = [values[:, load - 1] for load in SHOWN]
        cells = [f"{np.median(at):.2f} [{at.min():.2f}, {at.max():.2f}]" for at in shown]
        print(f"  {packer:16}" + "".join(f"{cell:>21}" for cell in cells))
    if arguments.json is not None:
        document: dict[str, Any] = {"title": title, "machine": before, "arrived_percent": GRID.tolist()}
        document["unallocated_percent"] = {name: np.round(values, 3).tolist() for name, values in curves.items()}
        document["measurements"] = [row.to_dict() for row in rows]
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    if arguments.figure is not None:
        draw(curves, arguments.figure)


if __name__ == "__main__":
    main()
