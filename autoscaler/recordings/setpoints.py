"""What a pool's setpoint means for its idle nodes, in words, and when another one comes into force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscaler.recordings.event_log import Rows
from envs.gpu_cluster.codec import NO_SETPOINT, Pool
from envs.gpu_cluster.codec.layout import ALWAYS_ON, RESERVE_NODES, CodecLayout

if TYPE_CHECKING:
    from envs.gpu_cluster.simulator import Simulator

SETPOINT = "setpoint"
"""The rule of reasons of pools."""

_CHOICES = CodecLayout().setpoints


def describe_setpoint(setpoint: int, reserve: int = 0) -> str:
    """What a setpoint and a reserve in nodes do with idle nodes.

    Args:
        setpoint: an index into `CodecLayout.setpoints`.
        reserve: one into the codec's `RESERVE_NODES`.
    """
    timeout, headroom = _CHOICES[setpoint]
    if headroom == ALWAYS_ON:
        return "The policy keeps all nodes of the pool on."
    minutes = round(timeout / 60.0)
    after = "at once" if not minutes else f"after {minutes} min" if minutes < 60 else f"after {minutes // 60} h"
    parts = [f"{100.0 * headroom:g} % more nodes than it needs"] if headroom else []
    nodes = RESERVE_NODES[reserve]
    parts += [f"{'at least ' if headroom else ''}{nodes} idle node{'s' if nodes > 1 else ''}"] if nodes else []
    keeps = f", and keeps {' and '.join(parts)}" if parts else ""
    return f"The policy lets idle nodes go {after}{keeps}."


class SetpointReasons:
    """Follows which setpoint is in force in each pool of a simulated cluster.

    Args:
        simulator: its first cluster is followed.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._last = [(NO_SETPOINT, 0)] * len(simulator.problem.cluster.pools)

    def look(self) -> Rows:
        """Rows of `reasons` of the pools that have another setpoint than at the last look, in order of time."""
        found: Rows = []
        now_ms = int(self._simulator.time_ms[0])
        for number, row in enumerate(self._simulator.snapshot().pools[: len(self._last)]):
            chosen = int(row[Pool.SETPOINT]), int(row[Pool.RESERVE_NODES])
            if chosen[0] != NO_SETPOINT and chosen != self._last[number]:
                self._last[number] = chosen
                since_ms = now_ms - round(1000.0 * float(row[Pool.SINCE_SETPOINT_SECONDS]))
                found.append((since_ms / 1000.0, "pool", number, SETPOINT, describe_setpoint(*chosen)))
        return sorted(found)
