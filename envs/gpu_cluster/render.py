"""What a cluster looks like: a line of text, or a picture of its nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.codec import Pool
from envs.gpu_cluster.simulator import Simulator
from envs.recording.pictures import (
    BOOTING,
    BUSY,
    IDLE,
    INK,
    LABEL,
    OFF,
    PAPER,
    Cells,
    cell_size,
    draw_cells,
    font,
)

RENDER_MODES = ("ansi", "rgb_array")

WIDTH, MOST_HEIGHT = 320, 400


def render_cluster(simulator: Simulator, mode: str | None, cluster: int = 0) -> str | NDArray[np.uint8] | None:
    """A cluster in one of `RENDER_MODES`; None in no mode."""
    if mode == "ansi":
        return describe_cluster(simulator, cluster)
    return draw_cluster(simulator, cluster) if mode == "rgb_array" else None


def describe_cluster(simulator: Simulator, cluster: int = 0) -> str:
    """Time, jobs, and nodes of each pool in one line."""
    snapshot = simulator.snapshot(cluster)
    pools = "; ".join(
        f"{pool.name}: {row[Pool.BUSY_NODES]:.0f} busy, {row[Pool.IDLE_NODES]:.0f} idle, "
        f"{row[Pool.BOOTING_NODES]:.0f} booting of {pool.max_nodes}"
        for pool, row in zip(simulator.problem.cluster.pools, snapshot.pools, strict=False)
    )
    jobs = f"{simulator.waiting_jobs[cluster]} jobs wait, {simulator.running_jobs[cluster]} run"
    return f"{simulator.time_seconds[cluster]:.0f} s: {jobs}; {pools}"


def draw_cluster(simulator: Simulator, cluster: int = 0) -> NDArray[np.uint8]:
    """Nodes as cells, as the dashboard draws them, and how many jobs run and wait.

    The cells of a pool are in the order busy, idle, booting, off: a snapshot counts nodes and does not name them. The
    GPUs in use fill busy nodes one after the other.

    Returns:
        [height, 320, 3] uint8, of one shape for a cluster.
    """
    pools = simulator.problem.cluster.pools
    cells = [_cells(pool, row) for pool, row in zip(pools, simulator.snapshot(cluster).pools, strict=False)]
    counts = [len(each.states) for each in cells]
    cell = cell_size(counts, WIDTH, MOST_HEIGHT)
    height = sum(LABEL + -(-count // (WIDTH // cell)) * cell for count in counts)
    image = Image.new("RGB", (WIDTH, height + LABEL + 4), PAPER)
    draw_cells(image, cells, (0, 2, WIDTH, MOST_HEIGHT))
    jobs = f"{simulator.running_jobs[cluster]:,} jobs run, {simulator.waiting_jobs[cluster]:,} wait"
    ImageDraw.Draw(image).text((0, height + 4), f"{jobs}; {simulator.time_seconds[cluster]:,.0f} s", INK, font(12))
    return np.asarray(image)


def _cells(pool: PoolConfig, row: NDArray[np.float64]) -> Cells:
    states = np.full(pool.max_nodes, OFF, np.uint8)
    busy, idle, booting = (int(row[column]) for column in (Pool.BUSY_NODES, Pool.IDLE_NODES, Pool.BOOTING_NODES))
    states[: busy + idle + booting] = BOOTING
    states[: busy + idle] = IDLE
    states[:busy] = BUSY
    gpus = np.clip(float(row[Pool.USED_GPUS]) - pool.gpus_per_node * np.arange(pool.max_nodes), 0, pool.gpus_per_node)
    return Cells(pool.name, states, gpus / pool.gpus_per_node)
