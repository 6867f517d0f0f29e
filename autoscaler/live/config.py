"""Settings of the live loop. Every time is in clock seconds unless its name or text says wall seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autoscaler.live.constraints import PLATFORM_LABELS, Taint
from autoscaler.live.device_config import DeviceTemplate
from autoscaler.live.guardrail_config import GuardrailConfig
from autoscaler.live.names import LABEL_GPU_PRODUCT, LABEL_POOL, LEASE_NAME, RESOURCE_GPUS, RESOURCE_NVIDIA_GPU
from autoscaler.live.prediction_config import PredictionSettings
from autoscaler.live.registry import load_provider
from autoscaler.live.repair_config import Repair
from autoscaler.live.signal_config import LiveRegion, SignalSettings
from configs.checks import check_number
from configs.errors import UserError, did_you_mean
from configs.loader import build_config
from envs.gpu_cluster.codec import MAX_GPUS_PER_NODE, CodecLayout
from envs.gpu_cluster.placement import PriceSlopes
from envs.gpu_cluster.power import PowerConfig
from envs.gpu_cluster.transfer import TransferConfig

T = TypeVar("T")

GPU_MILLI = 1000
"""Thousandths of a whole GPU."""


class LiveConfigError(UserError, ValueError):
    """Settings of the live loop that have no meaning."""


_check = partial(check_number, error=LiveConfigError)


@dataclass(frozen=True, slots=True)
class NodeTemplate:
    """A node of a pool as it will be, so that the pool can grow from zero.

    Attributes:
        labels: labels, besides the pool label and the GPU product label, which follow from the pool.
        annotations: annotations of Node objects, where the provider creates those itself.
        taints: taints that pods must tolerate to run there.
        allocatable: quantities by resource, without GPUs: `gpus_per_node` counts these.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    allocatable: Mapping[str, str] = field(default_factory=lambda: {"cpu": "96", "memory": "1Ti", "pods": "110"})


@dataclass(frozen=True, slots=True)
class GpuResource:
    """A resource that stands for GPUs or for parts of them.

    Attributes:
        gpu_milli: thousandths of a GPU that one unit is, rounded down: 142 for a seventh.
        per_node: units that a node of the pool has.
    """

    gpu_milli: int = GPU_MILLI
    per_node: int = 1


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """An object of Cluster API whose annotations say bounds and template of a pool; it is read once, at the start.

    Attributes:
        name: its name.
        namespace: its namespace.
        group: its API group.
        version: version of the group.
        resource: its kind, in the plural: `machinedeployments`, `machinesets` or `machinepools`.
    """

    name: str
    namespace: str = "default"
    group: str = "cluster.x-k8s.io"
    version: str = "v1beta2"
    resource: str = "machinedeployments"

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"/apis/{self.group}/{self.version}/namespaces/{self.namespace}/{self.resource}/{self.name}"


@dataclass(frozen=True, slots=True)
class LivePool:
    """A node pool.

    Attributes:
        name: unique; the value of the label `autoscaler.green/pool` of its nodes.
        max_nodes: most nodes that exist or are ordered; 0 closes the pool: its nodes go once they are empty.
        min_nodes: least nodes.
        gpus_per_node: GPUs of a node.
        gpu_type: value of the label `nvidia.com/gpu.product` of its nodes; None: they carry none.
        gpu_resource: resource name of its GPUs.
        resources: all resources that stand for its GPUs, by name, where there are others than whole GPUs, such as MIG
            slices; empty: `gpu_resource` alone. All pools give one size to one name.
        devices: devices of its nodes that a driver of dynamic resource allocation publishes; where there are any,
            `gpu_resource` counts only if a DeviceClass serves it or `resources` lists it. See docs/devices.md.
        boot_seconds: mean time from order to ready, which the policy sees.
        power: what a node draws, as in the simulator; its parts are `power.gpu_idle_watts` and so on.
        usd_per_kwh: price of energy where no signal says another; a trained policy should see that of its training.
        region: name of its place in `signals.regions`; None: the first of them, if there is any.
        usd_per_node_hour: what a node costs per hour while it is on or boots, beside its energy.
        embodied_g_per_node_hour: carbon of making a node, gCO2e per hour that it is on or boots.
        placement_usd_per_node_hour: on top of `usd_per_node_hour` where the default placement compares pools; no cost.
        placement_slopes: how that changes with what is on, waits, and was submitted lately; no cost either.
        transfer: what it takes to bring the data of a job here from another region, as in the simulator.
        provider: what creates and deletes its nodes; a name of `autoscaler.live.registry`.
        provider_settings: settings of that provider, in its own section below.
        template: its nodes as they will be.
        paused: nothing of it is changed: no order, no removal, no job is sent to it.
        repair: how its broken nodes are repaired.
        node_group: object whose annotations override `min_nodes`, `max_nodes`, GPUs and template; None: none.
    """

    name: str
    max_nodes: int
    min_nodes: int = 0
    gpus_per_node: int = 8
    gpu_type: str | None = None
    gpu_resource: str = RESOURCE_NVIDIA_GPU
    resources: Mapping[str, GpuResource] = field(default_factory=dict)
    devices: tuple[DeviceTemplate, ...] = ()
    boot_seconds: float = 300.0
    power: PowerConfig = field(default_factory=PowerConfig)
    usd_per_kwh: float = 0.15
    region: str | None = None
    usd_per_node_hour: float = 0.0
    embodied_g_per_node_hour: float = 0.0
    placement_usd_per_node_hour: float = 0.0
    placement_slopes: PriceSlopes = field(default_factory=PriceSlopes)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    provider: str = "kwok"
    provider_settings: Mapping[str, Any] = field(default_factory=dict)
    template: NodeTemplate = field(default_factory=NodeTemplate)
    paused: bool = False
    repair: Repair = field(default_factory=Repair)
    node_group: NodeGroup | None = None

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            LiveConfigError: a size, time or price is out of range.
            UnknownProviderError: there is no such provider.
            ConfigError: the provider has no such setting.
        """
        where = f"pool {self.name}"
        _check(f"{where}: gpus_per_node", self.gpus_per_node, low=1, high=MAX_GPUS_PER_NODE)
        _check(f"{where}: max_nodes", self.max_nodes, low=0)
        _check(f"{where}: min_nodes", self.min_nodes, low=0, high=self.max_nodes)
        hourly = ("usd_per_node_hour", "placement_usd_per_node_hour", "embodied_g_per_node_hour")
        for name in ("boot_seconds", "usd_per_kwh", *hourly):
            _check(f"{where}: {name}", getattr(self, name), low=0.0)
        self._check_resources(where)
        settings_of(self, load_provider(self.provider).settings)

    def _check_resources(self, where: str) -> None:
        for name, resource in self.resources.items():
            _check(f"{where}: resources.{name}.gpu_milli", resource.gpu_milli, low=1, high=GPU_MILLI)
            _check(f"{where}: resources.{name}.per_node", resource.per_node, low=0)
        total, most = self.node_gpu_milli, self.gpus_per_node
        if total > most * GPU_MILLI:
            raise LiveConfigError(
                f"{where}: its resources are {total / GPU_MILLI:g} GPUs together, gpus_per_node is {most}; count a GPU "
                "that is divided only as its parts, and round gpu_milli down"
            )

    @property
    def gpu_sizes(self) -> dict[str, int]:
        """Thousandths of a GPU of one unit of each resource that stands for its GPUs."""
        return {name: each.gpu_milli for name, each in self.resources.items()} or {self.gpu_resource: GPU_MILLI}

    @property
    def gpu_counts(self) -> dict[str, int]:
        """Units of each of these resources on a node."""
        if not self.resources:
            return {self.gpu_resource: 0 if self.devices else self.gpus_per_node}
        return {name: resource.per_node for name, resource in self.resources.items()}

    @property
    def node_gpu_milli(self) -> int:
        """Thousandths of a GPU that all resources and devices of a node are together."""
        resources = sum(self.gpu_counts[name] * size for name, size in self.gpu_sizes.items())
        return resources + sum(each.count * each.gpu_milli for each in self.devices)

    @property
    def node_labels(self) -> dict[str, str]:
        """All labels that a node of it will carry, as far as they are known before it exists."""
        product = {} if self.gpu_type is None else {LABEL_GPU_PRODUCT: self.gpu_type}
        return {**PLATFORM_LABELS, **self.template.labels, **product, LABEL_POOL: self.name}


def settings_of(pool: LivePool, schema: type[T]) -> T:
    """The settings of a pool's provider.

    Args:
        pool: the pool.
        schema: what describes them, `ProviderKind.settings`.

    Raises:
        ConfigError: an unknown key, or a value that the schema refuses.
    """
    return build_config(pool.provider_settings, schema, f"pool {pool.name}: provider_settings of {pool.provider}")


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """The Lease by which one replica leads; wall seconds.

    Attributes:
        enabled: False: this process leads at once, for tests and a single replica.
        name: name of the Lease.
        namespace: its namespace.
        lease_seconds: a candidate that saw no renewal for so long takes over; whole seconds, as the Lease has them.
        renew_deadline_seconds: a leader that could not renew for so long stops acting.
        retry_seconds: time between two tries.
        request_timeout_seconds: of every call. Twice this plus one retry must fit into the renew deadline.
    """

    enabled: bool = True
    name: str = LEASE_NAME
    namespace: str = "kube-system"
    lease_seconds: int = 15
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0
    request_timeout_seconds: float = 4.0

    def __post_init__(self) -> None:
        """Refuse times with which two replicas could lead at once, or that lose the lead at the first late answer.

        Raises:
            LiveConfigError: as above.
        """
        if not self.lease_seconds > self.renew_deadline_seconds > self.retry_seconds > 0.0:
            raise LiveConfigError(
                "leader_election: lease_seconds > renew_deadline_seconds > retry_seconds > 0 must hold, they are "
                f"{self.lease_seconds}, {self.renew_deadline_seconds} and {self.retry_seconds}"
            )
        longest = (self.renew_deadline_seconds - self.retry_seconds) / 2.0
        _check("leader_election.request_timeout_seconds", self.request_timeout_seconds, low=0.001, high=longest)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The server of /healthz, /readyz and /metrics.

    Attributes:
        host: address that it listens on; `0.0.0.0` inside a pod.
        port: its port; 0: any free one; None: no server.
        activity_timeout_seconds: wall seconds without a reconcile until /healthz fails; at least
            `resync_interval_seconds`.
        stream: /stream shows the last records of the audit to whoever reaches the server: names of nodes and jobs, and
            every decision; `autoscaler dashboard --live` reads it.
    """

    host: str = "127.0.0.1"
    port: int | None = 8085
    activity_timeout_seconds: float = 600.0
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API server is called; wall seconds.

    Attributes:
        request_timeout_seconds: time-out of every call but a watch.
        watch_timeout_seconds: a watch ends and starts again after so long.
        relist_seconds: everything is listed again after so long, whatever the watch said.
        stale_seconds: a resource without news for so long (bookmarks count) is stale: the last decision holds.
        disconnected_seconds: the same while its watch is broken.
        quiet_seconds: time without an event that ends a burst, so that the pods of a gang are seen together;
            `settle_seconds` from its first event also do.
    """

    request_timeout_seconds: float = 10.0
    watch_timeout_seconds: float = 240.0
    relist_seconds: float = 1800.0
    stale_seconds: float = 120.0
    disconnected_seconds: float = 15.0
    quiet_seconds: float = 0.2

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            LiveConfigError: a time is not positive.
        """
        for entry in fields(self):
            _check(f"api.{entry.name}", getattr(self, entry.name), low=0.0 if entry.name == "quiet_seconds" else 0.1)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How large the audit may become. A line for 100 nodes is about 100 KiB.

    Attributes:
        max_file_bytes: a file that is larger is set aside as `<audit_path>.1`, and a new one begun.
        keep_files: files that are set aside and kept; 0: none, a full file is overwritten.
        max_view_bytes: where `judged_by` is larger, a line leaves it out and `autoscaler replay` cannot judge it.
    """

    max_file_bytes: int = 256 * 1024 * 1024
    keep_files: int = 4
    max_view_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            LiveConfigError: a size or a number is out of range.
        """
        _check("audit.max_file_bytes", self.max_file_bytes, low=1)
        _check("audit.keep_files", self.keep_files, low=0)
        _check("audit.max_view_bytes", self.max_view_bytes, low=0)


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """The clock of the loop; see `autoscaler.live.clock`.

    Attributes:
        time_scale: clock seconds per wall second, for replays of a trace.
        epoch_seconds: clock time at the start, in unix seconds; None: the wall clock's.
        time_zone: IANA name of the zone whose weekday and hour the policy sees.
    """

    time_scale: float = 1.0
    epoch_seconds: float | None = None
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            LiveConfigError: the scale is not positive or there is no such zone.
        """
        _check("clock.time_scale", self.time_scale, low=1e-3, high=1e6)
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise LiveConfigError(f"clock.time_zone is {self.time_zone!r}; give an IANA name such as UTC") from None


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """Settings of `autoscaler deploy`.

    Attributes:
        pools: at least one; jobs prefer them in their order, which must be that of training.
        namespaces: namespaces whose pods and Jobs count; empty: all.
        settle_seconds: least time between two decisions: what comes after one until this has passed is decided on
            together.
        decision_interval_seconds: least time between two changes of a pool's setpoint.
        resync_interval_seconds: most time between two decisions.
        codec: the layout; a trained policy must have the same.
        usd_per_gpu_hour: what an hour of waiting costs, per requested GPU; likewise.
        signals: what energy costs and emits, region by region.
        prediction: how run times are predicted.
        dry_run: decide and explain, change nothing.
        audit_path: file to which each decision is appended as JSON; None: none.
        audit: how large the audit may become.
        guardrails: what no policy can break.
        clock: the clock.
        api: how the API server is called.
        leader_election: the Lease.
        http: the health and metrics server.
    """

    pools: tuple[LivePool, ...]
    namespaces: tuple[str, ...] = ()
    settle_seconds: float = 1.0
    decision_interval_seconds: float = 10.0
    resync_interval_seconds: float = 600.0
    codec: CodecLayout = field(default_factory=CodecLayout)
    usd_per_gpu_hour: float = 1.0
    signals: SignalSettings = field(default_factory=SignalSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
    dry_run: bool = True
    audit_path: str | None = None
    audit: AuditSettings = field(default_factory=AuditSettings)
    guardrails: GuardrailConfig = field(default_factory=GuardrailConfig)
    clock: ClockSettings = field(default_factory=ClockSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    leader_election: LeaderElection = field(default_factory=LeaderElection)
    http: HttpSettings = field(default_factory=HttpSettings)

    def __post_init__(self) -> None:
        """Refuse settings that have no meaning.

        Raises:
            LiveConfigError: no pool, two pools of one name, more pools than the codec holds, bad intervals.
        """
        names = [pool.name for pool in self.pools]
        if not names:
            raise LiveConfigError("pools is empty; give at least one pool")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise LiveConfigError(f"pools: the name {min(twice)!r} is used twice; names must be unique")
        if len(names) > self.codec.max_pools:
            raise LiveConfigError(
                f"there are {len(names)} pools, the codec holds at most {self.codec.max_pools}; raise codec.max_pools"
            )
        self._check_sizes()
        for pool in self.pools:
            self.region_of(pool)
        disruption = self.guardrails.disruption
        mentioned = [each.pools for each in disruption.windows] + [each.pools for each in disruption.budgets]
        for name in (name for pools in mentioned for name in pools if name not in names):
            raise LiveConfigError(f"guardrails.disruption: there is no pool {name!r}{did_you_mean(name, names)}")
        _check("settle_seconds", self.settle_seconds, low=0.01)
        _check("decision_interval_seconds", self.decision_interval_seconds, low=0.0)
        _check("resync_interval_seconds", self.resync_interval_seconds, low=self.settle_seconds)
        _check("usd_per_gpu_hour", self.usd_per_gpu_hour, low=0.0)
        quiet = self.resync_interval_seconds / self.clock.time_scale
        if self.http.activity_timeout_seconds < quiet:
            raise LiveConfigError(
                f"http.activity_timeout_seconds is {self.http.activity_timeout_seconds}; a quiet cluster waits "
                f"{quiet:g} wall seconds for the next reconcile (resync_interval_seconds), so it must be at least that"
            )

    def _check_sizes(self) -> None:
        """A pod must request as many GPUs in one pool as in another."""
        known: dict[str, tuple[str, int]] = {}
        for pool in self.pools:
            for resource, size in pool.gpu_sizes.items():
                other, before = known.setdefault(resource, (pool.name, size))
                if before != size:
                    raise LiveConfigError(
                        f"resource {resource} is {before} thousandths of a GPU in pool {other} and {size} in pool "
                        f"{pool.name}; give both one size"
                    )

    def pool(self, name: str) -> LivePool:
        """The pool of a name.

        Raises:
            KeyError: no such pool.
        """
        return {pool.name: pool for pool in self.pools}[name]

    def region_of(self, pool: LivePool) -> LiveRegion | None:
        """The region of a pool; None: there is none.

        Raises:
            LiveConfigError: there is no region of the name that it gives.
        """
        regions = self.signals.regions
        if pool.region is None:
            return regions[0] if regions else None
        for region in regions:
            if region.name == pool.region:
                return region
        hint = did_you_mean(pool.region, [region.name for region in regions])
        raise LiveConfigError(f"pool {pool.name}: there is no region {pool.region!r} in signals.regions{hint}")

    @property
    def gpu_resources(self) -> tuple[str, ...]:
        """Resource names of all pools' GPUs, parts of GPUs included."""
        return tuple(self.gpu_sizes)

    @property
    def gpu_sizes(self) -> dict[str, int]:
        """Thousandths of a GPU of one unit of each of them."""
        return {resource: size for pool in self.pools for resource, size in pool.gpu_sizes.items()}

    @property
    def serves(self) -> tuple[str, ...]:
        """What the pools serve, for people: resources, and devices of drivers."""
        resources = [name for pool in self.pools for name, units in pool.gpu_counts.items() if units]
        drivers = [f"claims for devices of {each.driver}" for pool in self.pools for each in pool.devices]
        return tuple(dict.fromkeys([*resources, *drivers]))

    @property
    def counts_parts(self) -> bool:
        """Whether a pool has parts of GPUs: then views count GPUs of all kinds together, as `RESOURCE_GPUS`."""
        return any(pool.resources or pool.devices for pool in self.pools)

    @property
    def counted_resources(self) -> dict[str, str]:
        """By pool, the resource that tells how full a node is."""
        return {pool.name: RESOURCE_GPUS if self.counts_parts else pool.gpu_resource for pool in self.pools}


def with_flags(config: LiveConfig, dry_run: bool | None, audit_path: str | None) -> LiveConfig:
    """The config with what the command line says; None: it says nothing."""
    if dry_run is not None:
        config = replace(config, dry_run=dry_run)
    return config if audit_path is None else replace(config, audit_path=audit_path)
