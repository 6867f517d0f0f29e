"""Covariance matrix adaptation: search the weights of a small policy of setpoints and levers, on the training part.

Source: Hansen, "The CMA Evolution Strategy: A Tutorial", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from agents.config import AgentConfig, Count, Fraction, NotNegative, Positive
from envs.gpu_cluster.codec import CodecLayout, lever_columns, number_of_inputs, number_of_outputs, number_of_weights

MAX_UNITS = 256

FEATURES = (
    "submitted_gpus_600s",
    "submitted_gpus_3600s",
    "submitted_gpus_21600s",
    "submitted_gpus_86400s",
    "submitted_10min_against_1h",
    "submitted_1h_against_24h",
    "submitted_jobs_1h",
    "since_submit",
    "queue_gpus",
    "running_jobs",
    "used_gpus",
    "pool.busy_nodes",
    "pool.idle_nodes",
    "pool.booting_nodes",
    "pool.fragmented_gpus",
    "pool.largest_free",
    "pool.nodes_share",
)
"""What predicts arrivals first, then what there is to serve them. Hours overfit on traces of some weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointConfig(AgentConfig):
    """What agents have in common whose policy is `envs.gpu_cluster.codec.setpoint_policy`, and who learns on windows.

    Attributes:
        hidden: units of each hidden layer of the policy; empty: it is linear.
        features: what the policy reads, names of `envs.gpu_cluster.codec.feature_choices`.
        price: what the policy makes of what waiting costs against an idle node (`usd_per_gpu_hour` of the objective, or
            of the live configuration): `ignored`; `added`, one more input; `crossed`: each feature also counts times
            that price. With `train.variations.usd_per_gpu_hour` one policy then serves every price; a linear one begins
            as constants that change with the price.
        levers: what the policy chooses beside setpoints, names of `envs.gpu_cluster.codec.LEVERS` that are on;
            None: all of those. The others keep the tuned constants.
        windows: that are played at a time, shared by the traces where there are several.
        window_days: length of a window, and at most a quarter of what is learned on.
        validation: share of the training part, at its end, that chooses the shrinkage.
        shrinkage: the factors that are tried.
        proof: standard errors by which the gain on the validation part must exceed 0.
        starts_from: agents whose policies `train.init_from` may name.
    """

    action_spaces: ClassVar[tuple[str, ...]] = ()
    clusters_only: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    has_onnx: ClassVar[bool] = False
    trains_on_several: ClassVar[bool] = True
    starts_from: ClassVar[tuple[str, ...]] = ("cma-es", "setpoint-ppo")

    hidden: tuple[Annotated[int, Field(ge=1, le=MAX_UNITS)], ...] = ()
    features: tuple[str, ...] = FEATURES
    price: Literal["ignored", "added", "crossed"] = "ignored"
    levers: tuple[str, ...] | None = None
    windows: Count = 8
    window_days: Positive = 4.0
    validation: Fraction = 0.33
    shrinkage: tuple[Fraction, ...] = (0.25, 0.5, 0.75, 1.0)
    proof: NotNegative = 1.0

    @property
    def inputs(self) -> int:
        """Inputs of the policy."""
        return number_of_inputs(len(self.features), self.price)

    def levers_of(self, layout: CodecLayout) -> tuple[str, ...]:
        """Names of the levers that policies of a layout choose."""
        return tuple(lever_columns(layout)) if self.levers is None else self.levers

    def sizes(self, layout: CodecLayout) -> tuple[int, ...]:
        """Inputs of the policy, units of its hidden layers, and its outputs."""
        return (self.inputs, *self.hidden, number_of_outputs(self.levers_of(layout)))

    def weights(self, layout: CodecLayout) -> int:
        """Weights of the policy."""
        return number_of_weights(self.inputs, self.hidden, number_of_outputs(self.levers_of(layout)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CmaES(SetpointConfig):
    """Settings of `cma-es`, which plays GPU clusters, and environments that offer a search (`agents.es.environment`).

    Each generation replays all its candidates on the same windows. Several searches take turns; the policy is the mean
    of their weights, shrunk towards the tuned constants by the factor that costs least on a part of the training part
    that no search sees. Where that does not prove a gain, the constants stay; where it does, the searches go on with
    that part too, and the factor stays. `train.total_steps` counts decisions.

    With several traces one policy is searched for all of them, each of which counts by shares of what the constants
    cost on it. A training that starts from another policy stays near that one instead of the constants.

    Attributes:
        restarts: searches, which differ in their random numbers.
        population: candidates of a generation; None: 4 + 3 ln(weights).
        sigma: standard deviation of the first candidates' weights; features are in [0, 1], and a change of 1 is one
            choice of the time-out, of the reserve or of a lever.
        penalty: relative cost of a mean square of 1 of the weights' distance to the constants.
        refit: share of the decisions, the last ones, with which a search that has proved a gain goes on over all of the
            training part. On GPU clusters only.
    """

    engine: ClassVar[str] = "agents.es"

    name: str = "cma-es"
    restarts: Count = 3
    population: Annotated[int, Field(ge=4)] | None = None
    sigma: Positive = 0.5
    penalty: NotNegative = 0.01
    refit: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
