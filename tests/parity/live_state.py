"""The simulator in the state that a live view shows, so that their snapshots can be compared."""

from dataclasses import replace

import numpy as np

from autoscaler.live.config import LiveConfig
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeState
from autoscaler.live.policy.setpoints import Setpoints
from autoscaler.live.view.nodes import is_returning
from autoscaler.live.view.submissions import milliseconds
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import NO_SETPOINT, ClusterSnapshot
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.simulator.problem import make_problem
from envs.gpu_cluster.simulator.reference import Job, Node, ReferenceSimulator, Running
from envs.gpu_cluster.simulator.reference.snapshot import make_snapshot
from envs.gpu_cluster.simulator.state import PPM
from traces.trace import Trace

WEEK_MS = 7 * 86_400_000
MONDAY_MS = 4 * 86_400_000  # the first Monday after the unix epoch, a Thursday


def simulated_snapshot(
    view: ClusterView, jobs: list[tuple[int, int]], config: LiveConfig, setpoints: Setpoints
) -> ClusterSnapshot:
    """The simulator's snapshot of the state that a view shows.

    Args:
        view: nodes, waiting and running gangs.
        jobs: submission in ms and thousandths of a GPU of every job so far, in order.
        config: pools and prices.
        setpoints: which are in force.
    """
    simulator = _simulator(view, jobs, config)
    _fill_nodes(simulator, view)
    _fill_jobs(simulator, view)
    for pool in view.pools:
        setpoint, reserve, since = setpoints.get(pool.name, (NO_SETPOINT, 0, view.now_seconds))
        simulator.setpoints[pool.index], simulator.reserves[pool.index] = setpoint, reserve
        simulator.setpoints_ms[pool.index] = milliseconds(since)
    return make_snapshot(simulator)


def _simulator(view: ClusterView, jobs: list[tuple[int, int]], config: LiveConfig) -> ReferenceSimulator:
    pools = tuple(
        PoolConfig(pool.name, pool.max_nodes, pool.min_nodes, pool.gpus_per_node, boot_seconds=pool.boot_seconds)
        for pool in config.pools
    )
    (price,) = {pool.usd_per_kwh for pool in config.pools}
    objective = ObjectiveConfig(usd_per_kwh=price, usd_per_gpu_hour=config.usd_per_gpu_hour)
    now = milliseconds(view.now_seconds)
    known = jobs or [(now, 1000)]
    trace = Trace.from_columns(
        {
            "submit_time_seconds": np.array([at for at, _ in known]) / 1000.0,
            "duration_seconds": np.ones(len(known)),
            "gpu_milli": np.array([milli for _, milli in known]),
        }
    )
    interval = config.decision_interval_seconds
    settings = EnvironmentConfig(decision_interval_seconds=interval, codec=config.codec, objective=objective)
    problem = make_problem(trace, ClusterConfig(pools), settings)
    simulator = ReferenceSimulator(problem)
    simulator.reset(now, 2 * now, problem.num_jobs)
    # The trace counts unix milliseconds here: how far second 0 is from a Monday.
    simulator.problem = replace(problem, settings=problem.settings._replace(week_offset_ms=-MONDAY_MS % WEEK_MS))
    simulator.now, simulator.start = now, 0
    simulator.next_job = len(jobs)
    simulator.queue, simulator.running = [], []
    return simulator


def _fill_nodes(simulator: ReferenceSimulator, view: ClusterView) -> None:
    for node in simulator.nodes:
        node.state, node.free = "off", 0
    for pool in view.pools:
        off = iter([node for node in simulator.nodes if node.pool == pool.index])
        for _ in pool.orders:
            next(off).state = "booting"
        for seen in pool.nodes:
            if seen.state in (NodeState.IDLE, NodeState.BUSY, NodeState.BOOTING):
                _fill_node(next(off), seen.state, seen.used_gpu_milli // 1000, seen.idle_since_seconds)
        for seen in pool.in_state(NodeState.UNREADY, NodeState.CORDONED, NodeState.DRAINING):
            left = None if is_returning(seen) else next(off, None)
            if left is not None:
                left.state = "down"


def _fill_node(node: Node, state: NodeState, used: int, idle_since: float | None) -> None:
    node.state = "booting" if state is NodeState.BOOTING else "on"
    node.free = node.gpus - used
    node.since_ms = 0 if idle_since is None else milliseconds(idle_since)


def _fill_jobs(simulator: ReferenceSimulator, view: ClusterView) -> None:
    rows = {pool.name: pool.index for pool in view.pools}
    pools_of = {node.name: pool.index for pool in view.pools for node in pool.nodes}
    for number, gang in enumerate(view.queue):
        pools = [rows[name] for name in gang.allowed_pools]
        submitted = milliseconds(gang.submitted_seconds)
        simulator.queue.append(Job(number, submitted, PPM, PPM, gang.pending_gpu_milli, pools))
    for number, gang in enumerate(view.running):
        milli = sum(pod.gpu_milli for pod in gang.pods if pod.node_name)
        pool = pools_of[next(pod.node_name for pod in gang.pods if pod.node_name)]
        simulator.running.append(Running(Job(number, 0, PPM, PPM, milli, [pool]), pool, simulator.now, milli))
