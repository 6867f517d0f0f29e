"""Everything that kernels read and write, and one cluster of it. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.codec import ClusterSnapshot, CodecTables, PackingPlan
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.outlook import Outlook
from envs.gpu_cluster.simulator.settings import Settings
from envs.gpu_cluster.simulator.state import Cluster, Outcome, Table
from envs.gpu_cluster.simulator.tariff import Tariff


class World(NamedTuple):
    """Everything that a kernel reads and writes.

    Attributes:
        clusters: the state of N clusters.
        snapshots: what the codec reads of each.
        outcome: what each shows.
        plans: scratch memory of the codec for each cluster, so that threads do not share any.
        jobs: [J + 1, 6] int64, the trace.
        pools: [P, 5] int64, the cluster, and more columns where `Settings.is_stochastic`.
        curves: [C, columns] int64, see `envs.gpu_cluster.simulator.curves.Curves`.
        template: [P, len(Pool)] float64, the constant columns of a snapshot's pool.
        slopes: see `envs.gpu_cluster.simulator.problem.Problem.slopes`.
        tariff: what a unit of energy costs and emits, and when.
        outlook: what a policy is told of that, and when it changes.
        memories: see `envs.gpu_cluster.simulator.problem.Problem.memories`.
        events: [E, 5] int64, the grid events, see `Problem.events`.
        settings: numbers of the environment.
        tables: the codec's layout.
    """

    clusters: Cluster
    snapshots: ClusterSnapshot
    outcome: Outcome
    plans: PackingPlan
    jobs: Table
    pools: Table
    curves: Table
    template: NDArray[np.float64]
    slopes: NDArray[np.float64]
    tariff: Tariff
    outlook: Outlook
    memories: NDArray[np.float64]
    events: Table
    settings: Settings
    tables: CodecTables


@helper
def cluster_of(batch: Cluster, index: int) -> Cluster:
    """One cluster of a batch: the same fields without their first dimension."""
    return Cluster(
        batch.clock[index],
        batch.pool[index],
        batch.node[index],
        batch.bits[index],
        batch.run[index],
        batch.heap[index],
        batch.queue[index],
        batch.share[index],
        batch.level[index],
        batch.log[index],
        batch.owner[index],
        ns.Nodes(
            batch.detail.node[index],
            batch.detail.gpu[index],
            batch.detail.kind[index],
            batch.detail.key[index],
            batch.detail.synced[index],
            batch.detail.log[index],
            batch.detail.clock[index],
        ),
        batch.pod[index],
    )


@helper
def snapshot_of(batch: ClusterSnapshot, index: int) -> ClusterSnapshot:
    """One snapshot of a batch."""
    return ClusterSnapshot(
        batch.pools[index],
        batch.idle_age_nodes[index],
        batch.free_nodes[index],
        batch.queue[index],
        batch.allowed[index],
        batch.transfer_gb[index],
        batch.signals[index],
        batch.pool_signals[index],
    )


@helper
def plan_of(batch: PackingPlan, index: int) -> PackingPlan:
    """One cluster's scratch memory."""
    return PackingPlan(
        batch.free[index],
        batch.upcoming[index],
        batch.shared_free_gpus[index],
        batch.idle_nodes[index],
        batch.booting_nodes[index],
        batch.new_nodes[index],
        batch.allowed[index],
        batch.transfer_gb[index],
    )
