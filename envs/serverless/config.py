"""Settings of Serverless-v0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from configs.checks import check_choice, check_fields, check_number
from envs.containers.config import NodeConfig
from envs.containers.objective import ContainerPrices
from envs.containers.state import ADMISSIONS
from envs.errors import EnvironmentConfigError
from traces.curves.amdahl import ScalingCurve

PARTS = ("all", "train", "test")
DEFAULT_NODES = NodeConfig(
    count=16,
    memory_mib=524_288.0,
    cpu_milli=96_000,
    gpus=8,
    idle_watts=540.0,
    boot_seconds=120.0,
    sleep_seconds=14_400.0,
)
"""A server of 8 GPUs that stays on for 4 hours: an idle hour costs 0.08 USD, and a boot lets many wait."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container of a function is made of, where the workload does not say it.

    Attributes:
        runtimes: number of base images, which functions share; each function has one of them.
        runtime_mib: size of the layer of a base image.
        code_mib: size of the layer of a function itself.
        weights_share: size of a further layer with a model, as a share of the function's memory, where it needs a GPU.
        start_seconds: start of a container whose layers are there.
        load_seconds_per_gib: time to load a model, for each GiB of memory of a function that needs a GPU.
            Source: Alibaba GenAI trace 2026: half of the base models load within 22.7 s.
        cpu_milli: thousandths of a CPU for each container.
        concurrency: requests that a container runs at once.
        layers: further layers, name -> MiB, for images that `ServerlessConfig.overrides` gives.
    """

    runtimes: int = 4
    runtime_mib: float = 400.0
    code_mib: float = 50.0
    weights_share: float = 0.5
    start_seconds: float = 1.0
    load_seconds_per_gib: float = 2.0
    cpu_milli: int = 100
    concurrency: int = 1
    layers: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range.
        """
        check_fields(self, ("runtimes", "concurrency"), EnvironmentConfigError, "images.", low=1)
        check_fields(self, ("cpu_milli",), EnvironmentConfigError, "images.", low=0)
        check_fields(self, ("runtime_mib", "code_mib"), EnvironmentConfigError, "images.", above=0.0)
        times = ("weights_share", "start_seconds", "load_seconds_per_gib")
        check_fields(self, times, EnvironmentConfigError, "images.", low=0.0)


@dataclass(frozen=True, slots=True)
class SignalsConfig:
    """Signals of the pool's region; what has none costs the same always.

    Attributes:
        price: URI of a price signal, USD per MWh or kWh, such as `synthetic:spiky?seed=0`; None: `prices.usd_per_kwh`.
        carbon: URI of a carbon signal; None: `prices.carbon_g_per_kwh`.
        start_hours: hours of the signal that pass before the workload begins.
    """

    price: str | None = None
    carbon: str | None = None
    start_hours: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a start before the signal.

        Raises:
            EnvironmentConfigError: it is negative.
        """
        check_number("signals.start_hours", self.start_hours, EnvironmentConfigError, low=0.0)


@dataclass(frozen=True, slots=True)
class SharesConfig:
    """At which shares a training function may run: with how many workers, each as large as the function says.

    The run time with `n` workers over that with one is `serial + (1 - serial) / n + communication * (n - 1)`.
    Source of the defaults: `traces.curves.presets.ELASTICFLOW`, gpt2 on A100, strong scaling of a global batch of 256.

    Attributes:
        workers: numbers of workers, ascending from 1; those that no node has GPUs for are left out.
        serial: share of the run time that more workers do not shorten.
        communication: run time that each further worker adds, as a share.
    """

    workers: tuple[int, ...] = (1, 2, 4, 8)
    serial: float = 0.1456
    communication: float = 0.00161

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: numbers of workers do not ascend from 1, or more workers are slower than fewer.
        """
        check_number("shares.serial", self.serial, EnvironmentConfigError, low=0.0, high=1.0)
        check_number("shares.communication", self.communication, EnvironmentConfigError, low=0.0)
        if not self.workers or self.workers[0] != 1 or any(b <= a for a, b in pairwise(self.workers)):
            raise EnvironmentConfigError(f"shares.workers is {list(self.workers)}; they must ascend from 1")
        times = [1.0 / gain for gain in ScalingCurve(self.serial, self.communication).speedup(self.workers)]
        for (fewer, longer), (more, shorter) in pairwise(zip(self.workers, times, strict=True)):
            if shorter >= longer:
                raise EnvironmentConfigError(
                    f"shares.workers: {more} take no less time than {fewer} by shares.serial and shares.communication; "
                    f"leave {more} out"
                )


@dataclass(frozen=True, slots=True)
class ServerlessConfig:
    """Everything about the environment but its workload.

    Attributes:
        pool: the nodes.
        images: what containers are made of.
        prices: what energy, capacity and delay cost.
        signals: of the region.
        overrides: function -> fields of `envs.containers.config.FunctionConfig` that replace what `images` gives;
            `layers` is a list of names of `images.layers`, and of those that are made: `runtime-0` and so on.
        admission: which requests are taken: `all`; `now`: those that can be answered by their deadline with what is
            there or can be booted now; `minimum-share`: those that can be with some of `shares`, of which each gets the
            smallest, now or once what runs has ended.
        shares: at which functions with GPUs may run, where `admission` is `minimum-share`.
        deadline_seconds: of requests whose workload has none; None: they have none.
        part: which functions there are: `train`, `test` or `all`.
        train_share: share of the functions that are for training; which ones is drawn by `split_seed`.
        split_seed: as above.
        most_per_hour: functions that are called more often on average are left out: they are never idle, so there is
            nothing to decide; None: none is.
        episode_seconds: length of an episode, at most that of the workload.
        warm_up_seconds: at the beginning of an episode, in which costs do not count: nodes boot and histories begin.
            Until then the hazard rule decides in the environment, and in evaluations each rule itself.
        prior_gaps: how many gaps the prior of a function's histogram is worth.
    """

    pool: tuple[NodeConfig, ...] = (DEFAULT_NODES,)
    images: ImageConfig = field(default_factory=ImageConfig)
    prices: ContainerPrices = field(default_factory=lambda: ContainerPrices(usd_per_waited_hour=30.0))
    signals: SignalsConfig = field(default_factory=SignalsConfig)
    overrides: Mapping[str, Mapping[str, float | tuple[str, ...]]] = field(default_factory=dict, hash=False)
    admission: str = "all"
    shares: SharesConfig = field(default_factory=SharesConfig)
    deadline_seconds: float | None = None
    part: str = "all"
    train_share: float = 0.6
    split_seed: int = 0
    most_per_hour: float | None = None
    episode_seconds: float = 28_800.0
    warm_up_seconds: float = 3600.0
    prior_gaps: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: there is no such part, or a number is out of range.
        """
        check_choice("part", self.part, PARTS, EnvironmentConfigError)
        check_choice("admission", self.admission, ADMISSIONS, EnvironmentConfigError)
        check_number("train_share", self.train_share, EnvironmentConfigError, above=0.0, below=1.0)
        check_number("split_seed", self.split_seed, EnvironmentConfigError, low=0)
        check_number("deadline_seconds", self.deadline_seconds, EnvironmentConfigError, low=0.001)
        check_number("episode_seconds", self.episode_seconds, EnvironmentConfigError, low=1.0)
        check_number("warm_up_seconds", self.warm_up_seconds, EnvironmentConfigError, low=0.0)
        check_fields(self, ("most_per_hour", "prior_gaps"), EnvironmentConfigError, above=0.0)
        if not self.pool:
            raise EnvironmentConfigError("pool is empty; it needs at least one kind of node")
