"""What a node draws, by what it does: one model for the simulator and for the live loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from configs.checks import check_number
from envs.errors import ClusterError


class StateWatts(NamedTuple):
    """What a node of a pool draws by its state, W without PUE.

    Attributes:
        idle_node: a node that is on without a job.
        unused_gpu: a GPU without a job on a node that has one, with its share of the host.
        boot_node: a node that boots.
        off_node: a node that is off.
        busy_gpu: a GPU that works, with its share of the host.
        cappable_gpu: the part of `busy_gpu` that a power cap lowers.
    """

    idle_node: float
    unused_gpu: float
    boot_node: float
    off_node: float
    busy_gpu: float
    cappable_gpu: float


@dataclass(frozen=True, slots=True)
class PowerConfig:
    """Power of a node, linear in the GPUs that work. The defaults are an 8 x V100 server.

    For a custom model override `watts` in a subclass: the simulator uses nothing else.

    Source: Teads' cloud instance model (8 V100: 278.7 W idle, 2,444.5 W busy); the host's share, for two CPUs, memory
        and fans, is an assumption of ours.

    Attributes:
        gpu_idle_watts: a GPU that is on and does nothing.
        gpu_busy_watts: a GPU that works.
        host_watts: the node without its GPUs, while it is on.
        boot_watts: a node that boots; None: as an idle node.
        off_watts: a node that is off (its management controller; 0 in a cloud).
        pue: power usage effectiveness of the site, multiplies everything.
    """

    gpu_idle_watts: float = 34.8
    gpu_busy_watts: float = 305.6
    host_watts: float = 300.0
    boot_watts: float | None = None
    off_watts: float = 0.0
    pue: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a power is negative or not finite, or PUE is below 1.
        """
        for name in ("gpu_idle_watts", "gpu_busy_watts", "host_watts", "boot_watts", "off_watts"):
            check_number(f"power.{name}", getattr(self, name), ClusterError, low=0.0)
        check_number("power.pue", self.pue, ClusterError, low=1.0)

    def watts(self, gpus_per_node: int) -> StateWatts:
        """The power of a node by its state; its GPUs share the host's equally."""
        idle_node = self.host_watts + gpus_per_node * self.gpu_idle_watts
        host_share = self.host_watts / gpus_per_node
        return StateWatts(
            idle_node=idle_node,
            unused_gpu=self.gpu_idle_watts + host_share,
            boot_node=idle_node if self.boot_watts is None else self.boot_watts,
            off_node=self.off_watts,
            busy_gpu=self.gpu_busy_watts + host_share,
            cappable_gpu=self.gpu_busy_watts,
        )
