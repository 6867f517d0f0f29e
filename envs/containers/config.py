"""Functions, layers of images, nodes and places, as users describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from configs.checks import check_fields
from envs.errors import EnvironmentConfigError

WATTS_PER_GIB = 0.392
"""Power of memory that is in use. Source: Cloud Carbon Footprint, methodology, 0.000392 kWh per GB-hour."""
WATTS_PER_CPU = 3.5
"""Power that a busy virtual CPU adds. Source: Cloud Carbon Footprint, AWS, average maximum watts of a vCPU."""
WARM_WATTS_PER_GPU, BUSY_WATTS_PER_GPU = 25.0, 220.0
"""Power that a GPU adds to its idle node while a process holds a context on it, and while it works."""
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """A layer of container images, which functions share.

    Attributes:
        name: what functions call it.
        mib: its size.
    """

    name: str
    mib: float

    def __post_init__(self) -> None:
        """Refuse a size that has no meaning.

        Raises:
            EnvironmentConfigError: it is not positive.
        """
        check_fields(self, ("mib",), EnvironmentConfigError, f"layer {self.name}: ", above=0.0)


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """A function: what its containers hold, how they start and what their power is.

    Attributes:
        name: of the function.
        layers: names of the layers of its image.
        memory_mib: that a container reserves for its whole life, as the CPUs and the GPUs.
        cpu_milli: thousandths of a CPU.
        gpu_milli: thousandths of a GPU, 0: it needs none; more than 1000: several.
        start_seconds: from the last layer pulled until the container runs.
        load_seconds: then, until its model is loaded and it can take a request.
        concurrency: requests that a container runs at once.
        deadline_seconds: in which a request is to be answered; None: it has no deadline.
        request_kib: what a request sends to its place.
        answer_kib: what its answer sends back; it counts where the links of users have a rate.
        warm_watts: that an idle container adds to its node; None: by its memory and GPUs.
        busy_watts: that a container adds that runs requests; None: by its CPUs, memory and GPUs.
    """

    name: str
    layers: tuple[str, ...] = ()
    memory_mib: float = 256.0
    cpu_milli: int = 100
    gpu_milli: int = 0
    start_seconds: float = 1.0
    load_seconds: float = 0.0
    concurrency: int = 1
    deadline_seconds: float | None = None
    request_kib: float = 0.0
    answer_kib: float = 0.0
    warm_watts: float | None = None
    busy_watts: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range.
        """
        where = f"function {self.name}: "
        check_fields(self, ("cpu_milli", "gpu_milli"), EnvironmentConfigError, where, low=0)
        check_fields(self, ("concurrency", "memory_mib"), EnvironmentConfigError, where, low=1)
        times = ("start_seconds", "load_seconds", "request_kib", "answer_kib", "warm_watts", "busy_watts")
        check_fields(self, times, EnvironmentConfigError, where, low=0.0)
        check_fields(self, ("deadline_seconds",), EnvironmentConfigError, where, low=0.001)

    @property
    def warm_power_watts(self) -> float:
        """What an idle container adds to its node."""
        if self.warm_watts is not None:
            return self.warm_watts
        return WATTS_PER_GIB * self.memory_mib / 1024.0 + WARM_WATTS_PER_GPU * self.gpu_milli / 1000.0

    @property
    def busy_power_watts(self) -> float:
        """What a container adds that runs requests."""
        if self.busy_watts is not None:
            return self.busy_watts
        gpus, cpus = self.gpu_milli / 1000.0, self.cpu_milli / 1000.0
        return WATTS_PER_GIB * self.memory_mib / 1024.0 + BUSY_WATTS_PER_GPU * gpus + WATTS_PER_CPU * cpus

    @property
    def start_power_watts(self) -> float:
        """What a container adds that starts: its CPUs work, its GPUs do not yet."""
        return self.warm_power_watts + WATTS_PER_CPU * self.cpu_milli / 1000.0


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Nodes of one kind in a place.

    Attributes:
        count: how many there are.
        memory_mib: of one, for containers.
        cpu_milli: thousandths of a CPU.
        gpus: of one; shares of them are one sum, so a container's share may be spread over several.
        off_watts: power of a node that is off.
        idle_watts: of one that is on, without what its containers add.
        boot_watts: of one that boots; None: as one that is on.
        boot_seconds: from the order until containers can start.
        pull_mib_per_second: rate at which it pulls layers, one pull after the other.
        cache_mib: of layers that it keeps.
        sleep_seconds: how long a node without containers stays on; None: for ever.
    """

    count: int = 1
    memory_mib: float = 65_536.0
    cpu_milli: int = 32_000
    gpus: int = 0
    off_watts: float = 0.0
    idle_watts: float = 100.0
    boot_watts: float | None = None
    boot_seconds: float = 60.0
    pull_mib_per_second: float = 100.0
    cache_mib: float = 102_400.0
    sleep_seconds: float | None = 300.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range.
        """
        check_fields(self, ("count", "memory_mib"), EnvironmentConfigError, "nodes.", low=1)
        check_fields(self, ("cpu_milli", "gpus"), EnvironmentConfigError, "nodes.", low=0)
        powers = ("off_watts", "idle_watts", "boot_watts", "boot_seconds", "sleep_seconds")
        check_fields(self, powers, EnvironmentConfigError, "nodes.", low=0.0)
        check_fields(self, ("pull_mib_per_second", "cache_mib"), EnvironmentConfigError, "nodes.", above=0.0)


@dataclass(frozen=True, slots=True)
class PlaceConfig:
    """Where requests are routed to: a pool of nodes, an edge site, a cloud.

    Attributes:
        name: of the place.
        nodes: its nodes by kind.
        link_mib_per_second: rate of the link on which requests come to it, one after the other; None: without limit.
    """

    name: str
    nodes: Sequence[NodeConfig] = field(default_factory=lambda: (NodeConfig(),))
    link_mib_per_second: float | None = None

    def __post_init__(self) -> None:
        """Refuse a place without nodes.

        Raises:
            EnvironmentConfigError: it has none, or its link has no rate.
        """
        if not self.nodes:
            raise EnvironmentConfigError(f"place {self.name}: nodes is empty; it needs at least one kind")
        where = f"place {self.name}: "
        check_fields(self, ("link_mib_per_second",), EnvironmentConfigError, where, above=0.0)
