"""A city, its sites and users, and what these call: the scenario that `autoscaler/EdgeCity-v0` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from configs.checks import check_number
from configs.errors import did_you_mean
from envs.containers.config import FunctionConfig, LayerConfig, NodeConfig
from envs.containers.objective import ContainerPrices
from envs.containers.state import HAND_OVERS
from envs.errors import EnvironmentConfigError

HOURLY = (
    *(0.3, 0.2, 0.15, 0.15, 0.2, 0.4, 0.8, 1.3, 1.6, 1.4, 1.2, 1.2),
    *(1.4, 1.3, 1.2, 1.2, 1.3, 1.6, 1.8, 1.7, 1.5, 1.2, 0.9, 0.6),
)
"""Calls of a user by hour of the day, as factors of the mean: assumed, with peaks of commuting and of the evening."""


@dataclass(frozen=True, slots=True)
class CallConfig:
    """Who calls a function how often, and how long a call runs.

    Attributes:
        function: name of the function.
        per_user_hour: calls of a user in an hour on average; 0 for one that only rounds call.
        hourly: factors of it for each hour of the day.
        run_seconds: median of the run time.
        run_sigma: standard deviation of its logarithm.
        round_minutes: every so often a federated round begins; None: the function has no rounds.
        round_users: users drawn for each round, who each call the function once, from where they are.
        round_share: a round is over with this share of its answers; later ones are stragglers.
    """

    function: str
    per_user_hour: float = 0.0
    hourly: Sequence[float] = HOURLY
    run_seconds: float = 1.0
    run_sigma: float = 0.4
    round_minutes: float | None = None
    round_users: int = 20
    round_share: float = 0.9

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range.
        """
        where = f"calls of {self.function}"
        check_number(f"{where}: per_user_hour", self.per_user_hour, EnvironmentConfigError, low=0, high=10_000)
        check_number(f"{where}: run_seconds", self.run_seconds, EnvironmentConfigError, above=0, high=86_400)
        check_number(f"{where}: run_sigma", self.run_sigma, EnvironmentConfigError, low=0, high=3)
        check_number(f"{where}: round_minutes", self.round_minutes, EnvironmentConfigError, low=1, high=10_080)
        check_number(f"{where}: round_users", self.round_users, EnvironmentConfigError, low=1)
        check_number(f"{where}: round_share", self.round_share, EnvironmentConfigError, above=0, high=1)
        if len(self.hourly) != len(HOURLY) or min(self.hourly) < 0:
            raise EnvironmentConfigError(f"{where}: hourly has {len(self.hourly)} values; it needs 24, each at least 0")


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How long the way of a request or an answer takes; all times are one way.

    A user is on the radio link of its zone, which all users there share: requests one after the other, and answers
    likewise. What is sent takes the link for its bytes over the rate of the user, which falls with the distance d from
    the site: access_mib_per_second / (1 + (d / half_rate_meters)^2). So a far user makes all others wait longer.

    Attributes:
        access_ms: from a user to the site of its zone.
        access_mib_per_second: rate of the link of a zone to its users, each way; None: without limit.
        half_rate_meters: distance from the site at which a user has half of the rate.
        hop_ms: from there on to another site.
        ms_per_km: of the way between sites, switches on it included.
        cloud_ms: from a site on to the cloud.
        site_mib_per_second: rate of the link on which requests come to a site; None: without limit.
        cloud_mib_per_second: likewise for the cloud.
    """

    access_ms: float = 5.0
    access_mib_per_second: float | None = 40.0
    half_rate_meters: float = 300.0
    hop_ms: float = 2.0
    ms_per_km: float = 1.0
    cloud_ms: float = 40.0
    site_mib_per_second: float | None = 120.0
    cloud_mib_per_second: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range.
        """
        for name in ("access_ms", "hop_ms", "ms_per_km", "cloud_ms"):
            check_number(f"links.{name}", getattr(self, name), EnvironmentConfigError, low=0, high=60_000)
        for name in ("access_mib_per_second", "half_rate_meters", "site_mib_per_second", "cloud_mib_per_second"):
            check_number(f"links.{name}", getattr(self, name), EnvironmentConfigError, above=0)


LAYERS = (
    LayerConfig("python", 180.0),
    LayerConfig("cuda", 1400.0),
    LayerConfig("vision", 260.0),
    LayerConfig("chat", 900.0),
)
FUNCTIONS = (
    FunctionConfig(
        "vision", ("python", "cuda", "vision"), memory_mib=1536, cpu_milli=500, gpu_milli=200, load_seconds=3.0,
        deadline_seconds=0.25, request_kib=200.0,
    ),
    FunctionConfig(
        "chat", ("python", "cuda", "chat"), memory_mib=4096, cpu_milli=500, gpu_milli=400, load_seconds=6.0,
        deadline_seconds=10.0, request_kib=4.0,
    ),
    FunctionConfig(
        "learn", ("python", "cuda", "vision"), memory_mib=2048, cpu_milli=1000, gpu_milli=400, load_seconds=3.0,
        request_kib=2000.0,
    ),
)  # fmt: skip
CALLS = (
    CallConfig("vision", per_user_hour=20.0, run_seconds=0.12, run_sigma=0.3),
    CallConfig("chat", per_user_hour=3.0, run_seconds=3.0, run_sigma=0.6),
    CallConfig("learn", round_minutes=15.0, run_seconds=25.0, run_sigma=0.6),
)


@dataclass(frozen=True, slots=True)
class CityConfig:
    """A scenario: roads, sites, users that move and call functions, links, prices, and how episodes go.

    Attributes:
        roads: URI of the road network.
        sites: URI of the edge sites; or how many are generated, spread evenly over the roads.
        off_map: what happens to a site that is off the map: an error, or it is left out.
        users: URI of the users' positions. `trips:*?users=500` stands for trips on `roads`.
        layers: of the functions' images.
        functions: what can be called; those with a deadline are interactive, the others are not.
        calls: how often and how long.
        site_nodes: nodes of each site.
        cloud_nodes: nodes of the cloud; empty: there is none.
        links: latencies and rates.
        hand_over: what becomes of a request that waits for a container when its user moves into a zone which another
            place serves: `stay`, `follow` (it is sent to the new place, and waits there), or `if_free` (it is sent
            there if a container is free). The answer goes to the user in any case.
        prices: what energy and lateness cost.
        carbon: URI of the carbon intensity; None: `prices.carbon_g_per_kwh`.
        loose_deadline_seconds: requests with a deadline of at least that are routed by `route_loose`.
        sites_per_hub: one in so many sites is a hub, to which zones of its neighbourhood can be routed together.
        day_hours: first and last hour of each day in which calls are made; an episode lies in them.
        days: first day and the one after the last, in which episodes begin; None: all that positions cover.
        decision_interval_seconds: time between two decisions.
        episode_seconds: length of an episode.
        warm_up_seconds: before the moment from which an episode counts. Its policy decides then, too, but that costs
            nothing: so each begins in the running city that it makes, and not in one that suits another.
        seed: of generated sites and of calls.
    """

    roads: str = "grid-roads:village"
    sites: str | int = 10
    off_map: str = "error"
    users: str = "trips:*?users=150&days=2"
    layers: Sequence[LayerConfig] = LAYERS
    functions: Sequence[FunctionConfig] = FUNCTIONS
    calls: Sequence[CallConfig] = CALLS
    site_nodes: Sequence[NodeConfig] = (
        NodeConfig(memory_mib=16_384, cpu_milli=8_000, gpus=1, idle_watts=55.0, boot_seconds=40.0),
    )
    cloud_nodes: Sequence[NodeConfig] = (
        NodeConfig(count=4, memory_mib=262_144, cpu_milli=64_000, gpus=8, idle_watts=450.0, boot_seconds=90.0),
    )
    links: LinkConfig = field(default_factory=LinkConfig)
    hand_over: str = "if_free"
    prices: ContainerPrices = field(
        default_factory=lambda: ContainerPrices(
            usd_per_kwh=0.2, carbon_g_per_kwh=400.0, usd_per_tonne=100.0, usd_per_gib_hour=0.0, usd_per_gpu_hour=0.0,
            usd_per_waited_hour=0.05, usd_per_late=0.001,
        )
    )  # fmt: skip
    carbon: str | None = None
    loose_deadline_seconds: float = 1.0
    sites_per_hub: int = 6
    day_hours: tuple[float, float] = (0.0, 24.0)
    days: tuple[int, int] | None = None
    decision_interval_seconds: float = 60.0
    episode_seconds: float = 14_400.0
    warm_up_seconds: float = 900.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range, or a name names nothing.
        """
        if isinstance(self.sites, int):
            check_number("sites", self.sites, EnvironmentConfigError, low=1, high=20_000)
        if self.off_map not in ("error", "leave_out"):
            raise EnvironmentConfigError(f"off_map is {self.off_map!r}; it must be error or leave_out")
        if self.hand_over not in HAND_OVERS:
            raise EnvironmentConfigError(
                f"unknown hand_over {self.hand_over!r}{did_you_mean(self.hand_over, HAND_OVERS)}"
            )
        check_number("loose_deadline_seconds", self.loose_deadline_seconds, EnvironmentConfigError, above=0)
        check_number("sites_per_hub", self.sites_per_hub, EnvironmentConfigError, low=1)
        check_number(
            "decision_interval_seconds", self.decision_interval_seconds, EnvironmentConfigError, low=1, high=86_400
        )
        low = self.decision_interval_seconds
        check_number("episode_seconds", self.episode_seconds, EnvironmentConfigError, low=low, high=366 * 86_400)
        check_number("warm_up_seconds", self.warm_up_seconds, EnvironmentConfigError, low=0, high=86_400)
        start, end = self.day_hours
        if not 0 <= start < end <= 24:
            raise EnvironmentConfigError(f"day_hours is {start:g} to {end:g}; it must rise and lie in 0 to 24")
        if not self.functions or not self.site_nodes:
            raise EnvironmentConfigError("functions and site_nodes must not be empty")
