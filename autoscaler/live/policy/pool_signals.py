"""Where the live loop takes what a policy is told of energy: price and carbon of each pool, now and as expected."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.config import LiveConfig
from envs.gpu_cluster.codec import signal_row


class PoolSignals(Protocol):
    """The signals of all pools. Who fetches a new value wakes the loop; the loop itself looks at each whole hour."""

    def signals_now(self, now_seconds: float) -> NDArray[np.float64]:
        """[P, POOL_SIGNALS] float64: `envs.gpu_cluster.codec.signal_row` of each pool of the config, in its order.

        It never fails: where no value can be believed, the row is that of the constants, which says "unknown".

        Args:
            now_seconds: seconds since the Unix epoch.
        """
        ...


class UnknownSignals:
    """No pool has a signal: price and carbon are those of the config, and a feature says that nothing is known.

    Args:
        config: the pools.
    """

    def __init__(self, config: LiveConfig) -> None:
        carbon, usd_per_tonne = config.signals.carbon_g_per_kwh or 0.0, config.signals.usd_per_tonne
        rows = [signal_row(0.0, float(pool.usd_per_kwh), float(carbon), usd_per_tonne) for pool in config.pools]
        self._rows = np.stack(rows)

    def signals_now(self, now_seconds: float) -> NDArray[np.float64]:
        """See `PoolSignals`."""
        return self._rows
