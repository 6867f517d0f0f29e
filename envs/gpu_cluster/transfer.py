"""What it takes to bring the data of a job to another region."""

from __future__ import annotations

from dataclasses import dataclass

from configs.checks import check_number
from envs.errors import ClusterError


@dataclass(frozen=True, slots=True)
class TransferConfig:
    """What a pool takes for each GB that comes from another region; within a region nothing is transferred.

    Source: 0.001 kWh/GB is what Cloud Carbon Footprint counts for traffic between data centres. Aslan et al. (Journal
        of Industrial Ecology 22-4, 2018) estimate 0.06 kWh/GB for 2015, access networks included, halved every two
        years: 0.0013 in 2026. 10 Gbit/s is an assumption of ours. Nothing is charged by default, as for nodes.

    Attributes:
        seconds_per_gb: time for a GB, s; 0.8: 10 Gbit/s for each job.
        kwh_per_gb: energy of the network for a GB, kWh; the PUE of the pool is not added.
        usd_per_gb: what the network charges for a GB, USD, beside the energy.
    """

    seconds_per_gb: float = 0.8
    kwh_per_gb: float = 0.001
    usd_per_gb: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a value is out of range.
        """
        check_number("transfer.seconds_per_gb", self.seconds_per_gb, ClusterError, low=0.0, high=3600.0)
        check_number("transfer.kwh_per_gb", self.kwh_per_gb, ClusterError, low=0.0, high=1000.0)
        check_number("transfer.usd_per_gb", self.usd_per_gb, ClusterError, low=0.0, high=1e6)

    @property
    def takes_anything(self) -> bool:
        """Whether it takes time, energy or money."""
        return self != TransferConfig(0.0, 0.0, 0.0)
