"""Descriptions of a cluster: pools of equal nodes, and their price."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import traces
from configs.checks import check_number
from configs.loader import load_config
from envs.errors import ClusterError
from envs.gpu_cluster.codec import MAX_GPUS_PER_NODE
from envs.gpu_cluster.lifecycle import MAX_SECONDS, BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.placement import PriceSlopes
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.transfer import TransferConfig
from traces.nodes import Nodes
from traces.trace import Trace

AUTO = "auto"
"""The name of the cluster that fits a trace, see `auto_cluster`."""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Equal nodes that are switched on and off together.

    Attributes:
        name: unique name.
        max_nodes: most nodes that can be on; 0: the pool is closed.
        min_nodes: nodes that are always on.
        gpus_per_node: GPUs of a node.
        gpu_model: name that a job's `gpu_models` refers to; None: any job may run here.
        boot_seconds: from order to ready.
        power: power of a node.
        boot: how boots vary and fail.
        failures: failures of nodes, and their repair.
        spot: nodes that are taken back.
        pull_seconds: how long a job makes no progress when a node of it does not have its container image yet. A node
            keeps the images that it has until it is off.
        cpus_per_node: CPUs of a node; None: no limit. It counts where `physics.second_resources` is on, like memory.
        memory_gib_per_node: memory of a node, GiB; None: no limit.
        linked_gpus: GPUs that share a fast link, in blocks from GPU 0, for the packer `topology-aware`; None: all of a
            node.
        region: the name of its place in `environment.regions`; None: the first of them, if there is any.
        usd_per_node_hour: what a node costs per hour while it is on or boots, beside its energy.
        embodied_g_per_node_hour: carbon of making a node, gCO2e per hour that it is on or boots.
        placement_usd_per_node_hour: on top of `usd_per_node_hour` where the default placement compares pools, because
            later jobs may need this one more; no cost.
        placement_slopes: how that changes with what is on, waits, and was submitted lately; no cost either.
        transfer: what it takes to bring the data of a job here from another region.
    """

    name: str
    max_nodes: int
    min_nodes: int = 0
    gpus_per_node: int = 8
    gpu_model: str | None = None
    boot_seconds: float = 300.0
    power: PowerConfig = field(default_factory=PowerConfig)
    boot: BootConfig = field(default_factory=BootConfig)
    failures: FailureConfig = field(default_factory=FailureConfig)
    spot: SpotConfig = field(default_factory=SpotConfig)
    pull_seconds: float = 0.0
    cpus_per_node: float | None = None
    memory_gib_per_node: float | None = None
    linked_gpus: int | None = None
    region: str | None = None
    usd_per_node_hour: float = 0.0
    embodied_g_per_node_hour: float = 0.0
    placement_usd_per_node_hour: float = 0.0
    placement_slopes: PriceSlopes = field(default_factory=PriceSlopes)
    transfer: TransferConfig = field(default_factory=TransferConfig)

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a size or time is out of range.
        """
        where = f"pool {self.name}:"
        check_number(f"{where} gpus_per_node", self.gpus_per_node, ClusterError, low=1, high=MAX_GPUS_PER_NODE)
        check_number(f"{where} max_nodes", self.max_nodes, ClusterError, low=0)
        check_number(f"{where} min_nodes", self.min_nodes, ClusterError, low=0, high=self.max_nodes)
        check_number(f"{where} boot_seconds", self.boot_seconds, ClusterError, low=0.0)
        check_number(f"{where} pull_seconds", self.pull_seconds, ClusterError, low=0.0, high=MAX_SECONDS)
        check_number(f"{where} cpus_per_node", self.cpus_per_node, ClusterError, low=0.001)
        check_number(f"{where} memory_gib_per_node", self.memory_gib_per_node, ClusterError, low=0.001)
        check_number(f"{where} linked_gpus", self.linked_gpus, ClusterError, low=1, high=self.gpus_per_node)
        check_number(f"{where} usd_per_node_hour", self.usd_per_node_hour, ClusterError, low=0.0)
        check_number(f"{where} embodied_g_per_node_hour", self.embodied_g_per_node_hour, ClusterError, low=0.0)
        check_number(f"{where} placement_usd_per_node_hour", self.placement_usd_per_node_hour, ClusterError, low=0.0)

    @property
    def loses_nodes(self) -> bool:
        """Whether nodes fail or are taken back."""
        return self.failures.mean_seconds is not None or self.spot.mean_seconds is not None

    @property
    def is_stochastic(self) -> bool:
        """Whether anything happens to its nodes at random."""
        return self.loses_nodes or self.boot.is_drawn


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """The pools of a cluster.

    Attributes:
        pools: at least one; jobs prefer them in their order, and overflow to the next.
    """

    pools: tuple[PoolConfig, ...]

    def __post_init__(self) -> None:
        """Refuse a cluster without pools or with two pools of one name.

        Raises:
            ClusterError: as above.
        """
        names = [pool.name for pool in self.pools]
        if not names:
            raise ClusterError("cluster.pools is empty; give at least one pool")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ClusterError(f"cluster.pools: the name {min(twice)!r} is used twice; names must be unique")


def auto_cluster(trace: Trace, gpus_per_node: int = 8) -> ClusterConfig:
    """One pool of 8-GPU nodes, 5 minutes' boot, from 0 nodes to the trace's peak with nobody waiting."""
    nodes = -(-trace.peak_gpu_milli // (1000 * gpus_per_node))
    return ClusterConfig((PoolConfig("gpu", max_nodes=max(nodes, 1), gpus_per_node=gpus_per_node),))


def cluster_from_nodes(nodes: Nodes, *, second_resources: bool = False) -> ClusterConfig:
    """A pool for each kind of node, from 0 nodes to as many as there are; the pool with most GPUs first.

    Args:
        nodes: the machines.
        second_resources: kinds differ in CPUs and memory too, not only in GPU model and number of GPUs.
    """
    columns = ["gpu_model", "gpus", *(["cpu_milli", "memory_mib"] if second_resources else [])]
    kinds = Counter(zip(*(nodes.table[column].to_pylist() for column in columns), strict=True))
    return ClusterConfig(
        tuple(
            _kind_of_node(count, *kind)
            for kind, count in sorted(kinds.items(), key=lambda item: (-item[1] * item[0][1], item[0]))
        )
    )


def _kind_of_node(
    count: int, model: str, gpus: int, cpu_milli: int | None = None, memory_mib: int | None = None
) -> PoolConfig:
    name, cpus, memory_gib = f"{model}-{gpus}", None, None
    if cpu_milli is not None and memory_mib is not None:
        cpus, memory_gib = cpu_milli / 1000, memory_mib / 1024
        name += f"-{cpus:g}cpu-{memory_gib:g}gib"
    return PoolConfig(
        name,
        max_nodes=count,
        gpus_per_node=gpus,
        gpu_model=model,
        cpus_per_node=cpus,
        memory_gib_per_node=memory_gib,
    )


def load_cluster(source: str, trace: Trace, *, second_resources: bool = False) -> ClusterConfig:
    """The cluster that a user names.

    Args:
        source: `auto` for `auto_cluster`, the URI of a list of nodes (`openb-nodes:PATH`), or a YAML file of
            `ClusterConfig`.
        trace: the jobs that it must run.
        second_resources: whether a list of nodes also says their CPUs and memory.

    Raises:
        ClusterError: the cluster has no meaning.
        ConfigError: the YAML file cannot be read or does not fit.
        TraceError: the list of nodes cannot be read.
    """
    if source == AUTO:
        return auto_cluster(trace)
    if ":" in source and not source.endswith((".yaml", ".yml")):
        return cluster_from_nodes(traces.load_nodes(source), second_resources=second_resources)
    return load_config(source, ClusterConfig)
