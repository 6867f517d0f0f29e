"""Detailed nodes: pools whose nodes keep their CPUs, their memory and each of their GPUs. Compiled.

`reference/` says the same in plain words. A part of a job is a pod of `choice.py`, and the counters of the pool
follow: a node is open to the packer while it is busy, and where it fits on no busy node the newest idle one is taken.

Callers check `settings.is_detailed` first: where a class of settings fixes that as False, the fast compiler leaves out
all of this, above all the packers.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.bits import lowest_node, next_node
from envs.gpu_cluster.simulator.packing.choice import choose_gpus, give_back, key_of_node, refresh, set_open, take
from envs.gpu_cluster.simulator.packing.counted import move_node, release_counted, take_idle, unlink_part
from envs.gpu_cluster.simulator.packing.custom import FAILED, RAISED, WRONG_GPUS, are_free, ask_custom
from envs.gpu_cluster.simulator.packing.gpus import lowest_gpus_compiled
from envs.gpu_cluster.simulator.queues import add_in_use
from envs.gpu_cluster.simulator.settings import DetailSettings, Settings
from envs.gpu_cluster.simulator.state import Cluster, Table

NO_NODE, NEWEST_IDLE, NO_PLACE = -1, -2, -3
"""What `find_place` says other than a node: the job has no part of a node, it gets an idle node, it cannot start."""


@helper
def part_of(amount: int, units: int, taken: int, is_last: bool) -> int:
    """What goes with `taken` of a job's GPUs: equal amounts each, and what cannot be divided with its last part."""
    if taken == units and is_last:
        return amount
    each = amount // units
    return each * taken + (amount - each * units if is_last else 0)


@helper
def part_gpus(jobs: Table, pools: Table, job: int, pool: int) -> int:
    """The GPUs of another node that a job requests beyond whole nodes; 1 for its share of one."""
    milli = jobs[job, st.MILLI]
    return 1 if milli < 1000 else milli // 1000 % pools[pool, st.GPUS]


@helper
def write_request(
    cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int, gpus: int, is_last: bool, end: int
) -> None:
    """Write what a job requests of one node into `cluster.pod`: `gpus` of its whole GPUs, or its share."""
    pod, milli = cluster.pod, jobs[job, st.MILLI]
    units = max(1, milli // 1000)
    pod[ns.CPU], pod[ns.MEMORY] = 0, 0
    if pools[pool, st.NODE_CPU] >= 0:
        pod[ns.CPU] = part_of(jobs[job, st.CPU_MILLI], units, gpus, is_last)
    if pools[pool, st.NODE_MEMORY] >= 0:
        pod[ns.MEMORY] = part_of(jobs[job, st.MEMORY_MIB], units, gpus, is_last)
    pod[ns.NUM_GPUS], pod[ns.MILLI] = gpus, min(milli, 1000)
    pod[ns.MODELS], pod[ns.END], pod[ns.SHAPE], pod[ns.NUMBER] = -1, end, -1, job


@helper
def predicted_end(cluster: Cluster, jobs: Table, job: int, left: int) -> int:
    """When a job that starts now with `left` of its work is predicted to end; at least 1 ms from now."""
    done = jobs[job, st.DURATION_MS] - (left + st.PPM - 1) // st.PPM
    return cluster.clock[st.NOW] + max(1, jobs[job, st.LIFETIME_MS] - done)


@helper
def shared_free(cluster: Cluster, node: int) -> int:
    """Free thousandths of the shared GPUs of a node."""
    return cluster.detail.node[node, ns.FREE_MILLI] - 1000 * cluster.detail.node[node, ns.WHOLE]


@helper
def share_number(pools: Table, pool: int, node: int, gpu: int) -> int:
    """The row of `cluster.share` that a GPU has."""
    number = 0
    for before in range(pool):
        number += pools[before, st.MAX_NODES] * pools[before, st.GPUS]
    return number + (node - pools[pool, st.NODE_OFFSET]) * pools[pool, st.GPUS] + gpu


@helper
def lowest_gpu(bits: int) -> int:
    """The number of the lowest bit."""
    gpu = 0
    while (bits >> gpu) & 1 == 0:
        gpu += 1
    return gpu


@helper
def take_number(cluster: Cluster, pools: Table, pool: int, node: int, bits: int, milli: int) -> int:
    """The row of `cluster.share` of a GPU of which a job just took a share."""
    gpu = lowest_gpu(bits)
    share = share_number(pools, pool, node, gpu)
    cluster.share[share, st.SHARE_NODE] = node
    if cluster.detail.gpu[node, gpu] == 1000 - milli:
        cluster.node[node, st.NODE_FIXED] += 1  # a shared GPU is not moved
    return share


@helper
def next_with_gpus(cluster: Cluster, pools: Table, pool: int, node: int) -> int:
    """The next busy node with the GPUs of `cluster.pod`, by free GPUs and number; -1: none.

    Args:
        cluster: its state.
        pools: the pools.
        pool: in which to look.
        node: the one before, -1: look for the first.
    """
    least = cluster.pod[ns.NUM_GPUS]
    if node >= 0:
        found = next_node(cluster, pools, pool, cluster.node[node, st.FREE_GPUS], node)
        if found >= 0:
            return found
        least = cluster.node[node, st.FREE_GPUS] + 1
    for free in range(least, pools[pool, st.GPUS]):
        if cluster.pool[pool, st.FREE_COUNT + free] > 0:
            return lowest_node(cluster, pools, pool, free)
    return -1


@helper
def has_gpus(cluster: Cluster, pools: Table, pool: int) -> bool:
    """Whether one busy node has the GPUs that `cluster.pod` requests, whatever its CPUs and memory."""
    if next_with_gpus(cluster, pools, pool, -1) >= 0:
        return True
    if cluster.pod[ns.MILLI] < 1000 and cluster.pool[pool, st.SHARED_FREE_MILLI] > 0:
        first = pools[pool, st.NODE_OFFSET]
        for node in range(first, first + pools[pool, st.MAX_NODES]):
            if (
                cluster.detail.node[node, ns.OPEN] == 1
                and cluster.detail.node[node, ns.LARGEST] >= cluster.pod[ns.MILLI]
            ):
                return True
    return False


@helper
def choose_built_in(detail: DetailSettings, cluster: Cluster, pools: Table, pool: int) -> int:
    """The busy node that a packer of the package chooses for `cluster.pod`, -1: none."""
    nodes, tables, pod, least, chosen = cluster.detail, detail.tables, cluster.pod, ns.INFEASIBLE, -1
    first, is_share = pools[pool, st.NODE_OFFSET], pod[ns.MILLI] < 1000
    node = first if is_share else next_with_gpus(cluster, pools, pool, -1)
    while 0 <= node < first + pools[pool, st.MAX_NODES]:
        if ns.fits(nodes, pod, node):
            key = key_of_node(detail.packer, nodes, tables, pod, node)
            if key < least or (key == least and node < chosen):
                least, chosen = key, node
        node = node + 1 if is_share else next_with_gpus(cluster, pools, pool, node)
    return chosen


@helper
def choose_node(detail: DetailSettings, cluster: Cluster, pools: Table, pool: int) -> int:
    """The busy node that the packer chooses for `cluster.pod`, -1: none."""
    if not detail.has_custom:
        return choose_built_in(detail, cluster, pools, pool)
    if cluster.clock[st.PACKER_FAULT] != 0 or not has_gpus(cluster, pools, pool):
        return -1
    first = pools[pool, st.NODE_OFFSET]
    node = ask_custom(
        detail.custom, cluster.detail, detail.tables, cluster.pod, first, first + pools[pool, st.MAX_NODES]
    )
    if node == FAILED:
        cluster.clock[st.PACKER_FAULT] = RAISED
    return max(node, -1)


@rare
def choose_its_gpus(detail: DetailSettings, cluster: Cluster, node: int) -> int:
    """The GPUs that the packer takes of a node for `cluster.pod`, as bits; the lowest ones where it is wrong."""
    nodes, tables = cluster.detail, detail.tables
    if not detail.has_custom:
        return choose_gpus(detail.packer, nodes, tables, cluster.pod, node)
    if cluster.clock[st.PACKER_FAULT] == 0:
        bits = ask_custom(detail.custom, nodes, tables, cluster.pod, node, -1)
        if are_free(nodes, cluster.pod, node, bits):
            return bits
        cluster.clock[st.PACKER_FAULT] = RAISED if bits == FAILED else WRONG_GPUS + node
    return lowest_gpus_compiled(nodes, tables, cluster.pod, node)


@helper
def put(detail: DetailSettings, cluster: Cluster, pools: Table, pool: int, node: int) -> int:
    """Start `cluster.pod` on a busy node that it fits on; return its GPUs as bits."""
    nodes, tables, before = cluster.detail, detail.tables, shared_free(cluster, node)
    bits = choose_its_gpus(detail, cluster, node)
    take(nodes, tables, cluster.pod, node, bits)
    follow(cluster, pools, pool, node, before)
    return bits


@helper
def follow(cluster: Cluster, pools: Table, pool: int, node: int, before: int) -> None:
    """Bring the counters of a pool up to date with a node, whose shared GPUs had `before` thousandths free."""
    cluster.pool[pool, st.SHARED_FREE_MILLI] += shared_free(cluster, node) - before
    if cluster.detail.node[node, ns.WHOLE] != cluster.node[node, st.FREE_GPUS]:
        move_node(cluster, pools, pool, node, cluster.detail.node[node, ns.WHOLE], cluster.clock[st.NOW])


@helper
def remove(detail: DetailSettings, cluster: Cluster, pools: Table, pool: int, node: int, bits: int) -> None:
    """End `cluster.pod` on GPUs (bits) of a node."""
    before = shared_free(cluster, node)
    give_back(cluster.detail, detail.tables, cluster.pod, node, bits)
    if cluster.detail.node[node, ns.PODS] == 0:
        set_open(cluster.detail, node, 0)
    follow(cluster, pools, pool, node, before)


@rare
def find_place(
    detail: DetailSettings, cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int, end: int
) -> int:
    """Where a job's part of a node would go: a node, or `NO_NODE`, `NEWEST_IDLE`, `NO_PLACE`.

    `cluster.pod` then holds what that part requests.
    """
    full_nodes, rest = jobs[job, st.MILLI] // (1000 * pools[pool, st.GPUS]), part_gpus(jobs, pools, job, pool)
    idle = cluster.pool[pool, st.IDLE_TAIL] - cluster.pool[pool, st.IDLE_HEAD]
    if rest == 0:
        return NO_NODE if idle >= full_nodes else NO_PLACE
    write_request(cluster, jobs, pools, job, pool, rest, True, end)
    if idle < full_nodes:
        return NO_PLACE
    if detail.idle_first and idle > full_nodes:
        return NEWEST_IDLE
    node = choose_node(detail, cluster, pools, pool)
    if node >= 0:
        return node
    return NEWEST_IDLE if idle > full_nodes else NO_PLACE


@rare
def occupy(
    detail: DetailSettings,
    cluster: Cluster,
    jobs: Table,
    pools: Table,
    slot: int,
    job: int,
    pool: int,
    end: int,
    place: int,
) -> None:
    """Give a job the nodes that `find_place` found: idle ones, the newest first, then its part of one."""
    run, gpus, milli = cluster.run[slot], pools[pool, st.GPUS], jobs[job, st.MILLI]
    full_nodes, last = milli // (1000 * gpus), -1
    run[st.RUN_CHAIN], run[st.RUN_NODE], run[st.RUN_GPUS], run[st.RUN_SHARE] = -1, -1, 0, -1
    run[st.RUN_BITS], run[st.RUN_END] = 0, end
    for index in range(full_nodes + (0 if place == NO_NODE else 1)):
        is_part = index == full_nodes
        requested = part_gpus(jobs, pools, job, pool) if is_part else gpus
        write_request(cluster, jobs, pools, job, pool, requested, is_part or (place == NO_NODE and index == 0), end)
        node = place
        if not is_part or place == NEWEST_IDLE:
            node = take_idle(cluster, pools, pool, requested)
            set_open(cluster.detail, node, 1)
        bits = put(detail, cluster, pools, pool, node)
        if not is_part:
            cluster.node[node, st.NEXT_NODE] = -1
            if last < 0:
                run[st.RUN_CHAIN] = node
            else:
                cluster.node[last, st.NEXT_NODE] = node
            last = node
        elif milli < 1000:
            run[st.RUN_BITS], run[st.RUN_SHARE] = bits, take_number(cluster, pools, pool, node, bits, milli)
        else:
            run[st.RUN_BITS], run[st.RUN_NODE], run[st.RUN_GPUS] = bits, node, requested


@rare
def release_detailed(detail: DetailSettings, cluster: Cluster, jobs: Table, pools: Table, slot: int) -> None:
    """Give back what a job holds: whole nodes in the order they were taken, then the rest."""
    run = cluster.run[slot]
    job, pool, gpus = run[st.RUN_JOB], run[st.RUN_POOL], pools[run[st.RUN_POOL], st.GPUS]
    has_part = run[st.RUN_SHARE] >= 0 or run[st.RUN_GPUS] > 0
    node, is_last = run[st.RUN_CHAIN], not has_part
    while node >= 0:
        after = cluster.node[node, st.NEXT_NODE]
        write_request(cluster, jobs, pools, job, pool, gpus, is_last, 1)
        remove(detail, cluster, pools, pool, node, (1 << gpus) - 1)
        node, is_last = after, False
    if run[st.RUN_SHARE] >= 0:
        node = cluster.share[run[st.RUN_SHARE], st.SHARE_NODE]
        write_request(cluster, jobs, pools, job, pool, 1, True, 1)
        if cluster.detail.gpu[node, lowest_gpu(run[st.RUN_BITS])] + jobs[job, st.MILLI] == 1000:
            cluster.node[node, st.NODE_FIXED] -= 1
        remove(detail, cluster, pools, pool, node, run[st.RUN_BITS])
    elif run[st.RUN_GPUS] > 0:
        write_request(cluster, jobs, pools, job, pool, run[st.RUN_GPUS], True, 1)
        remove(detail, cluster, pools, pool, run[st.RUN_NODE], run[st.RUN_BITS])


@helper
def held_milli(cluster: Cluster, jobs: Table, pools: Table, slot: int) -> int:
    """The GPUs of a running job in thousandths; from what it holds, for its row of the trace is far away."""
    run = cluster.run[slot]
    if run[st.RUN_SHARE] >= 0:
        return jobs[run[st.RUN_JOB], st.MILLI]
    gpus, node = run[st.RUN_GPUS], run[st.RUN_CHAIN]
    while node >= 0:
        gpus += pools[run[st.RUN_POOL], st.GPUS]
        node = cluster.node[node, st.NEXT_NODE]
    return 1000 * gpus


@helper
def release(cluster: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int) -> None:
    """Give back what a job holds."""
    run = cluster.run[slot]
    pool = run[st.RUN_POOL]
    milli = run[st.RUN_MILLI] if settings.tracks_work else held_milli(cluster, jobs, pools, slot)
    if settings.is_detailed:
        if settings.moves_jobs and run[st.RUN_GPUS] > 0:
            unlink_part(cluster, jobs, slot, run[st.RUN_NODE])
        release_detailed(settings.detail, cluster, jobs, pools, slot)
    else:
        release_counted(cluster, jobs, pools, settings, slot, milli)
    if settings.queue.tracks_owners:
        add_in_use(cluster, jobs, settings, run[st.RUN_JOB], -jobs[run[st.RUN_JOB], st.MILLI])
    cluster.pool[pool, st.USED_MILLI] -= milli
    if settings.tracks_work:
        cluster.pool[pool, st.SLOW_MILLI] -= run[st.RUN_SLOW]
        cluster.pool[pool, st.SAVED_MILLI] -= run[st.RUN_SAVED]
        cluster.run[slot, st.RUN_MILLI] = 0


@rare
def retake_part(
    detail: DetailSettings, cluster: Cluster, jobs: Table, pools: Table, slot: int, left: int, before: int
) -> None:
    """Give the part back that a job had of a node, and take anew what it has now; its predicted end stays.

    Args:
        detail: how nodes are packed.
        cluster: its state.
        jobs: the trace.
        pools: the pools.
        slot: of the job; its node and GPUs are those it has now, its bits those it had.
        left: the node that it had; if that is another one, its counters are left to the caller.
        before: GPUs that it had there.
    """
    run, nodes, tables = cluster.run[slot], cluster.detail, detail.tables
    job, pool, node = run[st.RUN_JOB], run[st.RUN_POOL], run[st.RUN_NODE]
    shared = shared_free(cluster, node)
    write_request(cluster, jobs, pools, job, pool, before, True, run[st.RUN_END])
    give_back(nodes, tables, cluster.pod, left, run[st.RUN_BITS])
    write_request(cluster, jobs, pools, job, pool, run[st.RUN_GPUS], True, run[st.RUN_END])
    run[st.RUN_BITS] = choose_its_gpus(detail, cluster, node)
    take(nodes, tables, cluster.pod, node, run[st.RUN_BITS])
    follow(cluster, pools, pool, node, shared)


@helper
def most_more_gpus(cluster: Cluster, jobs: Table, pools: Table, slot: int, wanted: int) -> int:
    """How many of `wanted` more GPUs the CPUs and the memory left on a job's node allow."""
    job, pool, node = cluster.run[slot, st.RUN_JOB], cluster.run[slot, st.RUN_POOL], cluster.run[slot, st.RUN_NODE]
    units = max(1, jobs[job, st.MILLI] // 1000)
    each = jobs[job, st.CPU_MILLI] // units
    if pools[pool, st.NODE_CPU] >= 0 and each > 0:
        wanted = min(wanted, cluster.detail.node[node, ns.FREE_CPU] // each)
    each = jobs[job, st.MEMORY_MIB] // units
    if pools[pool, st.NODE_MEMORY] >= 0 and each > 0:
        wanted = min(wanted, cluster.detail.node[node, ns.FREE_MEMORY] // each)
    return wanted


@rare
def has_no_place(detail: DetailSettings, cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> bool:
    """Whether a job fits on no nodes now."""
    return find_place(detail, cluster, jobs, pools, job, pool, 1) == NO_PLACE


@rare
def note_stuck(cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> None:
    """Remember what a job requests of a node if CPUs or memory alone keep it from starting."""
    full_nodes, rest, row = (
        jobs[job, st.MILLI] // (1000 * pools[pool, st.GPUS]),
        part_gpus(jobs, pools, job, pool),
        cluster.pool[pool],
    )
    if rest == 0 or row[st.IDLE_TAIL] - row[st.IDLE_HEAD] < full_nodes:
        return
    write_request(cluster, jobs, pools, job, pool, rest, True, 1)
    if has_gpus(cluster, pools, pool):
        row[st.STUCK_MILLI] += rest * cluster.pod[ns.MILLI]
        row[st.STUCK_CPU] += cluster.pod[ns.CPU]
        row[st.STUCK_MEMORY] += cluster.pod[ns.MEMORY]


@helper
def nodes_for_stuck(cluster: Cluster, pools: Table, pool: int, target: int) -> int:
    """The target of a pool, raised where the nodes that boot are too few for the jobs that `note_stuck` remembered."""
    row = cluster.pool[pool]
    gpu_milli = 1000 * pools[pool, st.GPUS]
    needed = (row[st.STUCK_MILLI] + gpu_milli - 1) // gpu_milli
    if pools[pool, st.NODE_CPU] > 0:
        needed = max(needed, (row[st.STUCK_CPU] + pools[pool, st.NODE_CPU] - 1) // pools[pool, st.NODE_CPU])
    if pools[pool, st.NODE_MEMORY] > 0:
        needed = max(needed, (row[st.STUCK_MEMORY] + pools[pool, st.NODE_MEMORY] - 1) // pools[pool, st.NODE_MEMORY])
    row[st.STUCK_MILLI], row[st.STUCK_CPU], row[st.STUCK_MEMORY] = 0, 0, 0
    booting = row[st.BOOT_TAIL] - row[st.BOOT_HEAD]
    if needed <= booting:
        return target
    return max(target, row[st.IDLE_TAIL] - row[st.IDLE_HEAD] + row[st.BUSY] + needed)


@helper
def may_have_place(cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> bool:
    """Whether a job may fit although another did not: it requests less of something."""
    row, milli = cluster.pool[pool], jobs[job, st.MILLI]
    if milli < row[st.BLOCKED_MILLI]:
        return True
    gpus = pools[pool, st.GPUS]
    full_nodes = milli // (1000 * gpus)
    if full_nodes > row[st.BLOCKED_MILLI] // (1000 * gpus):
        return False
    write_request(cluster, jobs, pools, job, pool, part_gpus(jobs, pools, job, pool), True, 1)
    return cluster.pod[ns.CPU] < row[st.BLOCKED_CPU] or cluster.pod[ns.MEMORY] < row[st.BLOCKED_MEMORY]


@helper
def note_blocked(cluster: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> None:
    """Remember what a job requests that did not fit."""
    milli, row = jobs[job, st.MILLI], cluster.pool[pool]
    write_request(cluster, jobs, pools, job, pool, part_gpus(jobs, pools, job, pool), True, 1)
    row[st.BLOCKED_MILLI], row[st.BLOCKED_CPU], row[st.BLOCKED_MEMORY] = (
        milli,
        cluster.pod[ns.CPU],
        cluster.pod[ns.MEMORY],
    )


@rare
def clear_detail(detail: DetailSettings, cluster: Cluster, pools: Table) -> None:
    """Every node closed and empty."""
    nodes, tables = cluster.detail, detail.tables
    nodes.node[:] = 0
    nodes.kind[:] = 0
    nodes.gpu[:] = 0
    nodes.clock[:] = 0
    for pool in range(pools.shape[0]):
        offset = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            row = nodes.node[node]
            row[ns.FREE_CPU] = pools[pool, st.NODE_CPU] if pools[pool, st.NODE_CPU] >= 0 else tables.most[0]
            row[ns.FREE_MEMORY] = max(pools[pool, st.NODE_MEMORY], 0)
            row[ns.GPUS], row[ns.MODEL], row[ns.LINKED] = pools[pool, st.GPUS], pool, pools[pool, st.LINKED]
            for gpu in range(pools[pool, st.GPUS]):
                nodes.gpu[node, gpu] = 1000
            refresh(nodes, tables, node)
