"""What a cluster did over time: exact integrals at some of the decisions, so that thinning them out loses nothing.

Between two samples the difference of the integrals is the exact node time, work and waiting of that stretch, however
long it is. So powers drawn from a thinned timeline still add up to the energy of the run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.accounting import AMOUNTS, ENERGY_INTEGRALS, MS_PER_HOUR, energy_units, kwh_rates
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.simulator import Simulator

DEFAULT_SAMPLES = 4096
IDLE, BUSY, BOOT, USED = (
    ENERGY_INTEGRALS.index(name) for name in ("idle_node_ms", "busy_node_ms", "boot_node_ms", "used_milli_ms")
)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Integrals from the window's start to each of S moments, for P pools.

    Attributes:
        time_ms: [S] int64, ascending, the first is the window's start and the last its end.
        pools: [S, P, 6] int64, the columns of `envs.gpu_cluster.accounting.ENERGY_INTEGRALS`.
        waited_milli_ms: [S] int64: GPU-milli ms of waiting jobs.
    """

    time_ms: NDArray[np.int64]
    pools: NDArray[np.int64]
    waited_milli_ms: NDArray[np.int64]

    def resample(self, time_ms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The integrals at other moments; between samples they rise evenly, after the end they stay.

        Args:
            time_ms: [T] float64.

        Returns:
            [T, P, 6] and [T] float64, as `pools` and `waited_milli_ms`.
        """
        columns = self.pools.reshape(len(self.time_ms), -1).T
        pools = np.stack([np.interp(time_ms, self.time_ms, column) for column in columns], axis=-1)
        waited = np.interp(time_ms, self.time_ms, self.waited_milli_ms)
        return pools.reshape(len(time_ms), *self.pools.shape[1:]), waited


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Means of B stretches of time, over all pools: what a plot shows.

    Attributes:
        edges_ms: [B + 1] float64, where the stretches begin and end.
        busy_nodes: [B] float64.
        idle_nodes: [B] float64.
        booting_nodes: [B] float64.
        used_gpus: [B] float64, GPUs at work.
        queue_gpus: [B] float64, GPUs that waiting jobs request.
        watts: [B] float64, power of all nodes, PUE included.
    """

    edges_ms: NDArray[np.float64]
    busy_nodes: NDArray[np.float64]
    idle_nodes: NDArray[np.float64]
    booting_nodes: NDArray[np.float64]
    used_gpus: NDArray[np.float64]
    queue_gpus: NDArray[np.float64]
    watts: NDArray[np.float64]


def course(timeline: Timeline, cluster: ClusterConfig, edges_ms: NDArray[np.float64]) -> Course:
    """The means of a timeline between given moments.

    Args:
        timeline: of a run on `cluster`.
        cluster: the pools.
        edges_ms: [B + 1] float64, ascending.
    """
    length = np.diff(edges_ms)
    pools, waited = timeline.resample(edges_ms)
    deltas = np.diff(pools, axis=0)
    nodes = deltas.sum(axis=1) / length[:, None]
    kwh = sum(_kwh(deltas[:, index], index, cluster, length) for index in range(deltas.shape[1]))
    return Course(
        edges_ms=edges_ms,
        busy_nodes=nodes[:, BUSY],
        idle_nodes=nodes[:, IDLE],
        booting_nodes=nodes[:, BOOT],
        used_gpus=nodes[:, USED] / 1000.0,
        queue_gpus=np.diff(waited) / length / 1000.0,
        watts=np.asarray(kwh) * 1000.0 * MS_PER_HOUR / length,
    )


def unused_kwh(timeline: Timeline, cluster: ClusterConfig, edges_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """[B] float64, energy of all nodes between given moments but for their GPUs at work, PUE included.

    Args:
        timeline: of a run on `cluster`.
        cluster: the pools.
        edges_ms: [B + 1] float64, ascending.
    """
    length, deltas = np.diff(edges_ms), np.diff(timeline.resample(edges_ms)[0], axis=0)
    parts = []
    for index, pool in enumerate(cluster.pools):
        rates = kwh_rates(pool)
        rates[AMOUNTS.index("used_milli_ms") :] = 0.0
        parts.append(energy_units(pool, deltas[:, index], length) @ rates)
    return np.asarray(np.sum(parts, axis=0), np.float64)


def pool_watts(timeline: Timeline, cluster: ClusterConfig, edges_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """[B, P] float64, mean power of each pool between given moments, PUE included.

    Args:
        timeline: of a run on `cluster`.
        cluster: the pools.
        edges_ms: [B + 1] float64, ascending.
    """
    length, deltas = np.diff(edges_ms), np.diff(timeline.resample(edges_ms)[0], axis=0)
    kwh = [_kwh(deltas[:, index], index, cluster, length) for index in range(deltas.shape[1])]
    return np.asarray(np.stack(kwh, axis=1) * 1000.0 * MS_PER_HOUR / length[:, None], np.float64)


def _kwh(
    deltas: NDArray[np.float64], index: int, cluster: ClusterConfig, length_ms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[B] float64, energy of one pool in each stretch, kWh."""
    pool = cluster.pools[index]
    return np.asarray(energy_units(pool, deltas, length_ms) @ kwh_rates(pool), np.float64)


class Recorder:
    """Takes samples of every cluster of a batch, at every decision at first and more rarely when the memory is full.

    Args:
        simulator: the batch.
        samples: most samples per cluster.

    Attributes:
        stride: decisions from one sample to the next.
    """

    def __init__(self, simulator: Simulator, samples: int) -> None:
        clusters, pools = simulator.num_clusters, len(simulator.problem.cluster.pools)
        self.stride = 1
        self._simulator = simulator
        self._count = 0
        self._samples = max(samples, 4)
        self._clock = np.zeros((self._samples, clusters, 2), np.int64)
        self._pools = np.zeros((self._samples, clusters, pools, len(ENERGY_INTEGRALS)), np.int64)

    def record(self) -> None:
        """Take a sample."""
        if self._count == self._samples:
            self._count = (self._samples + 1) // 2
            self._clock[: self._count] = self._clock[::2].copy()
            self._pools[: self._count] = self._pools[::2].copy()
            self.stride *= 2
        self._clock[self._count, :, 0] = self._simulator.time_ms
        self._clock[self._count, :, 1] = self._simulator.waited_milli_ms
        self._pools[self._count] = self._simulator.energy_integrals
        self._count += 1

    def timeline(self, cluster: int) -> Timeline:
        """The samples of one cluster up to the end of its window."""
        time = self._clock[: self._count, cluster, 0]
        moved = np.concatenate([[True], np.diff(time) > 0])
        return Timeline(
            time_ms=time[moved],
            pools=self._pools[: self._count, cluster][moved],
            waited_milli_ms=self._clock[: self._count, cluster, 1][moved],
        )
