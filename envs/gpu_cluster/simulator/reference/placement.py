"""Which nodes and GPUs of a pool a job gets, and how it gives them back."""

from __future__ import annotations

from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator.packing.packer import Packer
from envs.gpu_cluster.simulator.reference.detail import DetailedNodes
from envs.gpu_cluster.simulator.reference.nodes import become_idle
from envs.gpu_cluster.simulator.reference.objects import Job, Node, Running, SharedGpu
from envs.gpu_cluster.simulator.reference.state import State


def choose_node(state: State, pool: int, gpus: int) -> Node | None:
    """The node that the packer takes for `gpus` whole GPUs, fewer than a whole node or one node of a single GPU."""
    idle = state.idle_nodes(pool)[-1:]
    fitting = [node for node in state.of_pool(pool) if node.is_busy and node.free >= gpus]
    packer: Packer = PACKERS[state.problem.config.packer]
    assert packer.counted is not None
    key = packer.counted.key
    if packer.idle_first and idle:
        return idle[0]
    return min(fitting, key=lambda node: key(node.free, node.number), default=idle[0] if idle else None)


def take_share(state: State, pool: int, milli: int) -> SharedGpu | None:
    """A share of the shared GPU with the least free capacity that suffices, else of one that is shared from now on."""
    fitting = [share for share in state.shares if share.node.pool == pool and share.free_milli >= milli]
    share = min(fitting, key=lambda share: (share.free_milli, -share.turn), default=None)
    if share is None:
        node = choose_node(state, pool, 1)
        if node is None:
            return None
        node.free -= 1
        share = SharedGpu(node, 1000, 0)
        state.shares.append(share)
    share.free_milli -= milli
    share.turn = state.next_turn()
    return share


def split(state: State, job: Job, pool: int) -> tuple[int, int]:
    """How many whole nodes a job gets, and how many GPUs of another one, or 1 for its share of one."""
    whole_nodes, rest = divmod(job.milli // 1000, state.problem.cluster.pools[pool].gpus_per_node)
    return whole_nodes, 1 if job.milli < 1000 else rest


def place(state: State, run: Running) -> bool:
    """Give a job what it requests, if all of it fits: a share of a GPU, or whole nodes and part of one."""
    if state.detail is not None:
        return place_detailed(state, state.detail, run)
    if run.job.milli < 1000:
        run.share = take_share(state, run.pool, run.job.milli)
        return run.share is not None
    whole_nodes, rest = split(state, run.job, run.pool)
    taken = state.idle_nodes(run.pool)[::-1][:whole_nodes]
    if len(taken) < whole_nodes:
        return False
    for node in taken:
        node.free = 0
    last = choose_node(state, run.pool, rest) if rest else None
    if rest and last is None:
        for node in taken:
            node.free = node.gpus
        return False
    run.parts = [(node, node.gpus) for node in taken]
    if last is not None:
        last.free -= rest
        run.parts.append((last, rest))
        run.has_part = True
    return True


def share_of(state: State, node: Node, gpu: int) -> SharedGpu:
    """A GPU that is shared from now on, if it was not before."""
    for share in state.shares:
        if share.node is node and share.gpu == gpu:
            return share
    node.free -= 1
    state.shares.append(SharedGpu(node, 1000, 0, gpu))
    return state.shares[-1]


def place_detailed(state: State, detail: DetailedNodes, run: Running) -> bool:
    """Give a job detailed nodes, if it fits: whole idle ones, the newest first, then part of one.

    The packer chooses among the busy nodes where the part fits; where there is none it is an idle node, the
    newest that is left. Worst fit is the other way round.
    """
    job, pool = run.job, run.pool
    whole_nodes, rest = split(state, job, pool)
    end = detail.predicted_end(job.number, job.left, state.now)
    idle = state.idle_nodes(pool)[::-1]
    if len(idle) < whole_nodes:
        return False
    last = None
    if rest:
        pod = detail.pod(job.number, pool, rest, True, end)
        busy = {detail.number(pool, node.number): node for node in state.of_pool(pool) if node.is_busy}
        chosen = detail.choose(list(busy), pod)
        last = None if chosen is None else busy[chosen]
        if idle[whole_nodes:] and (detail.idle_first or last is None):
            last = idle[whole_nodes]
        if last is None:
            return False
    for index, node in enumerate(idle[:whole_nodes]):
        whole = detail.pod(job.number, pool, node.gpus, not rest and index == 0, end)
        run.placed.append(detail.start(whole, detail.number(pool, node.number)))
        run.parts.append((node, node.gpus))
        node.free = 0
    if last is not None:
        run.placed.append(detail.start(pod, detail.number(pool, last.number)))
        if job.milli < 1000:
            run.share = share_of(state, last, run.placed[-1].gpus[0])
            run.share.free_milli -= job.milli
        else:
            run.parts.append((last, rest))
            run.has_part = True
            last.free -= rest
    return True


def give_back(state: State, node: Node, gpus: int) -> None:
    """GPUs of a node are free again."""
    node.free += gpus
    if node.free == node.gpus:
        become_idle(state, node)


def release(state: State, run: Running) -> None:
    """Give back what a job holds."""
    if state.detail is not None:
        for placed in run.placed:
            state.detail.end(placed)
    for node, gpus in run.parts:
        give_back(state, node, gpus)
    if run.share is not None:
        run.share.free_milli += run.job.milli
        run.share.turn = state.next_turn()
        if run.share.free_milli == 1000:
            state.shares.remove(run.share)
            give_back(state, run.share.node, 1)
    state.running.remove(run)
