"""Policies that choose setpoints and levers from named features: linear, or a small network.

CPython and numba both run this file. A policy of this kind moves each pool's setpoint, and those levers that it has an
output for, away from a start, the best constants that are known: with all weights zero it is those constants. Its
outputs are counted in choices of the codec, in an order in which neighbours are alike (`Lever.order`), and rounded to
the nearest one. The weights are the same for every pool, so one policy serves any number of pools. Jobs go to their
default pool, and the other levers keep their constants.

Only + - * and comparisons, in float64 and in one order, so the kernels that run whole replays, a batch of observations
in NumPy and the live loop choose by the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.features import CLUSTER_PARTS, POOL_PARTS, ArrivalFeature, part_names
from envs.gpu_cluster.codec.layout import HEADROOM_FRACTIONS, IDLE_AGE_EDGES_SECONDS, LEVERS, CodecLayout
from envs.gpu_cluster.codec.levers import RULE_SETPOINT

OUTPUTS = 2
"""Of a setpoint: a time-out and a reserve. Those of levers come after them."""

PRICE = "idle_cost_against_wait_cost"
"""The feature of a pool that says what waiting costs there."""

PRICES = ("ignored", "added", "crossed")
"""What a policy makes of the price of waiting: nothing, one more input, or also each feature times the price."""

FLOAT32_STEP = 1e-7
"""Observations are float32: quantities that exceed their scale by more than the inverse of this are not told apart."""

PRICE_SCALE = 30.0
"""Waiting for a node's GPUs that costs so many times as much as an idle node is the price 1/2."""

INTENSITY = "learned_intensity"
"""An input that is no feature: GPUs that are expected soon, by weights that are fitted to the trace."""

INTENSITY_INPUTS = tuple(
    feature for feature in ArrivalFeature if feature.name.startswith(("FADING", "BATCH", "USERS_NEXT"))
)
"""What it is a weighted sum of, each in its unit."""

INTENSITY_SCALE_GPUS = 8.0
"""So many expected GPUs are the input 1/2."""

TIMEOUTS = len(IDLE_AGE_EDGES_SECONDS)
RESERVES = len(HEADROOM_FRACTIONS)

LEVER_CHOICES = np.array([len(lever.choices) for lever in LEVERS])
"""[levers] int64, choices of each lever."""

LEVER_ORDERS = np.zeros((len(LEVERS), LEVER_CHOICES.max()))
"""[levers, most choices] float64, `Lever.order` of each lever."""
for _lever, _row in zip(LEVERS, LEVER_ORDERS, strict=True):
    _row[: len(_lever.order)] = _lever.order


class SetpointPolicies(NamedTuple):
    """K policies of one shape, with C features of the cluster and F of a pool.

    Attributes:
        cluster_at: [C] int64, where the features of the cluster stand in the observation.
        pool_at: [F] int64, where those of a pool stand among the features of that pool.
        first_pool: where the features of the first pool begin.
        per_pool: features of a pool in the observation.
        price_at: where `PRICE` stands among the features of a pool; -1: the price is ignored.
        is_crossed: whether inputs also count times the price.
        sizes: [layers + 1] int64: the inputs (C, the intensity, F, the price, and all before it times the price), the
            units of each hidden layer, `OUTPUTS` and one for each of L levers.
        levers: [L] int64, the levers that it chooses, as indices into `LEVERS`.
        lever_at: [L] int64, where in the action the choices of each begin, a component per pool.
        start: [OUTPUTS + L] float64, time-out, reserve and levers of the start, as positions in their orders; the
            reserve after the last fraction is `ALWAYS_ON`.
        intensity_at: [I] int64, where `INTENSITY_INPUTS` stand in the observation; [0]: `INTENSITY` is no input.
        intensity_scale: [I] float64, their scales.
        intensity: [1 + I] float64, GPUs that are expected anyway, and for each unit of those; [0] likewise.
        weights: [K, number of weights] float64, layer by layer: the biases, then for each input its weights.
    """

    cluster_at: NDArray[np.int64]
    pool_at: NDArray[np.int64]
    first_pool: int
    per_pool: int
    price_at: int
    is_crossed: bool
    sizes: NDArray[np.int64]
    levers: NDArray[np.int64]
    lever_at: NDArray[np.int64]
    start: NDArray[np.float64]
    intensity_at: NDArray[np.int64]
    intensity_scale: NDArray[np.float64]
    intensity: NDArray[np.float64]
    weights: NDArray[np.float64]


def run_layers(weights: NDArray[np.float64], sizes: NDArray[np.int64], values: NDArray[np.float64]) -> int:
    """Run a network whose hidden layers are rectified linear units; return the row of `values` with its outputs.

    Args:
        weights: [number of weights] float64, as in `SetpointPolicies`.
        sizes: [layers + 1] int64, likewise.
        values: [3, most units] float64, the inputs in row 0; scratch. A third dimension is a batch, in NumPy only.
    """
    at, source = 0, 0
    for layer in range(sizes.shape[0] - 1):
        inputs, outputs, target = sizes[layer], sizes[layer + 1], 1 - source
        for unit in range(outputs):
            values[target, unit] = weights[at + unit]
        at += outputs
        # Input by input: the sums have one order, and the inner loop runs over units that do not wait for each other.
        for entry in range(inputs):
            for unit in range(outputs):
                values[target, unit] += weights[at + unit] * values[source, entry]
            at += outputs
        if layer + 2 < sizes.shape[0]:
            for unit in range(outputs):
                values[target, unit] = np.maximum(values[target, unit], 0.0)
        source = target
    return source


def nearest_setpoint(timeout: Any, reserve: Any) -> Any:
    """The setpoint nearest to a time-out and a reserve, both as indices; a whole float64, or an array of such."""
    edge = np.minimum(np.maximum(np.floor(timeout + 0.5), 0.0), TIMEOUTS - 1.0)
    row = np.minimum(np.maximum(np.floor(reserve + 0.5), 0.0), float(RESERVES))
    return np.minimum(row * TIMEOUTS + edge, float(RESERVES * TIMEOUTS))  # `ALWAYS_ON` is one setpoint, the last


def nearest_choice(lever: int, position: Any) -> Any:
    """The choice of a lever nearest to a position in its order; a whole float64, or an array of such."""
    nearest = np.minimum(np.maximum(np.floor(position + 0.5), 0.0), LEVER_CHOICES[lever] - 1.0)
    choice = 0.0 * nearest
    for entry in range(LEVER_CHOICES[lever]):  # a sum, for numba has no look-up that also takes an array
        choice = choice + LEVER_ORDERS[lever, entry] * (nearest == entry)
    return choice


def price_of(against: Any) -> Any:
    """The price of waiting as policies read it, 0 to 1, from the feature `PRICE`; a number, or an array or tensor."""
    return (1.0 - against) / (1.0 - against + PRICE_SCALE * against)


def read_intensity(
    policies: SetpointPolicies, observation: NDArray[Any], inputs: NDArray[np.float64], entry: int
) -> None:
    """Write the input `INTENSITY` at `inputs[entry]`. See `write_inputs`."""
    total = policies.intensity[0]
    for number in range(policies.intensity_at.shape[0]):
        inputs[entry] = observation[policies.intensity_at[number]]  # from here on float64
        quantity = policies.intensity_scale[number] * inputs[entry] / np.maximum(1.0 - inputs[entry], FLOAT32_STEP)
        total = total + policies.intensity[1 + number] * quantity
    inputs[entry] = total / (total + INTENSITY_SCALE_GPUS)


def write_inputs(policies: SetpointPolicies, observation: NDArray[Any], pool: int, inputs: NDArray[np.float64]) -> None:
    """Write what policies read of a pool.

    Args:
        policies: of one shape.
        observation: [observation size] float32. A second dimension is a batch, in NumPy only.
        pool: which pool, present or not.
        inputs: [at least the inputs] float64, written; in NumPy with the batch as second dimension.
    """
    count = policies.cluster_at.shape[0]
    for entry in range(count):
        inputs[entry] = observation[policies.cluster_at[entry]]
    if policies.intensity.shape[0] > 0:
        read_intensity(policies, observation, inputs, count)
        count += 1
    at = policies.first_pool + pool * policies.per_pool
    for entry in range(policies.pool_at.shape[0]):
        inputs[count + entry] = observation[at + policies.pool_at[entry]]
    if policies.price_at >= 0:
        count += policies.pool_at.shape[0]
        inputs[count] = observation[at + policies.price_at]
        inputs[count] = price_of(inputs[count])
        if policies.is_crossed:
            for entry in range(count):
                inputs[count + 1 + entry] = inputs[entry] * inputs[count]


def learned_outputs(
    policies: SetpointPolicies, number: int, observation: NDArray[Any], pool: int, values: NDArray[np.float64]
) -> int:
    """Run a policy for a pool; return the row of `values` with its outputs, as indices and not rounded.

    Args:
        policies: several.
        number: which of them.
        observation: [observation size] float32. A second dimension is a batch, in NumPy only.
        pool: which pool, present or not.
        values: [3, most units] float64, of `scratch_for`; in NumPy with the batch as third dimension.
    """
    write_inputs(policies, observation, pool, values[0])
    row = run_layers(policies.weights[number], policies.sizes, values)
    for output in range(policies.start.shape[0]):
        values[row, output] += policies.start[output]
    return row


def write_choices(policies: SetpointPolicies, row: int, values: NDArray[np.float64]) -> None:
    """Round outputs in a row of `values` to choices, whole numbers in row 2: the setpoint, then the levers."""
    values[2, 0] = nearest_setpoint(values[row, 0], values[row, 1])
    for entry in range(policies.levers.shape[0]):
        values[2, 1 + entry] = nearest_choice(policies.levers[entry], values[row, OUTPUTS + entry])


def learned_choices(
    policies: SetpointPolicies, number: int, observation: NDArray[Any], pool: int, values: NDArray[np.float64]
) -> None:
    """Write what a policy chooses for a pool, whole numbers, into row 2 of `values`: the setpoint, then its levers.

    Args:
        policies: several.
        number: which of them.
        observation: as in `learned_outputs`.
        pool: which pool, present or not.
        values: as in `learned_outputs`.
    """
    write_choices(policies, learned_outputs(policies, number, observation, pool, values), values)


def start_of(layout: CodecLayout, rule: NDArray[np.int64], levers: Sequence[str] = ()) -> NDArray[np.float64]:
    """[OUTPUTS + L] float64: where policies of a layout begin that choose setpoints and levers, from a rule.

    Args:
        layout: the codec layout.
        rule: [RULE_SIZE] int64, the best constants that are known.
        levers: names in `LEVERS`.
    """
    setpoint = int(rule[RULE_SETPOINT])
    edge = IDLE_AGE_EDGES_SECONDS.index(layout.setpoints[setpoint][0])
    of_levers = [LEVERS[at].order.index(rule[1 + at]) for at in lever_indices(levers)]
    return np.array([edge, setpoint // TIMEOUTS, *of_levers], np.float64)


def lever_indices(levers: Sequence[str]) -> list[int]:
    """The places of levers in `LEVERS`, from their names there."""
    names = [lever.name for lever in LEVERS]
    return [names.index(lever) for lever in levers]


def lever_columns(layout: CodecLayout) -> dict[str, int]:
    """The levers that are on, by name: where in the action their choices begin, a component per pool."""
    on = [lever.name for lever in LEVERS if getattr(layout, lever.switch)]
    return {name: layout.max_pools * (1 + at) + layout.window_slots for at, name in enumerate(on)}


def feature_choices(layout: CodecLayout) -> tuple[str, ...]:
    """What a policy of a layout may name: features of the cluster, `INTENSITY`, and `pool.NAME` of each pool."""
    pool = part_names(POOL_PARTS, layout)
    learned = (INTENSITY,) if layout.arrival_features else ()
    return (*part_names(CLUSTER_PARTS, layout), *learned, *(f"pool.{name}" for name in pool))


def number_of_inputs(features: int, price: str) -> int:
    """Inputs of a policy that reads so many features, and the price of waiting as one of `PRICES` says."""
    return {"ignored": features, "added": features + 1, "crossed": 2 * features + 1}[price]


def number_of_outputs(levers: Sequence[str]) -> int:
    """Outputs of a policy that chooses setpoints and these levers."""
    return OUTPUTS + len(levers)


def number_of_weights(inputs: int, hidden: Sequence[int], outputs: int = OUTPUTS) -> int:
    """Weights of a policy with so many inputs, units of its hidden layers, and outputs."""
    sizes = (inputs, *hidden, outputs)
    return sum((before + 1) * after for before, after in pairwise(sizes))


def make_policies(
    layout: CodecLayout,
    features: Sequence[str],
    hidden: Sequence[int],
    start: NDArray[np.float64],
    weights: NDArray[np.float64],
    price: str = PRICES[0],
    levers: Sequence[str] = (),
    intensity: NDArray[np.float64] | None = None,
) -> SetpointPolicies:
    """Policies of a layout.

    Args:
        layout: the codec layout.
        features: names of `feature_choices`, those of the cluster and of a pool in any order; each keeps its place
            among its own kind. `INTENSITY` comes after those of the cluster.
        hidden: units of each hidden layer; empty: linear.
        start: [OUTPUTS + L] float64, of `start_of` with the same levers.
        weights: [K, number of weights] float64.
        price: of `PRICES`.
        levers: L names in `LEVERS` that it chooses beside setpoints.
        intensity: [1 + I] float64, see `SetpointPolicies`; None: `INTENSITY` is not among the features.

    Raises:
        ValueError: a feature is unknown, a lever is not on, or the weights do not fit.
    """
    cluster, pool = part_names(CLUSTER_PARTS, layout), part_names(POOL_PARTS, layout)
    unknown = [name for name in features if name not in feature_choices(layout)]
    if unknown:
        raise ValueError(f"feature {unknown[0]!r} is no feature of this codec")
    columns = lever_columns(layout)
    off = [name for name in levers if name not in columns]
    if off:
        raise ValueError(f"lever {off[0]!r} is not on in this codec")
    inputs, outputs = number_of_inputs(len(features), price), number_of_outputs(levers)
    needed = number_of_weights(inputs, hidden, outputs)
    if (INTENSITY in features) != (intensity is not None):
        raise ValueError(f"{INTENSITY} needs its fitted weights, and nothing else has such")
    if intensity is not None and intensity.shape != (1 + len(INTENSITY_INPUTS),):
        raise ValueError(f"weights of {INTENSITY} have the shape {intensity.shape}, not ({1 + len(INTENSITY_INPUTS)},)")
    if weights.ndim != 2 or weights.shape[1] != needed:
        raise ValueError(
            f"weights have the shape {weights.shape}; {inputs} inputs, hidden layers {tuple(hidden)} and {outputs} "
            f"outputs need {needed} each"
        )
    read = () if intensity is None else INTENSITY_INPUTS
    return SetpointPolicies(
        cluster_at=np.array([cluster.index(name) for name in features if name in cluster], np.int64),
        pool_at=np.array(
            [pool.index(name.removeprefix("pool.")) for name in features if name.startswith("pool.")], np.int64
        ),
        first_pool=len(cluster),
        per_pool=len(pool),
        price_at=-1 if price == "ignored" else pool.index(PRICE),
        is_crossed=price == "crossed",
        sizes=np.array((inputs, *hidden, outputs), np.int64),
        levers=np.array(lever_indices(levers), np.int64),
        lever_at=np.array([columns[name] for name in levers], np.int64),
        start=np.ascontiguousarray(start, np.float64),
        intensity_at=np.array([cluster.index(each.name.lower()) for each in read], np.int64),
        intensity_scale=np.array([each.scale for each in read], np.float64),
        intensity=np.zeros(0) if intensity is None else np.ascontiguousarray(intensity, np.float64),
        weights=np.ascontiguousarray(weights, np.float64),
    )


def scratch_for(policies: SetpointPolicies, *batch: int) -> NDArray[np.float64]:
    """[3, most units, *batch] float64, the scratch memory of `learned_choices`."""
    return np.zeros((3, int(policies.sizes.max()), *batch))
