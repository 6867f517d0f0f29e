"""Settings of training, and what every agent's own settings have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, ClassVar, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from agents.errors import AgentConfigError
from configs.tagged import Tagged

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

DEFAULT_AGENT = "maskable-ppo"
DEFAULT_DISCOUNT = 0.998

DISCOUNT_SECONDS = 60.0
"""A reward that comes so much later is discounted by `gamma` once, whatever time the steps take."""


def field_names(schema: Any) -> list[str]:
    """Names of the fields of a dataclass."""
    return [entry.name for entry in fields(schema)]


@cache
def _adapters(schema: type[Any]) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(schema, include_extras=True)
    return {name: TypeAdapter(hints[name]) for name in field_names(schema)}


def check_fields(settings: Any, prefix: str) -> None:
    """Refuse values that the annotations of a dataclass do not allow.

    Args:
        settings: an instance of the dataclass.
        prefix: what messages call it.

    Raises:
        AgentConfigError: a value has the wrong type, or is out of its range.
    """
    adapters: dict[str, TypeAdapter[Any]] = _adapters(type(settings))  # type: ignore[arg-type]
    for name in field_names(type(settings)):
        value = getattr(settings, name)
        try:
            adapters[name].validate_python(value, strict=True)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Input ")
            raise AgentConfigError(f"{prefix}.{name} is {value!r}; it {reason}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig(Tagged):
    """An agent by name. Each agent derives its own settings from this class; `agents.registry.AGENTS` lists them.

    The class of an agent owns everything about it: its fields are its hyperparameters, its class attributes say which
    engine trains it and what it needs. Make one with `agents.registry.make_agent`, or read it from YAML.

    Attributes:
        name: a key of `agents.registry.AGENTS`.
        engine: package that trains it; its module `training` has `train(task, folder, hooks, resume) -> Result`, its
            module `files` has `load_trained(folder, manifest) -> Policy`.
        action_spaces: names of the Gymnasium action spaces that it can play.
        clusters_only: it trains on GPU clusters alone, whatever their action space.
        only_env: id of the one environment that it is made for; None: it plays what its action spaces say.
        has_onnx: whether its policy is also saved as ONNX, which a cluster then runs; else NumPy alone runs it.
        masked: whether it sees the action mask. Where it does not, a choice outside the mask means the default, in
            training, in the saved policy and on a cluster: see `envs.gpu_cluster.codec.decode`.
        trains_on_several: whether it trains one policy on several traces, `train.traces` and `train.variations`.
    """

    engine: ClassVar[str]
    action_spaces: ClassVar[tuple[str, ...]]
    clusters_only: ClassVar[bool] = False
    only_env: ClassVar[str | None] = None
    masked: ClassVar[bool] = False
    has_onnx: ClassVar[bool] = True
    trains_on_several: ClassVar[bool] = False

    name: str

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            AgentConfigError: a value is out of its range.
        """
        check_fields(self, "agent")

    @classmethod
    def config_schema(cls, values: Mapping[str, Any]) -> type[AgentConfig]:
        """The settings class of the agent that `values` name.

        Raises:
            AgentConfigError: there is no such agent.
        """
        from agents.registry import AGENTS

        return AGENTS[str(values.get("name", DEFAULT_AGENT))]

    @classmethod
    def is_continuous(cls) -> bool:
        """Whether it plays Box actions alone; on GPU clusters these are `envs.gpu_cluster.setpoint_box`."""
        return cls.action_spaces == ("Box",)

    @property
    def discount(self) -> float:
        """Weight of a reward `DISCOUNT_SECONDS` later; the scale of the rewards depends on it."""
        return float(getattr(self, "gamma", DEFAULT_DISCOUNT))


def check_agent_class(name: str, found: Any) -> None:
    """Refuse what is no agent.

    Raises:
        AgentConfigError: as above.
    """
    if not (isinstance(found, type) and issubclass(found, AgentConfig) and found is not AgentConfig):
        raise AgentConfigError(f"agent {name!r} must be a class that derives from agents.config.AgentConfig")


@dataclass(frozen=True, slots=True)
class CallbackConfig:
    """A callback of the user.

    Attributes:
        target: `module:Class`, a class that derives from Stable-Baselines3's `BaseCallback`.
        kwargs: its keyword arguments.
    """

    target: str
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class VariationConfig:
    """Further versions of each trace that is trained on, so that a policy meets clusters that it has not seen.

    Each copy draws its own value of each quantity, uniformly in its logarithm between two bounds.

    Attributes:
        copies: further versions of each trace; 0: none.
        load: factors on the rate of submissions.
        boot_seconds: boot times of the nodes of all pools; None: as they are.
        usd_per_gpu_hour: prices of waiting; None: as it is.
    """

    copies: Annotated[int, Field(ge=0)] = 0
    load: tuple[Positive, Positive] = (1.0, 1.0)
    boot_seconds: tuple[Positive, Positive] | None = None
    usd_per_gpu_hour: tuple[Positive, Positive] | None = None

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            AgentConfigError: a value is out of its range, or a lower bound above its upper one.
        """
        check_fields(self, "train.variations")
        for name in ("load", "boot_seconds", "usd_per_gpu_hour"):
            bounds = getattr(self, name)
            if bounds is not None and bounds[0] > bounds[1]:
                raise AgentConfigError(
                    f"train.variations.{name} is {list(bounds)}; the lower bound comes first: {sorted(bounds)}"
                )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How long and on what to train.

    Attributes:
        total_steps: environment steps, over all environments.
        num_envs: clusters in the batch.
        threads: threads of torch; more than one changes the last bits of the result, so it is part of the config.
        validations: how often the deterministic policy is scored on the training window; the best one is kept.
        validation_windows: windows that the training window is cut into for tuning and validation.
        checkpoint_steps: environment steps between two checkpoints.
        reward: `module:function` that makes the reward from the terms of a step; None: the environment's own.
        callbacks: callbacks of the user, called after each step.
        init_from: folder of a run or an artifact whose policy the training starts from; None: new weights.
        traces: URIs of further traces that one policy is trained on, each with a cluster of its own where that is
            `auto`; on GPU clusters only.
        variations: further versions of each trace; likewise.
    """

    total_steps: Count = 3_000_000
    num_envs: Count = 256
    threads: Count = 1
    validations: Count = 10
    validation_windows: Count = 6
    checkpoint_steps: Count = 500_000
    reward: str | None = None
    callbacks: tuple[CallbackConfig, ...] = ()
    init_from: str | None = None
    traces: tuple[str, ...] = ()
    variations: VariationConfig = field(default_factory=VariationConfig)

    @property
    def is_on_several(self) -> bool:
        """Whether the policy is trained on more than the experiment's own trace."""
        return bool(self.traces or self.variations.copies)

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            AgentConfigError: a value is out of its range.
        """
        check_fields(self, "train")
