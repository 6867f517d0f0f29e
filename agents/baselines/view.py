"""What a rule reads: the quantities behind an observation, in their units, and the choices that the mask allows.

Rules act on what every policy sees. The codec squashes quantities to [0, 1); here they are stretched again, so that a
rule can be written in nodes, GPUs and seconds as its paper has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import (
    HEADROOM_FRACTIONS,
    IDLE_AGE_EDGES_SECONDS,
    LEVERS,
    MAX_GPUS_PER_NODE,
    CodecLayout,
    observation_names,
)
from envs.gpu_cluster.codec.features import describe_features

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HAT_HOURS = 4.0
HATS = tuple(f"hour_{hour:02d}" for hour in range(0, 24, 4))
TIMEOUTS = len(IDLE_AGE_EDGES_SECONDS)
FRACTIONS = np.array(HEADROOM_FRACTIONS)


class Choices(NamedTuple):
    """An action in parts, to be changed in place; what is not valid in the end becomes the default.

    Attributes:
        timeout: [B, P] int64, index into `IDLE_AGE_EDGES_SECONDS`.
        headroom: [B, P] int64, index into `HEADROOM_FRACTIONS`; one more: every node of the pool is on.
        placement: [B, W] int64, 0 to hold, or pool + 1.
        levers: by the name in `LEVERS`: [B, P] int64, index into its choices; without its switch it means nothing.
    """

    timeout: Ints
    headroom: Ints
    placement: Ints
    levers: Mapping[str, Ints]


class Reader:
    """Where a layout has each feature and each choice.

    Args:
        layout: the codec layout.

    Attributes:
        layout: the codec layout.
        hold_columns: [W] int64, positions in the mask of `HOLD` of each slot.
    """

    def __init__(self, layout: CodecLayout) -> None:
        self.layout = layout
        self._names = {name: index for index, name in enumerate(observation_names(layout))}
        self._scales: dict[tuple[str, str], float | None] = {
            (owner, name): scale for owner, name, _, scale, _ in describe_features()
        }
        self._columns: dict[tuple[str, str], Ints] = {}
        self._starts = np.cumsum([0, *layout.action_sizes[:-1]])
        self.hold_columns = self._starts[layout.max_pools : layout.max_pools + layout.window_slots]
        self._levers = [lever.name for lever in LEVERS if getattr(layout, lever.switch)]

    def read(self, observations: NDArray[np.float32], masks: Bools) -> View:
        """What is to be seen of a batch of clusters."""
        return View(self, observations, masks)

    def columns(self, owner: str, name: str) -> tuple[Ints, float | None]:
        """Positions of a feature in the observation, in the shape that its owner has, and its scale."""
        key = (owner, name)
        if key not in self._columns:
            pools, slots = range(self.layout.max_pools), range(self.layout.window_slots)
            if owner == "cluster":
                found = np.array(self._names[name])
            elif owner == "pool":
                found = np.array([self._names[f"pool{pool}.{name}"] for pool in pools])
            elif owner == "slot":
                found = np.array([self._names[f"slot{slot}.{name}"] for slot in slots])
            else:
                found = np.array([[self._names[f"slot{slot}.pool{pool}.{name}"] for pool in pools] for slot in slots])
                found = found.reshape(len(slots), len(pools))
            self._columns[key] = found.astype(np.int64)
        return self._columns[key], self._scales[key]

    def action(self, choices: Choices, masks: Bools) -> Ints:
        """[B, components] int64: the choices, and where one is not valid the first that is."""
        setpoints = np.where(
            choices.headroom < len(FRACTIONS),
            choices.headroom * TIMEOUTS + choices.timeout,
            len(self.layout.setpoints) - 1,
        )
        parts = [setpoints, choices.placement, *(choices.levers[name] for name in self._levers)]
        wanted = np.concatenate(parts, axis=1)
        valid = np.take_along_axis(masks, self._starts + wanted, axis=1)
        if valid.all():
            return wanted
        lanes, components = np.nonzero(~valid)
        sizes = self.layout.action_sizes
        for lane, component in zip(lanes.tolist(), components.tolist(), strict=True):
            start = self._starts[component]
            wanted[lane, component] = int(masks[lane, start : start + sizes[component]].argmax())
        return wanted


@dataclass(frozen=True, slots=True)
class View:
    """A batch of B clusters, as a rule reads them.

    Attributes:
        reader: positions.
        observations: [B, observation size] float32.
        masks: [B, mask size] bool.
    """

    reader: Reader
    observations: NDArray[np.float32]
    masks: Bools

    def _read(self, owner: str, name: str) -> Floats:
        columns, scale = self.reader.columns(owner, name)
        values = self.observations[:, columns].astype(np.float64)
        return values if scale is None else values * scale / (1.0 - values)

    def cluster(self, name: str) -> Floats:
        """[B] float64, a `ClusterFeature` by its name in lower case, in its unit."""
        return self._read("cluster", name)

    def pool(self, name: str) -> Floats:
        """[B, P] float64, a feature of pools."""
        return self._read("pool", name)

    def slot(self, name: str) -> Floats:
        """[B, W] float64, a feature of the window's slots."""
        return self._read("slot", name)

    def pair(self, name: str) -> Floats:
        """[B, W, P] float64, a feature of a slot and a pool."""
        return self._read("slot and pool", name)

    def nodes(self, name: str) -> Floats:
        """[B, P] float64, a feature of pools that is a whole number."""
        return np.rint(self._read("pool", name))

    @property
    def present(self) -> Bools:
        """[B, W] bool, slots with a job."""
        return self.slot("present") > 0.0

    @property
    def may_hold(self) -> Bools:
        """[B, W] bool, slots whose job may stay in the queue although a pool could run it."""
        return self.masks[:, self.reader.hold_columns] & self.present

    @property
    def day_hours(self) -> Floats:
        """[B] float64, hours since midnight in [0, 24), which the hat functions say exactly."""
        hats = np.stack([self.cluster(name) for name in HATS], axis=1)
        centre = hats.argmax(axis=1)
        lanes = np.arange(len(hats))
        after, before = hats[lanes, (centre + 1) % 6], hats[lanes, (centre - 1) % 6]
        return np.asarray(HAT_HOURS * (centre + np.where(after > before, after, -before)) % 24.0, np.float64)

    @property
    def gpus_per_node(self) -> Floats:
        """[B, P] float64, 0 for an absent pool."""
        return np.rint(self.pool("gpus_per_node") * MAX_GPUS_PER_NODE)

    @property
    def used_gpus(self) -> Floats:
        """[B, P] float64, GPUs that jobs hold; shares of one count as their fraction."""
        on = self.nodes("busy_nodes") + self.nodes("idle_nodes") + 1.0
        return self.pool("used_share") * self.gpus_per_node * on

    @property
    def on_nodes(self) -> Floats:
        """[B, P] float64, nodes that are on or booting."""
        return self.nodes("busy_nodes") + self.nodes("idle_nodes") + self.nodes("booting_nodes")

    @property
    def demand_nodes(self) -> Floats:
        """[B, P] float64, nodes that the codec's setpoints take as the demand: busy, and planned for what waits.

        Booting nodes that the plan uses are not in the observation; all count where something waits.
        """
        booting = np.where(self.cluster("queue_jobs")[:, None] > 0.5, self.nodes("booting_nodes"), 0.0)
        planned = self.nodes("planned_idle_nodes") + self.nodes("planned_new_nodes")
        return self.nodes("busy_nodes") + planned + booting

    def choices(self, timeout: Ints, headroom: Ints) -> Choices:
        """Those of a constant setpoint: every job to its default pool, and levers that do nothing.

        Args:
            timeout: [B or 1] int64, index of the idle time-out.
            headroom: [B or 1] int64, index of the reserve.
        """
        batch, layout = len(self.observations), self.reader.layout
        pools = (batch, layout.max_pools)
        default = self.pair("default") > 0.0
        placement = np.where(default.any(axis=2), default.argmax(axis=2) + 1, 0) if layout.window_slots else None
        return Choices(
            np.broadcast_to(timeout[:, None], pools).astype(np.int64),
            np.broadcast_to(headroom[:, None], pools).astype(np.int64),
            np.zeros((batch, 0), np.int64) if placement is None else placement.astype(np.int64),
            {lever.name: np.zeros(pools, np.int64) for lever in LEVERS},
        )

    def reserve_for(self, wanted_nodes: Floats) -> Ints:
        """[B, P] int64, the smallest reserve with which at least so many nodes are on; every node where none does.

        A reserve is a share of the demand, so where nothing is in demand only "every node" orders any: it is taken only
        where all of them are wanted, and idle nodes are kept by the time-out alone otherwise.

        Args:
            wanted_nodes: [B, P] float64.
        """
        demand = self.demand_nodes
        missing = wanted_nodes - demand
        enough = np.ceil(FRACTIONS * demand[..., None]) >= missing[..., None]
        index = np.where(enough.any(axis=2), enough.argmax(axis=2), len(FRACTIONS) - 1)
        everything = (missing > 0.0) & (wanted_nodes >= self.nodes("max_nodes"))
        return np.where(everything, len(FRACTIONS), index).astype(np.int64)
