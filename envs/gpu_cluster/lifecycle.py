"""How nodes of a pool come and go at random: boots that vary or fail, failures, spot reclaims; all off by default.

What is drawn for a node depends on the seed, the node and how often it was ordered before, and on nothing else: two
policies in the same world see the same node fail in its third life after the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

from configs.checks import check_number
from envs.errors import ClusterError

MAX_SECONDS = 1e9
"""The longest time of a description, three decades."""

MAX_SIGMA = 3.0
"""The greatest standard deviation of ln(time), a factor of 20 each way."""


def _check_seconds(name: str, seconds: float | None, low: float = 0.0) -> None:
    check_number(name, seconds, ClusterError, low=low, high=MAX_SECONDS)


def _check_sigma(name: str, sigma: float) -> None:
    check_number(name, sigma, ClusterError, low=0.0, high=MAX_SIGMA)


def _check_quantiles(name: str, quantiles: tuple[float, ...], low: float = 0.0) -> None:
    for seconds in quantiles:
        _check_seconds(name, seconds, low)
    if len(quantiles) == 1 or list(quantiles) != sorted(quantiles):
        raise ClusterError(f"{name} is {list(quantiles)}; give two or more in ascending order")


@dataclass(frozen=True, slots=True)
class BootConfig:
    """How boots differ from the constant `boot_seconds` of the pool.

    Attributes:
        sigma: boots are lognormal, `boot_seconds` is their median and this the standard deviation of ln(time).
        quantiles_seconds: measured boot times in ascending order, at equal steps from the shortest to the longest, read
            linearly between; they replace `boot_seconds` and `sigma`.
        failure_probability: share of the boots that never become ready.
        timeout_seconds: from the order until that is noticed; the node is off then and may be ordered again.
        backoff_seconds: nothing is ordered in the pool for so long after a boot failed, and its jobs go to other pools;
            None: it is ordered again at once. It doubles while boots go on failing, as `guardrails.backoff` of
            `autoscaler deploy` does.
        max_backoff_seconds: the longest.
        backoff_reset_seconds: without a failure for this long it starts anew.
    """

    sigma: float = 0.0
    quantiles_seconds: tuple[float, ...] = ()
    failure_probability: float = 0.0
    timeout_seconds: float = 900.0
    backoff_seconds: float | None = None
    max_backoff_seconds: float = 1800.0
    backoff_reset_seconds: float = 10800.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a value is out of range, or there is one quantile or some not in order.
        """
        _check_sigma("boot.sigma", self.sigma)
        _check_seconds("boot.timeout_seconds", self.timeout_seconds, 0.001)
        _check_seconds("boot.backoff_seconds", self.backoff_seconds, 0.001)
        _check_seconds("boot.max_backoff_seconds", self.max_backoff_seconds, self.backoff_seconds or 0.0)
        _check_seconds("boot.backoff_reset_seconds", self.backoff_reset_seconds)
        _check_quantiles("boot.quantiles_seconds", self.quantiles_seconds)
        check_number("boot.failure_probability", self.failure_probability, ClusterError, low=0.0, below=1.0)

    @property
    def is_drawn(self) -> bool:
        """Whether two boots can differ."""
        return self.sigma > 0.0 or bool(self.quantiles_seconds) or self.failure_probability > 0.0


@dataclass(frozen=True, slots=True)
class FailureConfig:
    """Failures of nodes that are on, and their repair.

    A node that fails is gone at once: its jobs lose what they did since their last checkpoint and wait again.

    Attributes:
        mean_seconds: mean time that a node is on until it fails (MTBF), exponential; None: none fails.
        repair_seconds: median time until it may be ordered again.
        repair_sigma: standard deviation of ln(that time), lognormal; 0: always the same.
        repair_quantiles_seconds: measured times of repair in ascending order, at equal steps from the shortest to the
            longest, read linearly between; they replace `repair_seconds` and `repair_sigma`.
    """

    mean_seconds: float | None = None
    repair_seconds: float = 3600.0
    repair_sigma: float = 0.0
    repair_quantiles_seconds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a value is out of range, or there is one quantile or some not in order.
        """
        _check_quantiles("failures.repair_quantiles_seconds", self.repair_quantiles_seconds, 0.001)
        _check_seconds("failures.mean_seconds", self.mean_seconds, 1.0)
        _check_seconds("failures.repair_seconds", self.repair_seconds, 0.001)
        _check_sigma("failures.repair_sigma", self.repair_sigma)


@dataclass(frozen=True, slots=True)
class SpotConfig:
    """Nodes that their owner takes back: spot, preemptible, borrowed.

    At the notice the node is drained: it takes no job any more, and its jobs are stopped at once, after they wrote a
    checkpoint if they write any, and wait again. When the notice is over the node is gone, and may be ordered again
    after the outage.

    Source of the rule: what node termination handlers do on a notice (cordon and evict).

    Attributes:
        mean_seconds: mean time that a node is on until its notice, exponential; None: none is taken back.
        notice_seconds: from the notice to the end; 0: without notice, and no checkpoint is written.
        outage_seconds: median time until it may be ordered again.
        outage_sigma: standard deviation of ln(that time), lognormal; 0: always the same.
    """

    mean_seconds: float | None = None
    notice_seconds: float = 120.0
    outage_seconds: float = 3600.0
    outage_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a value is out of range.
        """
        _check_seconds("spot.mean_seconds", self.mean_seconds, 1.0)
        _check_seconds("spot.notice_seconds", self.notice_seconds)
        _check_seconds("spot.outage_seconds", self.outage_seconds, 0.001)
        _check_sigma("spot.outage_sigma", self.outage_sigma)
