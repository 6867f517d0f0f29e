"""Packers and queue orders by name: one file each, imported when it is used, because packers import numba.

To add one, write its file and a line here. At run time `PACKERS["mine"] = Packer(score)` and
`QUEUE_ORDERS["mine"] = QueueOrder(rank)` add one, and `module:NAME` names one wherever a name is taken.
"""

from __future__ import annotations

from typing import Any

from configs.registry import Registry
from envs.errors import EnvironmentConfigError

_PACKERS = "envs.gpu_cluster.simulator.packing.packers"
_ORDERS = "envs.gpu_cluster.simulator.orders"

PACKERS: Registry[Any] = Registry(
    "packer",
    {
        "best-fit": f"{_PACKERS}.best_fit:PACKER",
        "first-fit": f"{_PACKERS}.first_fit:PACKER",
        "worst-fit": f"{_PACKERS}.worst_fit:PACKER",
        "random-fit": f"{_PACKERS}.random_fit:PACKER",
        "dot-product": f"{_PACKERS}.dot_product:PACKER",
        "gpu-packing": f"{_PACKERS}.gpu_packing:PACKER",
        "gpu-clustering": f"{_PACKERS}.gpu_clustering:PACKER",
        "fgd": f"{_PACKERS}.fgd:PACKER",
        "fgd-exact": f"{_PACKERS}.fgd:EXACT",
        "lifetime-aware": f"{_PACKERS}.lifetime_aware:PACKER",
        "topology-aware": f"{_PACKERS}.topology_aware:PACKER",
    },
    EnvironmentConfigError,
    check="envs.gpu_cluster.simulator.packing.packer:check_packer",
)
"""Which nodes of a pool a job gets, and which of their GPUs, by the name that `packer` gives; each is a `Packer` of
`envs.gpu_cluster.simulator`."""

QUEUE_ORDERS: Registry[Any] = Registry(
    "queue order",
    {
        "submission": f"{_ORDERS}.submission:ORDER",
        "fair-share": f"{_ORDERS}.fair_share:ORDER",
        "shortest": f"{_ORDERS}.shortest:ORDER",
        "earliest-deadline": f"{_ORDERS}.earliest_deadline:ORDER",
    },
    EnvironmentConfigError,
    check="envs.gpu_cluster.simulator.orders:check_order",
)
"""Whose turn is first among the jobs that wait, by the name that `physics.queue.order` gives; each is a `QueueOrder` of
`envs.gpu_cluster.simulator`."""
