"""What the budget of a grid event leaves: nodes that may be ordered, jobs that may start, and what has to stop.

Power is what the simulator's model says of what is on (`PowerConfig`), or what was measured of GPUs where that is more,
with what was ordered, promised or released and is not there yet.
"""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.live.account import counts_of, gpus_alone
from autoscaler.live.config import LiveConfig
from autoscaler.live.grid_config import event_at, utc_text
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.guardrails.verdicts import PowerSeen
from autoscaler.live.model import ClusterView, GangView, PoolView
from autoscaler.live.objects import NodeState, PodView


class PowerBudget:
    """The power that is left. It belongs to one evaluation.

    Args:
        view: the cluster.
        state: orders that the view does not show yet; refreshed with this view.
        config: pools, their power, and the events.
        capacity: with the pods that were promised a node and are not bound yet.

    Attributes:
        event: the event that is known and not over; None: there is no budget.
        left_watts: what is left of its budget, below 0 where it is broken; 0 without one.
        is_on: whether it has started, so that it counts for starts of jobs too.
        drawn_watts: what is drawn now, 0 without a budget.
        excess_watts: what has to stop for the budget, without what is stopping already; 0 before the event is on.
    """

    def __init__(self, view: ClusterView, state: GuardrailState, config: LiveConfig, capacity: Capacity) -> None:
        self._config = config
        self.event = event_at(config.guardrails.grid_events, view.now_seconds)
        self.is_on = self.event is not None and self.event.start_seconds <= view.now_seconds
        self.left_watts = self.drawn_watts = self.excess_watts = 0.0
        self._pools = {node.name: pool.name for pool in view.pools for node in pool.nodes}
        if self.event is not None:
            self.drawn_watts = sum(self._watts(pool, state) + self._unexpected_watts(pool) for pool in view.pools)
            self.left_watts = 1000.0 * self.event.power_kw - self.drawn_watts - self._promised_watts(view, capacity)
        if self.is_on:
            self.excess_watts = -self.left_watts - self._stopping_watts(view, state)

    @property
    def seen(self) -> PowerSeen | None:
        """The budget and what counts against it, for people; None: there is none."""
        return None if self.event is None else PowerSeen(1000.0 * self.event.power_kw, self.drawn_watts)

    def order_watts(self, pool: str) -> float:
        """What one more node of a pool draws, while it boots or when it is on and idle, whichever is more."""
        settings = self._config.pool(pool)
        watts = settings.power.watts(settings.gpus_per_node)
        return settings.power.pue * (max(watts.boot_node, watts.idle_node) - watts.off_node)

    def most_orders(self, pool: str, nodes: int) -> int:
        """How many of `nodes` more nodes the budget has power for."""
        each = self.order_watts(pool)
        if self.event is None or each <= 0.0:
            return nodes
        return min(nodes, int(max(0.0, self.left_watts) // each))

    def ordered(self, pool: str, nodes: int) -> None:
        """Take the power of ordered nodes."""
        self.left_watts -= nodes * self.order_watts(pool)

    def start_watts(self, pool: str, gpu_milli: int) -> float:
        """What GPUs that start to work draw more, on nodes that are idle."""
        settings = self._config.pool(pool)
        watts, node_milli = settings.power.watts(settings.gpus_per_node), 1000 * settings.gpus_per_node
        more = gpu_milli / 1000.0 * (watts.busy_gpu - watts.unused_gpu)
        opened = -(-gpu_milli // node_milli) * max(0.0, settings.gpus_per_node * watts.unused_gpu - watts.idle_node)
        return settings.power.pue * (more + opened)

    def idle_watts(self, pool: str) -> float:
        """What an idle node draws more than one that is off."""
        settings = self._config.pool(pool)
        watts = settings.power.watts(settings.gpus_per_node)
        return settings.power.pue * (watts.idle_node - watts.off_node)

    def work_watts(self, pods: Iterable[PodView]) -> float:
        """What GPUs of pods that run draw more than GPUs without work."""
        total = 0.0
        for pod in pods:
            if pod.node_name in self._pools:
                settings = self._config.pool(self._pools[pod.node_name])
                watts = settings.power.watts(settings.gpus_per_node)
                total += settings.power.pue * pod.gpu_milli / 1000.0 * (watts.busy_gpu - watts.unused_gpu)
        return total

    def stops(self, watts: float) -> None:
        """Something that draws so much stops; until it did, nothing new gets its power."""
        self.excess_watts -= watts

    def goes_on(self, gpu_milli: int) -> bool:
        """Take the power of a job that was suspended, wherever it will run; False: the budget has too little left."""
        needed = max(self.start_watts(pool.name, gpu_milli) for pool in self._config.pools)
        if needed > self.left_watts:
            return False
        self.left_watts -= needed
        return True

    def refusal(self, gang: GangView, pool: str) -> str:
        """Why a gang may not start in a pool now; empty: it may."""
        if self.event is None or not self.is_on:
            return ""
        needed = self.start_watts(pool, gang.pending_gpu_milli)
        if needed <= self.left_watts:
            return ""
        return (
            f"it would draw {needed / 1000.0:.3g} kW more, and the grid event until {utc_text(self.event.end_seconds)} "
            f"leaves {max(0.0, self.left_watts) / 1000.0:.3g} kW of {self.event.power_kw:g} kW"
        )

    def started(self, gang: GangView, pool: str) -> None:
        """Take the power of a gang that goes."""
        self.left_watts -= self.start_watts(pool, gang.pending_gpu_milli)

    def _watts(self, pool: PoolView, state: GuardrailState) -> float:
        """What a pool draws when the nodes that boot or were ordered are on."""
        settings, counts = self._config.pool(pool.name), counts_of(pool)
        watts, coming = settings.power.watts(settings.gpus_per_node), counts.booting + state.unseen(pool)
        used = counts.used_milli / 1000.0
        unused = max(0.0, counts.busy * settings.gpus_per_node - used)
        off = max(0, settings.max_nodes - counts.idle - counts.busy - coming)
        total = counts.idle * watts.idle_node + coming * max(watts.boot_node, watts.idle_node) + off * watts.off_node
        return settings.power.pue * (total + unused * watts.unused_gpu + used * watts.busy_gpu)

    def _unexpected_watts(self, pool: PoolView) -> float:
        """What the GPUs of a pool were measured to draw more than the model says of them; 0 where it is less."""
        settings = self._config.pool(pool.name)
        watts = gpus_alone(settings).power.watts(settings.gpus_per_node)
        more = 0.0
        for node in pool.nodes:
            if node.measured_gpu_watts is not None:
                used = node.used_gpu_milli / 1000.0
                believed = used * watts.busy_gpu + (settings.gpus_per_node - used) * watts.unused_gpu
                more += node.measured_gpu_watts - believed
        return settings.power.pue * max(0.0, more)

    def _stopping_watts(self, view: ClusterView, state: GuardrailState) -> float:
        """What draws power and is about to stop: idle nodes that leave, and pods that end."""
        leaving = (
            self.idle_watts(pool.name)
            for pool in view.pools
            for node in pool.in_state(NodeState.DRAINING)
            if node.used_gpu_milli == 0
        )
        suspended = {*state.suspended, *(job.ref.uid for job in view.suspended if job.suspended)}
        ending = {pod.uid for pod in view.pods.values() if pod.deleted_seconds is not None}
        ending |= {pod.uid for gang in view.running if gang.ref.uid in suspended for pod in gang.pods}
        return sum(leaving) + self.work_watts(view.pods[uid] for uid in sorted(ending) if uid in view.pods)

    def _promised_watts(self, view: ClusterView, capacity: Capacity) -> float:
        """What pods draw that are about to start on ready nodes."""
        pools = {node.name: pool.name for pool in view.pools for node in pool.in_state(NodeState.IDLE, NodeState.BUSY)}
        promised = [(pools[node], uid) for uid, node in capacity.placed.items() if node in pools and uid in view.pods]
        return sum(self.start_watts(pool, view.pods[uid].gpu_milli) for pool, uid in promised)
