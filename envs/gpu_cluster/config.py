"""Settings of an environment and of the objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from configs.checks import check_choice, check_number
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.grid import GridEventConfig, GridEventSource, check_grid_events
from envs.gpu_cluster.regions import RegionConfig, check_regions
from envs.gpu_cluster.registry import PACKERS, QUEUE_ORDERS


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """What a run costs: energy, carbon, nodes and delay, each at its price.

    That is the energy of each hour at the price of that hour, carbon at `usd_per_tonne`, node-hours at the pools'
    `usd_per_node_hour`, and (waited_gpu_hours + overhead_gpu_hours) * usd_per_gpu_hour. Overhead is what jobs hold
    beyond their work: moves, restarts, work that is done again or slowly.

    Attributes:
        usd_per_kwh: price of energy where no signal gives it.
        usd_per_gpu_hour: price of an hour of waiting, for each GPU that the waiting job requests; about what a GPU-hour
            costs in a cloud.
        carbon_g_per_kwh: carbon intensity where no signal gives it, gCO2e/kWh; None: unknown, and counted as 0.
        usd_per_tonne: price of a tonne of CO2e, of energy and embodied.
    """

    usd_per_kwh: float = 0.15
    usd_per_gpu_hour: float = 1.0
    carbon_g_per_kwh: float | None = None
    usd_per_tonne: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a price is negative or not finite.
        """
        for name in ("usd_per_kwh", "usd_per_gpu_hour", "carbon_g_per_kwh", "usd_per_tonne"):
            check_number(f"objective.{name}", getattr(self, name), EnvironmentConfigError, low=0.0)


ESTIMATES = ("given", "given-else-exact", "exact", "none")
"""What is known of a job's run time before it ends: the trace's estimate, which may be wrong, or the truth."""


BACKFILL_POLICIES = ("any", "none", "backfill")
"""Which jobs may start in a pool before one that had its turn there and did not fit (a job that is held has no turn).

any: all that fit. none: no other, so that the order is strict. backfill: those that do not delay it, because they are
expected to end before it can be expected to start, or because both fit then (EASY).

Source: D. Lifka, The ANL/IBM SP Scheduling System, 1995.
"""

OWNERS = ("user", "group")
"""Columns of the trace that say who owns a job."""


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """In which order waiting jobs get their turn, and who may start.

    Attributes:
        order: whose turn is first, a name in `envs.gpu_cluster.registry.QUEUE_ORDERS`, or `module:NAME` of a custom
            order; of equals, who was submitted first.
        priorities: jobs of higher priority come first, in that order among equals.
        backfill_policy: who may start before a job that does not fit, one of `BACKFILL_POLICIES`.
        estimates: what is known of a run time, one of `ESTIMATES`; `given`: what the trace says, nothing where it says
            nothing. Where nothing is known a job counts as the longest. How long it really runs is the same.
        preemption: jobs of lower priority that can be checkpointed are stopped where one of higher priority does
            not fit otherwise, and wait again; as few as can be, the least urgent and of those the last submitted.
        max_victims: most jobs that are stopped for one.
        preemption_notice: they write a checkpoint before they are stopped; else the work since the last one is lost.
        owner: who owns a job for fair share and quotas, one of `OWNERS`; jobs that do not say have one owner together.
        usage_halving_seconds: the GPU time that an owner has used is halved each time so much has passed since the
            episode began; None: never.
        quotas_gpus: most GPUs that an owner may use at once, by name; jobs over it wait and others go first.
        default_quota_gpus: the same for all other owners; None: no limit.
        deferral: jobs to which the trace gives a latest start may be held until then, and no longer, whatever
            `codec.max_hold_seconds` says; a decision comes when it does.
        deferral_is_free: their waiting costs nothing before it.
        deadlines: count the jobs that end after their deadline.
    """

    order: str = "submission"
    priorities: bool = False
    backfill_policy: str = "any"
    estimates: str = "given"
    preemption: bool = False
    max_victims: int = 8
    preemption_notice: bool = True
    owner: str = "user"
    usage_halving_seconds: float | None = None
    quotas_gpus: Mapping[str, float] = field(default_factory=dict, hash=False)
    default_quota_gpus: float | None = None
    deferral: bool = False
    deferral_is_free: bool = True
    deadlines: bool = False

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: there is no such choice, or a number is out of range.
        """
        QUEUE_ORDERS.require(self.order, "physics.queue.order")
        check_choice("physics.queue.backfill_policy", self.backfill_policy, BACKFILL_POLICIES, EnvironmentConfigError)
        check_choice("physics.queue.owner", self.owner, OWNERS, EnvironmentConfigError)
        check_choice("physics.queue.estimates", self.estimates, ESTIMATES, EnvironmentConfigError)
        if self.preemption and not self.priorities:
            raise EnvironmentConfigError("physics.queue.preemption is by priority; set physics.queue.priorities too")
        check_number("physics.queue.max_victims", self.max_victims, EnvironmentConfigError, low=1)
        halving = self.usage_halving_seconds
        check_number("physics.queue.usage_halving_seconds", halving, EnvironmentConfigError, low=0.001)
        check_number("physics.queue.default_quota_gpus", self.default_quota_gpus, EnvironmentConfigError, above=0.0)
        for name, gpus in self.quotas_gpus.items():
            check_number(f"physics.queue.quotas_gpus.{name}", gpus, EnvironmentConfigError, above=0.0)


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
        check_number("physics.curves.resize_seconds", self.resize_seconds, EnvironmentConfigError, low=0.0)

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
        max_suspend_seconds: for how long in all a job may be suspended.
        max_fresh_restarts: how often nodes that go may cost a job all its work, in an episode that lasts until all jobs
            are done; once more is an error, for it would hardly ever end.
        curves: what makes jobs faster or slower.
        seed: of what happens to nodes at random, in replays; an environment draws one for each episode.
        queue: in which order waiting jobs get their turn.
        second_resources: jobs also need the CPUs and the memory that the trace says, where the cluster says how much of
            them its nodes have.
    """

    tracks_work: bool = False
    restart_seconds: float = 60.0
    max_suspend_seconds: float = 14400.0
    max_fresh_restarts: int = 1000
    curves: CurvesConfig = field(default_factory=CurvesConfig)
    seed: int = 0
    queue: QueueConfig = field(default_factory=QueueConfig)
    second_resources: bool = False

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a time is negative or not finite, or a number out of range.
        """
        check_number("physics.seed", self.seed, EnvironmentConfigError, low=0, high=2**63 - 1)
        check_number("physics.max_fresh_restarts", self.max_fresh_restarts, EnvironmentConfigError, low=1)
        check_number("physics.restart_seconds", self.restart_seconds, EnvironmentConfigError, low=0.0)
        check_number("physics.max_suspend_seconds", self.max_suspend_seconds, EnvironmentConfigError, low=0.0)


@dataclass(frozen=True, slots=True)
class EnvironmentConfig:
    """How a cluster is simulated and what the agent sees of it.

    Attributes:
        settle_seconds: least time between two decisions (a decision follows an event): what comes after one until this
            has passed is decided on together.
        decision_interval_seconds: least time between two changes of a pool's setpoint.
        resync_interval_seconds: most time between two decisions, when nothing happens.
        episode_seconds: length of a training episode.
        packer: which nodes of a pool a job gets, a name in `envs.gpu_cluster.registry.PACKERS`, or `module:NAME` of a
            custom packer.
        move_seconds: how long a job that is moved to another node, or goes on after it was suspended, makes no progress
            (checkpoint and restart).
        debug: check every invariant of the simulator after every event (many times slower).
        physics: what happens beyond jobs that run for their duration on nodes that boot.
        codec: sizes of observation and action.
        objective: prices.
        regions: what energy costs and emits by place and hour; a pool names its region.
        grid_events: times in which the cluster may draw no more than a budget of power, in order of time; or a file of
            them.
    """

    settle_seconds: float = 1.0
    decision_interval_seconds: float = 10.0
    resync_interval_seconds: float = 600.0
    episode_seconds: float = 7 * 86400.0
    packer: str = "best-fit"
    move_seconds: float = 120.0
    debug: bool = False
    physics: PhysicsConfig = field(default_factory=PhysicsConfig)
    codec: CodecLayout = field(default_factory=CodecLayout)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    regions: tuple[RegionConfig, ...] = ()
    grid_events: tuple[GridEventConfig, ...] | GridEventSource = ()

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a time is out of range, or there is no such packer.
        """
        settle = self.settle_seconds
        check_number("settle_seconds", settle, EnvironmentConfigError, low=0.001)
        check_number("decision_interval_seconds", self.decision_interval_seconds, EnvironmentConfigError, low=0.0)
        for name in ("resync_interval_seconds", "episode_seconds"):
            if not settle <= getattr(self, name) < float("inf"):
                raise EnvironmentConfigError(
                    f"{name} is {getattr(self, name)}; it must be at least settle_seconds ({settle})"
                )
        check_number("move_seconds", self.move_seconds, EnvironmentConfigError, low=0.0)
        PACKERS.require(self.packer, "packer")
        check_regions(self.regions)
        if not isinstance(self.grid_events, GridEventSource):
            check_grid_events(self.grid_events, settle)
