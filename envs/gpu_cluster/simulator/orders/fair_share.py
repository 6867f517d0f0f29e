"""The jobs of the users or groups that used the least GPU time so far.

Source: J. Kay and P. Lauder, A Fair Share Scheduler, CACM 1988; usage that decays as in Slurm's multifactor priority.
"""

from __future__ import annotations

from envs.gpu_cluster.simulator.orders import QueueOrder

ORDER = QueueOrder(by_usage=True)
