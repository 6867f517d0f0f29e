"""What a run costs: the one objective of all environments that run containers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_fields
from envs.errors import EnvironmentConfigError

MS_PER_HOUR = 3.6e6
MIB_PER_GIB, MILLI_PER_GPU = 1024.0, 1000.0


@dataclass(frozen=True, slots=True)
class ContainerPrices:
    """What energy, capacity and delay cost.

    Energy counts at the price of its hour and place. Capacity counts while a container holds it that serves no request:
    nobody else can use it, and nobody pays for it.

    Attributes:
        usd_per_kwh: price of energy where no signal gives it.
        carbon_g_per_kwh: carbon intensity where no signal gives it, gCO2e/kWh.
        usd_per_tonne: price of a tonne of CO2e.
        usd_per_gib_hour: of memory held by containers that start or are idle.
        usd_per_gpu_hour: of GPUs held by them.
        usd_per_waited_hour: of an hour that a request waits for a container, whoever waits.
        usd_per_late: of a request that is answered after its deadline.
        usd_per_rejection: of a request that is rejected.
        usd_per_gpu_second_billed: what users pay for a GPU-second in which their request runs; 0: nothing is billed.
    """

    usd_per_kwh: float = 0.15
    carbon_g_per_kwh: float = 0.0
    usd_per_tonne: float = 0.0
    usd_per_gib_hour: float = 0.005
    usd_per_gpu_hour: float = 1.0
    usd_per_waited_hour: float = 1.0
    usd_per_late: float = 0.0
    usd_per_rejection: float = 0.01
    usd_per_gpu_second_billed: float = 0.0

    def flat(self) -> NDArray[np.float64]:
        """[6] float64, as kernels read them: USD per MiB ms, milli-GPU ms, waited ms, late and rejected; billed."""
        return np.array(
            [
                self.usd_per_gib_hour / (MIB_PER_GIB * MS_PER_HOUR),
                self.usd_per_gpu_hour / (MILLI_PER_GPU * MS_PER_HOUR),
                self.usd_per_waited_hour / MS_PER_HOUR,
                self.usd_per_late,
                self.usd_per_rejection,
                self.usd_per_gpu_second_billed / (MILLI_PER_GPU * 1000.0),
            ]
        )

    def __post_init__(self) -> None:
        """Refuse prices that have no meaning.

        Raises:
            EnvironmentConfigError: one is negative or not finite.
        """
        check_fields(self, self.__slots__, EnvironmentConfigError, "prices.", low=0.0)
