"""What happened in a world, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.containers import state as st
from envs.containers.objective import MIB_PER_GIB, MILLI_PER_GPU, MS_PER_HOUR, ContainerPrices
from envs.containers.problem import UJ_PER_KWH
from envs.containers.state import World


def bin_edges_ms() -> NDArray[np.float64]:
    """[RESPONSE_BINS + 1] float64, where the bins of response times begin and the last one ends, ms."""
    octave, quarter = np.divmod(np.arange(st.RESPONSE_BINS + 1), 4)
    edges: NDArray[np.float64] = 2.0**octave * (1.0 + quarter / 4.0)
    return edges


@dataclass(frozen=True, slots=True)
class Results:
    """Totals of a world since its reset, by place, and what became of each request.

    Attributes:
        energy_kwh: [P, ENERGIES] float64, by part, see `envs.containers.state.ENERGY_PARTS`.
        energy_uj: [P, ENERGIES] int64, the same, exact.
        energy_usd: [P] float64, its price and that of its carbon.
        carbon_g: [P] float64, gCO2e.
        busy_usd: [P] float64, the part of `energy_usd` that busy containers add, which no decision changes.
        spare_mib_ms: [P] int64, memory held by containers that serve nobody.
        spare_milli_ms: [P] int64, thousandths of GPUs held by them.
        counts: [P, len(COUNTS)] int64, see `envs.containers.state.COUNTS`.
        response: [P, RESPONSE_BINS] int64, histogram of response times, see `bin_edges_ms`.
        answers: [I, ANSWER_COLUMNS] int64, see `envs.containers.state`; without rows where they are not kept.
    """

    energy_kwh: NDArray[np.float64]
    energy_uj: NDArray[np.int64]
    energy_usd: NDArray[np.float64]
    carbon_g: NDArray[np.float64]
    busy_usd: NDArray[np.float64]
    spare_mib_ms: NDArray[np.int64]
    spare_milli_ms: NDArray[np.int64]
    counts: NDArray[np.int64]
    response: NDArray[np.int64]
    answers: NDArray[np.int64]

    @classmethod
    def of(cls, batch: World, world: int) -> Results:
        """The results of a world of a batch, up to where its energy was charged; copies."""
        amount = batch.amount[world]
        energy = amount[:, : st.ENERGIES].copy()
        return cls(
            energy_kwh=energy / UJ_PER_KWH,
            energy_uj=energy,
            energy_usd=batch.spent[world, :, 0].copy(),
            carbon_g=batch.spent[world, :, 1].copy(),
            busy_usd=batch.spent[world, :, 2].copy(),
            spare_mib_ms=amount[:, st.SPARE_MIB_MS].copy(),
            spare_milli_ms=amount[:, st.SPARE_MILLI_MS].copy(),
            counts=batch.counts[world, :, : len(st.COUNTS)].copy(),
            response=batch.response[world].copy(),
            answers=batch.answer[world].copy(),
        )

    def minus(self, before: Results) -> Results:
        """What happened since earlier results of the same world; `answers` stay as they are."""
        own = {name: getattr(self, name) - getattr(before, name) for name in self.__slots__ if name != "answers"}
        return Results(**own, answers=self.answers)

    def total(self, name: str) -> int:
        """A count over all places, such as `cold`."""
        return int(self.counts[:, st.COUNTS.index(name)].sum())

    def response_ms(self, quantile: float) -> float:
        """A quantile of the response times of all places, within a quarter octave; 0 where nothing was answered."""
        counted = self.response.sum(axis=0)
        total = counted.sum()
        if total == 0:
            return 0.0
        at = int(np.searchsorted(np.cumsum(counted), quantile * total))
        edges = bin_edges_ms()
        return float(np.sqrt(edges[at] * edges[at + 1]))

    def costs(self, prices: ContainerPrices) -> dict[str, float]:
        """USD by part: energy, memory and GPUs held, waiting, late and rejected; `billed` came in."""
        return {
            "energy": float(self.energy_usd.sum()),
            "memory": float(self.spare_mib_ms.sum()) / (MIB_PER_GIB * MS_PER_HOUR) * prices.usd_per_gib_hour,
            "gpus": float(self.spare_milli_ms.sum()) / (MILLI_PER_GPU * MS_PER_HOUR) * prices.usd_per_gpu_hour,
            "waiting": self.total("waited_ms") / MS_PER_HOUR * prices.usd_per_waited_hour,
            "late": self.total("late") * prices.usd_per_late,
            "rejected": self.total("rejected") * prices.usd_per_rejection,
            "billed": -self.total("busy_gpu_milli_ms") / 1e6 * prices.usd_per_gpu_second_billed,
        }

    def decidable_usd(self, prices: ContainerPrices) -> float:
        """The sum of the costs without the energy of requests that run: what rewards are made of."""
        return self.usd(prices) - float(self.busy_usd.sum())

    def usd(self, prices: ContainerPrices) -> float:
        """The sum of the costs."""
        return sum(self.costs(prices).values())

    def to_dict(self, prices: ContainerPrices) -> dict[str, Any]:
        """Everything by name, for JSON."""
        served = max(self.total("finished"), 1)
        return {
            "usd": self.usd(prices),
            "costs_usd": self.costs(prices),
            "energy_kwh": {
                **dict(zip(st.ENERGY_PARTS, self.energy_kwh.sum(axis=0).tolist(), strict=True)),
                "total": float(self.energy_kwh.sum()),
            },
            "carbon_g": float(self.carbon_g.sum()),
            **{name: self.total(name) for name in st.COUNTS},
            "cold_share": self.total("cold") / served,
            "response_seconds": {f"p{q}": self.response_ms(q / 100) / 1000 for q in (50, 95, 99)},
        }
