"""First submitted, first served."""

from __future__ import annotations

from envs.gpu_cluster.simulator.orders import QueueOrder

ORDER = QueueOrder()
