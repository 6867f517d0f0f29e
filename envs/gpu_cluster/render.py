"""What a cluster looks like: a line of text, or a picture of bars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import Pool
from envs.gpu_cluster.simulator import Simulator

RENDER_MODES = ("ansi", "rgb_array")

WIDTH, BAR, GAP = 320, 24, 4
BUSY, IDLE, BOOTING, OFF = (44, 123, 182), (253, 174, 97), (255, 255, 191), (225, 225, 225)
RUNNING, WAITING, PAPER = (26, 150, 65), (215, 25, 28), (255, 255, 255)


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
    """A bar for each pool (its nodes: busy, idle, booting, off), and below them one for the jobs (running, waiting).

    Returns:
        [(pools + 1) * 28, 320, 3] uint8.
    """
    pools = simulator.problem.cluster.pools
    image = np.full(((len(pools) + 1) * (BAR + GAP), WIDTH, 3), PAPER, np.uint8)
    columns = (Pool.BUSY_NODES, Pool.IDLE_NODES, Pool.BOOTING_NODES)
    for index, (pool, row) in enumerate(zip(pools, simulator.snapshot(cluster).pools, strict=False)):
        on = [float(row[column]) for column in columns]
        _draw_bar(image, index, [*on, max(0.0, pool.max_nodes - sum(on))], (BUSY, IDLE, BOOTING, OFF))
    jobs = [float(simulator.running_jobs[cluster]), float(simulator.waiting_jobs[cluster])]
    _draw_bar(image, len(pools), jobs, (RUNNING, WAITING))
    return image


def _draw_bar(
    image: NDArray[np.uint8], index: int, amounts: list[float], colours: tuple[tuple[int, int, int], ...]
) -> None:
    """Fill one bar with parts in proportion to `amounts`; nothing where all are zero."""
    whole, top, edge, done = sum(amounts), index * (BAR + GAP), 0, 0.0
    for amount, colour in zip(amounts, colours, strict=True):
        done += amount
        end = round(WIDTH * done / whole) if whole > 0.0 else 0
        image[top : top + BAR, edge:end] = colour
        edge = end
