"""Settings of an environment and of the objective."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from configs.errors import did_you_mean
from envs.codec import CodecLayout
from envs.errors import EnvironmentConfigError

PACKERS = ("best-fit", "first-fit", "worst-fit")
"""In-pool packers. best-fit: the busy node with the least room that suffices, else an idle node. first-fit: the busy
node with the lowest number that has room, else an idle node. worst-fit: an idle node, else the busy node with the most
room."""


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """What a run costs: energy_kwh * usd_per_kwh + (waited_gpu_hours + overhead_gpu_hours) * usd_per_gpu_hour.

    Overhead is what jobs hold beyond their work: moves, restarts, work that is done again or slowly.

    Attributes:
        usd_per_kwh: price of energy.
        usd_per_gpu_hour: price of an hour of waiting, for each GPU that the waiting job asks.
    """

    usd_per_kwh: float = 0.15
    usd_per_gpu_hour: float = 0.10

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a price is negative or not finite.
        """
        for name in ("usd_per_kwh", "usd_per_gpu_hour"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise EnvironmentConfigError(f"objective.{name} is {getattr(self, name)}; it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class CurvesConfig:
    """Measured curves that make jobs faster or slower; each is off where its URI is None.

    Attributes:
        speeds: speed of GPU models by workload, `preset:gavel` or `gavel:PATH`; a pool without a model counts as the
            reference.
        reference_model: the model on which the durations of the trace were measured.
        spread: slow-down of jobs over several nodes, `preset:pollux` or `pollux:FOLDER`.
        scaling: throughput by width for elastic jobs, `preset:elasticflow`, `elasticflow:FOLDER` or `pollux:FOLDER`;
            None: linear.
        power_caps: speed and power under a cap, `preset:V100` (`A40`, `P100`, `RTX6000`) or `zeus:PATH`; None: a cap
            changes nothing.
        resize_seconds: how long a job whose width changes makes no progress.
    """

    speeds: str | None = None
    reference_model: str = "V100"
    spread: str | None = None
    scaling: str | None = None
    power_caps: str | None = None
    resize_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a time is negative or not finite.
        """
        if not 0.0 <= self.resize_seconds < math.inf:
            raise EnvironmentConfigError(
                f"physics.curves.resize_seconds is {self.resize_seconds}; it must be finite and >= 0"
            )

    @property
    def is_on(self) -> bool:
        """Whether any curve is given."""
        return any(uri is not None for uri in (self.speeds, self.spread, self.scaling, self.power_caps))


@dataclass(frozen=True, slots=True)
class PhysicsConfig:
    """What happens beyond jobs that run for their duration on nodes that boot; all of it is off by default.

    Attributes:
        tracks_work: keep how much work each job has left even where nothing below needs it; the results are the same.
        restart_seconds: how long a job that was preempted makes no progress when it runs again.
        curves: what makes jobs faster or slower.
        seed: of what happens to nodes by lot, in replays; an environment draws one for each episode.
    """

    tracks_work: bool = False
    restart_seconds: float = 60.0
    curves: CurvesConfig = field(default_factory=CurvesConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a time is negative or not finite, or the seed out of range.
        """
        if not 0 <= self.seed < 2**63:
            raise EnvironmentConfigError(f"physics.seed is {self.seed}; it must be 0 to 2**63 - 1")
        if not 0.0 <= self.restart_seconds < math.inf:
            raise EnvironmentConfigError(
                f"physics.restart_seconds is {self.restart_seconds}; it must be finite and >= 0"
            )


@dataclass(frozen=True, slots=True)
class EnvironmentConfig:
    """How a cluster is simulated and what the agent sees of it.

    Attributes:
        decision_interval_seconds: least time between two decisions (a decision follows an event).
        resync_interval_seconds: most time between two decisions, when nothing happens.
        episode_seconds: length of a training episode.
        packer: in-pool packer, one of `PACKERS`.
        move_seconds: how long a job that is moved to another node makes no progress (checkpoint and restart).
        debug: check every invariant of the simulator after every event (many times slower).
        physics: what happens beyond jobs that run for their duration on nodes that boot.
        codec: sizes of observation and action.
        objective: prices.
    """

    decision_interval_seconds: float = 60.0
    resync_interval_seconds: float = 600.0
    episode_seconds: float = 7 * 86400.0
    packer: str = "best-fit"
    move_seconds: float = 120.0
    debug: bool = False
    physics: PhysicsConfig = field(default_factory=PhysicsConfig)
    codec: CodecLayout = field(default_factory=CodecLayout)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a time is out of range, or there is no such packer.
        """
        if not 0.001 <= self.decision_interval_seconds < math.inf:
            raise EnvironmentConfigError(
                f"decision_interval_seconds is {self.decision_interval_seconds}; it must be at least 0.001"
            )
        if not self.decision_interval_seconds <= self.resync_interval_seconds < math.inf:
            raise EnvironmentConfigError(
                f"resync_interval_seconds is {self.resync_interval_seconds}; it must be at least "
                f"decision_interval_seconds ({self.decision_interval_seconds})"
            )
        if not self.decision_interval_seconds <= self.episode_seconds < math.inf:
            raise EnvironmentConfigError(
                f"episode_seconds is {self.episode_seconds}; it must be at least decision_interval_seconds "
                f"({self.decision_interval_seconds})"
            )
        if not 0.0 <= self.move_seconds < math.inf:
            raise EnvironmentConfigError(f"move_seconds is {self.move_seconds}; it must be finite and >= 0")
        if self.packer not in PACKERS:
            raise EnvironmentConfigError(f"unknown packer {self.packer!r}{did_you_mean(self.packer, PACKERS)}")
