"""What the guardrails remember from one reconcile to the next, and how it changes. Nothing here is changed in place.

A restart finds nodes, machines and orders in the cluster, and cooldowns and backoffs beside the status (see
`autoscaler.live.telemetry.memory`). The rest may be lost without breaking a rule that matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from autoscaler.live.guardrail_config import BackoffTimes
from autoscaler.live.guardrails.ailing import Ailment
from autoscaler.live.model import ClusterView, OrderView, PoolView
from autoscaler.live.objects import NodeState, NodeView

RELEASE_MEMORY_SECONDS = 300.0
"""How long a release is remembered whose pod still shows its gate, and a suspension that its job does not show.

Only a stale view shows that, and not for long."""


@dataclass(frozen=True, slots=True)
class PoolBackoff:
    """A pool that failed to deliver.

    Attributes:
        until_seconds: nothing is ordered before.
        duration_seconds: of this backoff; the next one is twice as long.
        failed_seconds: the last failure.
    """

    until_seconds: float
    duration_seconds: float
    failed_seconds: float


@dataclass(frozen=True, slots=True)
class GuardrailState:
    """The memory of the guardrails; all times in clock seconds.

    Attributes:
        orders: orders of which no Node and no machine has been seen yet, by name. Observers may show them in
            `PoolView.orders`.
        awaited: pool by name of each machine that was seen and was not launched yet.
        released: pool and time of each release that the view has not shown yet, by the uid of the pod or Workload.
        starting_since: since when a node has been without its GPUs, by name.
        scaled_up: last order by pool.
        removal_failed_seconds: last removal that failed; None: none did.
        backoffs: by pool; kept after their end for the doubling.
        given_up: names of orders and nodes whose failure has been counted.
        consolidated: last consolidation by pool.
        wanted: pool, and how many of the nodes that come, by the key of each waiting gang for which they come.
        ailing: nodes that are unwell, by uid.
        suspended: when a job was suspended that the view does not show as such yet, by its uid.
        began_seconds: since when it is remembered; pools without one count from here, as from the begin of an episode.
    """

    orders: Mapping[str, OrderView] = field(default_factory=dict)
    awaited: Mapping[str, str] = field(default_factory=dict)
    released: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    starting_since: Mapping[str, float] = field(default_factory=dict)
    scaled_up: Mapping[str, float] = field(default_factory=dict)
    removal_failed_seconds: float | None = None
    backoffs: Mapping[str, PoolBackoff] = field(default_factory=dict)
    given_up: frozenset[str] = frozenset()
    consolidated: Mapping[str, float] = field(default_factory=dict)
    wanted: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    ailing: Mapping[str, Ailment] = field(default_factory=dict)
    suspended: Mapping[str, float] = field(default_factory=dict)
    began_seconds: float = 0.0

    def consolidated_seconds(self, pool: str) -> float:
        """From when on the interval between two consolidations of a pool counts."""
        return self.consolidated.get(pool, self.began_seconds)

    def unseen(self, pool: PoolView) -> int:
        """Orders of a pool that its view does not show yet."""
        shown = {order.name for order in pool.orders}
        return sum(order.pool == pool.name and name not in shown for name, order in self.orders.items())

    def in_backoff(self, pool: str, now_seconds: float) -> bool:
        """Whether a pool is left alone; observers show such a pool as full."""
        backoff = self.backoffs.get(pool)
        return backoff is not None and now_seconds < backoff.until_seconds


def after_order(state: GuardrailState, order: OrderView) -> GuardrailState:
    """A node was ordered."""
    scaled_up = {**state.scaled_up, order.pool: order.ordered_seconds}
    return replace(state, orders={**state.orders, order.name: order}, scaled_up=scaled_up)


def after_order_failure(state: GuardrailState, pool: str, now_seconds: float, times: BackoffTimes) -> GuardrailState:
    """An order failed. Several failures during one backoff count once, or a batch of orders would double it at once."""
    before = state.backoffs.get(pool)
    duration = times.initial_seconds
    if before is not None and now_seconds - before.failed_seconds < times.reset_seconds:
        if now_seconds < before.until_seconds:
            return state
        duration = min(2.0 * before.duration_seconds, times.max_seconds)
    backoff = PoolBackoff(now_seconds + duration, duration, now_seconds)
    return replace(state, backoffs={**state.backoffs, pool: backoff})


def after_release(state: GuardrailState, pods: Iterable[str], pool: str, now_seconds: float) -> GuardrailState:
    """The gates of pods, by uid, were removed."""
    return replace(state, released={**state.released, **dict.fromkeys(pods, (pool, now_seconds))})


def after_removal_failure(state: GuardrailState, now_seconds: float) -> GuardrailState:
    """A removal was undone."""
    return replace(state, removal_failed_seconds=now_seconds)


def after_reboot(state: GuardrailState, node: str, now_seconds: float) -> GuardrailState:
    """An unwell node, by uid, was rebooted."""
    ailment = state.ailing.get(node)
    if ailment is None:
        return state
    return replace(state, ailing={**state.ailing, node: replace(ailment, rebooted_seconds=now_seconds)})


def after_consolidation(state: GuardrailState, pool: str, now_seconds: float) -> GuardrailState:
    """A node of a pool is being emptied."""
    return replace(state, consolidated={**state.consolidated, pool: now_seconds})


def after_suspension(state: GuardrailState, job: str, now_seconds: float) -> GuardrailState:
    """A job, by uid, was suspended."""
    return replace(state, suspended={**state.suspended, job: now_seconds})


def without_gpus(node: NodeView) -> bool:
    """Whether a node is of no use yet or any more: not ready, or ready and its GPU plugin has not reported.

    A node on which a pod uses an accelerator of another kind is of use, whatever it reports.
    """
    if node.holds_accelerators:
        return False
    return node.state is NodeState.BOOTING or (node.state is NodeState.UNREADY and node.allocatable_gpu_milli == 0)


OVERDUE_MARGIN_SECONDS = 0.001
"""What is overdue is so from just after its time-out on."""


def overdue_moments(pool: PoolView, state: GuardrailState, times: BackoffTimes) -> Iterator[float]:
    """From when on each order and each node of a pool that is not useful yet is overdue."""
    begun = [state.starting_since.get(node.name, node.created_seconds) for node in filter(without_gpus, pool.nodes)]
    begun += [order.ordered_seconds for order in pool.orders]
    begun += [order.ordered_seconds for order in state.orders.values() if order.pool == pool.name]
    for seconds in begun:
        yield seconds + times.provision_timeout_seconds + OVERDUE_MARGIN_SECONDS


def overdue(
    pool: PoolView, state: GuardrailState, now_seconds: float, times: BackoffTimes
) -> Iterator[tuple[str, NodeView | None]]:
    """Names of the orders and nodes of a pool that did not become useful in time, with their Node."""
    for node in pool.nodes:
        since = state.starting_since.get(node.name)
        if since is not None and now_seconds - since > times.provision_timeout_seconds:
            yield node.name, node
    for order in pool.orders:
        if now_seconds - order.ordered_seconds > times.provision_timeout_seconds:
            yield order.name, None


def refresh(state: GuardrailState, view: ClusterView, times: BackoffTimes) -> GuardrailState:
    """Take in what a view shows: forget what has arrived, count what is overdue or has vanished as a failure."""
    now = view.now_seconds
    nodes = {node.name for pool in view.pools for node in pool.nodes}
    state, vanished = _follow_machines(state, view, nodes)
    late = {
        name: order
        for name, order in state.orders.items()
        if name not in nodes and now - order.ordered_seconds > times.provision_timeout_seconds
    }
    names = nodes | {order.name for pool in view.pools for order in pool.orders}
    state = replace(
        state,
        orders={name: order for name, order in state.orders.items() if name not in nodes and name not in late},
        released=_still_hidden(state, view),
        starting_since=_starting_since(state, view, times),
        given_up=state.given_up & names,
        suspended=_still_running(state, view),
    )
    for pool_name in sorted({order.pool for order in late.values()} | vanished):
        state = after_order_failure(state, pool_name, now, times)
    for pool in view.pools:
        for name, _ in overdue(pool, state, now, times):
            if name not in state.given_up:
                state = replace(state, given_up=state.given_up | {name})
                state = after_order_failure(state, pool.name, now, times)
    return state


def _follow_machines(state: GuardrailState, view: ClusterView, nodes: set[str]) -> tuple[GuardrailState, set[str]]:
    """Follow machines until they are Nodes; also return the pools of those that vanished before.

    A provider may delete a machine that it cannot launch, such as when it is out of stock. Without this, the same order
    would be made again in every reconcile. One that was launched and is lost is no fault of the pool.
    """
    machines = {machine.name: machine for machine in view.machines if machine.deleted_seconds is None}
    done = {name for name, machine in machines.items() if machine.node_name in nodes}
    coming = {order.name: order for pool in view.pools for order in pool.orders if order.name in machines}
    gone = state.awaited.keys() - machines.keys() - nodes
    vanished = {state.awaited[name] for name in gone if name not in state.given_up and not view.gone.get(name)}
    # What came and went between two views.
    lost = {name for name in state.orders if name in view.gone and name not in nodes and name not in machines}
    vanished |= {state.orders[name].pool for name in lost - state.given_up if not view.gone[name]}
    gone |= lost
    orders = {name: order for name, order in state.orders.items() if name not in machines and name not in gone}
    awaited = {
        name: order.pool for name, order in coming.items() if name not in done and not machines[name].provider_id
    }
    return replace(state, orders=orders, awaited=awaited), vanished


def _still_hidden(state: GuardrailState, view: ClusterView) -> dict[str, tuple[str, float]]:
    hidden = {}
    waiting = {gang.key for gang in view.queue if gang.admission is not None}
    for uid, (pool, seconds) in state.released.items():
        pod = view.pods.get(uid)
        waits = uid in waiting or (pod is not None and bool(pod.gates))
        if waits and view.now_seconds - seconds <= RELEASE_MEMORY_SECONDS:
            hidden[uid] = (pool, seconds)
    return hidden


def _still_running(state: GuardrailState, view: ClusterView) -> dict[str, float]:
    shown = {job.ref.uid for job in view.suspended}
    return {
        uid: seconds
        for uid, seconds in state.suspended.items()
        if uid not in shown and view.now_seconds - seconds <= RELEASE_MEMORY_SECONDS
    }


def _starting_since(state: GuardrailState, view: ClusterView, times: BackoffTimes) -> dict[str, float]:
    """A node gets its time from its creation, and again from each loss: its plugin may just be restarting."""
    now = view.now_seconds
    since = {}
    for pool in view.pools:
        for node in filter(without_gpus, pool.nodes):
            is_new = now - node.created_seconds <= times.provision_timeout_seconds
            first = node.lost_since_seconds or (node.created_seconds if is_new else now)
            begun = state.starting_since.get(node.name, first)
            since[node.name] = max(begun, node.lost_since_seconds or begun)
    return since
