"""What a pool's setpoint means for its idle nodes, in words, and when another one comes into force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscaler.recordings.event_log import Rows
from envs.gpu_cluster.codec import NO_SETPOINT, Pool
from envs.gpu_cluster.codec.layout import ALWAYS_ON, CodecLayout

if TYPE_CHECKING:
    from envs.gpu_cluster.simulator import Simulator

SETPOINT = "setpoint"
"""The rule of reasons of pools."""

_CHOICES = CodecLayout().setpoints


def describe_setpoint(setpoint: int) -> str:
    """What a setpoint, an index into `CodecLayout.setpoints`, does with idle nodes."""
    timeout, headroom = _CHOICES[setpoint]
    if headroom == ALWAYS_ON:
        return "The policy keeps all nodes of the pool on."
    minutes = round(timeout / 60.0)
    after = "at once" if not minutes else f"after {minutes} min" if minutes < 60 else f"after {minutes // 60} h"
    reserve = f", and keeps {100.0 * headroom:g} % more nodes than it needs" if headroom else ""
    return f"The policy lets idle nodes go {after}{reserve}."


class SetpointReasons:
    """Follows which setpoint is in force in each pool of a simulated cluster.

    Args:
        simulator: its first cluster is followed.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._last = [NO_SETPOINT] * len(simulator.problem.cluster.pools)

    def look(self) -> Rows:
        """Rows of `reasons` of the pools that have another setpoint than at the last look, in order of time."""
        found: Rows = []
        now_ms = int(self._simulator.time_ms[0])
        for number, row in enumerate(self._simulator.snapshot().pools[: len(self._last)]):
            setpoint = int(row[Pool.SETPOINT])
            if setpoint not in (NO_SETPOINT, self._last[number]):
                self._last[number] = setpoint
                since_ms = now_ms - round(1000.0 * float(row[Pool.SINCE_SETPOINT_SECONDS]))
                found.append((since_ms / 1000.0, "pool", number, SETPOINT, describe_setpoint(setpoint)))
        return sorted(found)
