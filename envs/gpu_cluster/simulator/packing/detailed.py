"""Detailed nodes: pools whose nodes keep their CPUs, their memory and each of their GPUs. Compiled.

`reference/` says the same in plain words. A part of a job is a pod of `choice.py`, and the counters of the pool
follow: a node is open to the packer while it is busy, and where no busy node has room the newest idle one is taken.

Callers ask `settings.is_detailed` first: where a class of settings fixes that as False, the fast compiler leaves out
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
from envs.gpu_cluster.simulator.state import Cluster, DetailSettings, Settings, Table

NO_NODE, NEWEST_IDLE, NO_ROOM = -1, -2, -3
"""What `find_room` says other than a node: the job has no part of a node, it gets an idle node, it cannot start."""


@helper
def part_of(amount: int, units: int, taken: int, is_last: bool) -> int:
    """What goes with `taken` of a job's GPUs: equal amounts each, and what cannot be divided with its last part."""
    if taken == units and is_last:
        return amount
    each = amount // units
    return each * taken + (amount - each * units if is_last else 0)


@helper
def part_gpus(jobs: Table, pools: Table, job: int, pool: int) -> int:
    """The GPUs of another node that a job asks beyond whole nodes; 1 for its share of one."""
    milli = jobs[job, st.MILLI]
    return 1 if milli < 1000 else milli // 1000 % pools[pool, st.GPUS]


@helper
def ask(c: Cluster, jobs: Table, pools: Table, job: int, pool: int, gpus: int, is_last: bool, end: int) -> None:
    """Write what a job asks of one node into `c.pod`: `gpus` of its whole GPUs, or its share."""
    pod, milli = c.pod, jobs[job, st.MILLI]
    units = max(1, milli // 1000)
    pod[ns.CPU], pod[ns.MEMORY] = 0, 0
    if pools[pool, st.NODE_CPU] >= 0:
        pod[ns.CPU] = part_of(jobs[job, st.CPU_MILLI], units, gpus, is_last)
    if pools[pool, st.NODE_MEMORY] >= 0:
        pod[ns.MEMORY] = part_of(jobs[job, st.MEMORY_MIB], units, gpus, is_last)
    pod[ns.NUM_GPUS], pod[ns.MILLI] = gpus, min(milli, 1000)
    pod[ns.MODELS], pod[ns.END], pod[ns.SHAPE], pod[ns.NUMBER] = -1, end, -1, job


@helper
def predicted_end(c: Cluster, jobs: Table, job: int, left: int) -> int:
    """When a job that starts now with `left` of its work is predicted to end; at least 1 ms from now."""
    done = jobs[job, st.DURATION_MS] - (left + st.PPM - 1) // st.PPM
    return c.clock[st.NOW] + max(1, jobs[job, st.LIFETIME_MS] - done)


@helper
def shared_free(c: Cluster, node: int) -> int:
    """Free thousandths of the shared GPUs of a node."""
    return c.detail.node[node, ns.FREE_MILLI] - 1000 * c.detail.node[node, ns.WHOLE]


@helper
def share_number(pools: Table, pool: int, node: int, gpu: int) -> int:
    """The row of `c.share` that a GPU has."""
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
def take_number(c: Cluster, pools: Table, pool: int, node: int, bits: int, milli: int) -> int:
    """The row of `c.share` of a GPU of which a job just took a share."""
    gpu = lowest_gpu(bits)
    share = share_number(pools, pool, node, gpu)
    c.share[share, st.SHARE_NODE] = node
    if c.detail.gpu[node, gpu] == 1000 - milli:
        c.node[node, st.NODE_FIXED] += 1  # a shared GPU is not moved
    return share


@helper
def next_with_gpus(c: Cluster, pools: Table, pool: int, node: int) -> int:
    """The busy node behind another (-1: the first), by free GPUs and number, that has those of `c.pod`; -1: none."""
    least = c.pod[ns.NUM_GPUS]
    if node >= 0:
        found = next_node(c, pools, pool, c.node[node, st.FREE_GPUS], node)
        if found >= 0:
            return found
        least = c.node[node, st.FREE_GPUS] + 1
    for free in range(least, pools[pool, st.GPUS]):
        if c.pool[pool, st.FREE_COUNT + free] > 0:
            return lowest_node(c, pools, pool, free)
    return -1


@helper
def has_gpus(c: Cluster, pools: Table, pool: int) -> bool:
    """Whether one busy node has the GPUs that `c.pod` asks, whatever its CPUs and memory."""
    if next_with_gpus(c, pools, pool, -1) >= 0:
        return True
    if c.pod[ns.MILLI] < 1000 and c.pool[pool, st.SHARED_FREE_MILLI] > 0:
        first = pools[pool, st.NODE_OFFSET]
        for node in range(first, first + pools[pool, st.MAX_NODES]):
            if c.detail.node[node, ns.OPEN] == 1 and c.detail.node[node, ns.LARGEST] >= c.pod[ns.MILLI]:
                return True
    return False


@helper
def choose_built_in(detail: DetailSettings, c: Cluster, pools: Table, pool: int) -> int:
    """The busy node that a packer of the package chooses for `c.pod`, -1: none."""
    n, f, pod, least, chosen = c.detail, detail.tables, c.pod, ns.INFEASIBLE, -1
    first, is_share = pools[pool, st.NODE_OFFSET], pod[ns.MILLI] < 1000
    node = first if is_share else next_with_gpus(c, pools, pool, -1)
    while 0 <= node < first + pools[pool, st.MAX_NODES]:
        if ns.fits(n, pod, node):
            key = key_of_node(detail.packer, n, f, pod, node)
            if key < least or (key == least and node < chosen):
                least, chosen = key, node
        node = node + 1 if is_share else next_with_gpus(c, pools, pool, node)
    return chosen


@helper
def choose_node(detail: DetailSettings, c: Cluster, pools: Table, pool: int) -> int:
    """The busy node that the packer chooses for `c.pod`, -1: none."""
    if not detail.has_custom:
        return choose_built_in(detail, c, pools, pool)
    if c.clock[st.PACKER_FAULT] != 0 or not has_gpus(c, pools, pool):
        return -1
    first = pools[pool, st.NODE_OFFSET]
    node = ask_custom(detail.custom, c.detail, detail.tables, c.pod, first, first + pools[pool, st.MAX_NODES])
    if node == FAILED:
        c.clock[st.PACKER_FAULT] = RAISED
    return max(node, -1)


@rare
def choose_its_gpus(detail: DetailSettings, c: Cluster, node: int) -> int:
    """The GPUs that the packer takes of a node for `c.pod`, as bits; the lowest ones where it is wrong."""
    n, f = c.detail, detail.tables
    if not detail.has_custom:
        return choose_gpus(detail.packer, n, f, c.pod, node)
    if c.clock[st.PACKER_FAULT] == 0:
        bits = ask_custom(detail.custom, n, f, c.pod, node, -1)
        if are_free(n, c.pod, node, bits):
            return bits
        c.clock[st.PACKER_FAULT] = RAISED if bits == FAILED else WRONG_GPUS + node
    return lowest_gpus_compiled(n, f, c.pod, node)


@helper
def put(detail: DetailSettings, c: Cluster, pools: Table, pool: int, node: int) -> int:
    """Start `c.pod` on a busy node that has room; return its GPUs as bits."""
    n, f, before = c.detail, detail.tables, shared_free(c, node)
    bits = choose_its_gpus(detail, c, node)
    take(n, f, c.pod, node, bits)
    follow(c, pools, pool, node, before)
    return bits


@helper
def follow(c: Cluster, pools: Table, pool: int, node: int, before: int) -> None:
    """Bring the counters of a pool up to date with a node, whose shared GPUs had `before` thousandths free."""
    c.pool[pool, st.SHARED_FREE_MILLI] += shared_free(c, node) - before
    if c.detail.node[node, ns.WHOLE] != c.node[node, st.FREE_GPUS]:
        move_node(c, pools, pool, node, c.detail.node[node, ns.WHOLE], c.clock[st.NOW])


@helper
def remove(detail: DetailSettings, c: Cluster, pools: Table, pool: int, node: int, bits: int) -> None:
    """End `c.pod` on GPUs (bits) of a node."""
    before = shared_free(c, node)
    give_back(c.detail, detail.tables, c.pod, node, bits)
    if c.detail.node[node, ns.PODS] == 0:
        set_open(c.detail, node, 0)
    follow(c, pools, pool, node, before)


@rare
def find_room(detail: DetailSettings, c: Cluster, jobs: Table, pools: Table, job: int, pool: int, end: int) -> int:
    """Where the part of a node goes that a job asks, or `NO_NODE`, `NEWEST_IDLE`, `NO_ROOM`; `c.pod` is that part."""
    full_nodes, rest = jobs[job, st.MILLI] // (1000 * pools[pool, st.GPUS]), part_gpus(jobs, pools, job, pool)
    idle = c.pool[pool, st.IDLE_TAIL] - c.pool[pool, st.IDLE_HEAD]
    if rest == 0:
        return NO_NODE if idle >= full_nodes else NO_ROOM
    ask(c, jobs, pools, job, pool, rest, True, end)
    if idle < full_nodes:
        return NO_ROOM
    if detail.idle_first and idle > full_nodes:
        return NEWEST_IDLE
    node = choose_node(detail, c, pools, pool)
    if node >= 0:
        return node
    return NEWEST_IDLE if idle > full_nodes else NO_ROOM


@rare
def occupy(
    detail: DetailSettings, c: Cluster, jobs: Table, pools: Table, slot: int, job: int, pool: int, end: int, room: int
) -> None:
    """Give a job the nodes that `find_room` found: idle ones, the newest first, then its part of one."""
    run, gpus, milli = c.run[slot], pools[pool, st.GPUS], jobs[job, st.MILLI]
    full_nodes, last = milli // (1000 * gpus), -1
    run[st.RUN_CHAIN], run[st.RUN_NODE], run[st.RUN_GPUS], run[st.RUN_SHARE] = -1, -1, 0, -1
    run[st.RUN_BITS], run[st.RUN_END] = 0, end
    for index in range(full_nodes + (0 if room == NO_NODE else 1)):
        is_part = index == full_nodes
        asked = part_gpus(jobs, pools, job, pool) if is_part else gpus
        ask(c, jobs, pools, job, pool, asked, is_part or (room == NO_NODE and index == 0), end)
        node = room
        if not is_part or room == NEWEST_IDLE:
            node = take_idle(c, pools, pool, asked)
            set_open(c.detail, node, 1)
        bits = put(detail, c, pools, pool, node)
        if not is_part:
            c.node[node, st.NEXT_NODE] = -1
            if last < 0:
                run[st.RUN_CHAIN] = node
            else:
                c.node[last, st.NEXT_NODE] = node
            last = node
        elif milli < 1000:
            run[st.RUN_BITS], run[st.RUN_SHARE] = bits, take_number(c, pools, pool, node, bits, milli)
        else:
            run[st.RUN_BITS], run[st.RUN_NODE], run[st.RUN_GPUS] = bits, node, asked


@rare
def release_detailed(detail: DetailSettings, c: Cluster, jobs: Table, pools: Table, slot: int) -> None:
    """Give back what a job holds: whole nodes in the order they were taken, then the rest."""
    run = c.run[slot]
    job, pool, gpus = run[st.RUN_JOB], run[st.RUN_POOL], pools[run[st.RUN_POOL], st.GPUS]
    has_part = run[st.RUN_SHARE] >= 0 or run[st.RUN_GPUS] > 0
    node, is_last = run[st.RUN_CHAIN], not has_part
    while node >= 0:
        after = c.node[node, st.NEXT_NODE]
        ask(c, jobs, pools, job, pool, gpus, is_last, 1)
        remove(detail, c, pools, pool, node, (1 << gpus) - 1)
        node, is_last = after, False
    if run[st.RUN_SHARE] >= 0:
        node = c.share[run[st.RUN_SHARE], st.SHARE_NODE]
        ask(c, jobs, pools, job, pool, 1, True, 1)
        if c.detail.gpu[node, lowest_gpu(run[st.RUN_BITS])] + jobs[job, st.MILLI] == 1000:
            c.node[node, st.NODE_FIXED] -= 1
        remove(detail, c, pools, pool, node, run[st.RUN_BITS])
    elif run[st.RUN_GPUS] > 0:
        ask(c, jobs, pools, job, pool, run[st.RUN_GPUS], True, 1)
        remove(detail, c, pools, pool, run[st.RUN_NODE], run[st.RUN_BITS])


@helper
def held_milli(c: Cluster, jobs: Table, pools: Table, slot: int) -> int:
    """The GPUs of a running job in thousandths; from what it holds, for its row of the trace is far away."""
    run = c.run[slot]
    if run[st.RUN_SHARE] >= 0:
        return jobs[run[st.RUN_JOB], st.MILLI]
    gpus, node = run[st.RUN_GPUS], run[st.RUN_CHAIN]
    while node >= 0:
        gpus += pools[run[st.RUN_POOL], st.GPUS]
        node = c.node[node, st.NEXT_NODE]
    return 1000 * gpus


@helper
def release(c: Cluster, jobs: Table, pools: Table, settings: Settings, slot: int) -> None:
    """Give back what a job holds."""
    run = c.run[slot]
    pool = run[st.RUN_POOL]
    milli = run[st.RUN_MILLI] if settings.tracks_work else held_milli(c, jobs, pools, slot)
    if settings.is_detailed:
        if settings.moves_jobs and run[st.RUN_GPUS] > 0:
            unlink_part(c, jobs, slot, run[st.RUN_NODE])
        release_detailed(settings.detail, c, jobs, pools, slot)
    else:
        release_counted(c, jobs, pools, settings, slot, milli)
    if settings.queue.tracks_owners:
        add_in_use(c, jobs, settings, run[st.RUN_JOB], -jobs[run[st.RUN_JOB], st.MILLI])
    c.pool[pool, st.USED_MILLI] -= milli
    if settings.tracks_work:
        c.pool[pool, st.SLOW_MILLI] -= run[st.RUN_SLOW]
        c.pool[pool, st.SAVED_MILLI] -= run[st.RUN_SAVED]
        c.run[slot, st.RUN_MILLI] = 0


@rare
def retake_part(
    detail: DetailSettings, c: Cluster, jobs: Table, pools: Table, slot: int, left: int, before: int
) -> None:
    """Give the part back that a job had of a node, and take anew what it has now; its predicted end stays.

    Args:
        detail: how nodes are packed.
        c: the cluster.
        jobs: the trace.
        pools: the pools.
        slot: of the job; its node and GPUs are those it has now, its bits those it had.
        left: the node that it had; if that is another one, its counters are left to the caller.
        before: GPUs that it had there.
    """
    run, n, f = c.run[slot], c.detail, detail.tables
    job, pool, node = run[st.RUN_JOB], run[st.RUN_POOL], run[st.RUN_NODE]
    shared = shared_free(c, node)
    ask(c, jobs, pools, job, pool, before, True, run[st.RUN_END])
    give_back(n, f, c.pod, left, run[st.RUN_BITS])
    ask(c, jobs, pools, job, pool, run[st.RUN_GPUS], True, run[st.RUN_END])
    run[st.RUN_BITS] = choose_its_gpus(detail, c, node)
    take(n, f, c.pod, node, run[st.RUN_BITS])
    follow(c, pools, pool, node, shared)


@helper
def most_more_gpus(c: Cluster, jobs: Table, pools: Table, slot: int, wanted: int) -> int:
    """How many of `wanted` more GPUs the CPUs and the memory left on a job's node allow."""
    job, pool, node = c.run[slot, st.RUN_JOB], c.run[slot, st.RUN_POOL], c.run[slot, st.RUN_NODE]
    units = max(1, jobs[job, st.MILLI] // 1000)
    each = jobs[job, st.CPU_MILLI] // units
    if pools[pool, st.NODE_CPU] >= 0 and each > 0:
        wanted = min(wanted, c.detail.node[node, ns.FREE_CPU] // each)
    each = jobs[job, st.MEMORY_MIB] // units
    if pools[pool, st.NODE_MEMORY] >= 0 and each > 0:
        wanted = min(wanted, c.detail.node[node, ns.FREE_MEMORY] // each)
    return wanted


@rare
def lacks_room(detail: DetailSettings, c: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> bool:
    """Whether a job finds no room now."""
    return find_room(detail, c, jobs, pools, job, pool, 1) == NO_ROOM


@rare
def note_stuck(c: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> None:
    """Remember what a job asks of a node if CPUs or memory alone keep it from starting."""
    full_nodes, rest, row = (
        jobs[job, st.MILLI] // (1000 * pools[pool, st.GPUS]),
        part_gpus(jobs, pools, job, pool),
        c.pool[pool],
    )
    if rest == 0 or row[st.IDLE_TAIL] - row[st.IDLE_HEAD] < full_nodes:
        return
    ask(c, jobs, pools, job, pool, rest, True, 1)
    if has_gpus(c, pools, pool):
        row[st.STUCK_MILLI] += rest * c.pod[ns.MILLI]
        row[st.STUCK_CPU] += c.pod[ns.CPU]
        row[st.STUCK_MEMORY] += c.pod[ns.MEMORY]


@helper
def nodes_for_stuck(c: Cluster, pools: Table, pool: int, target: int) -> int:
    """The target of a pool, raised where the nodes that boot are too few for the jobs that `note_stuck` remembered."""
    row = c.pool[pool]
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
def may_have_room(c: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> bool:
    """Whether a job may find room although another found none: it asks less of something."""
    row, milli = c.pool[pool], jobs[job, st.MILLI]
    if milli < row[st.BLOCKED_MILLI]:
        return True
    gpus = pools[pool, st.GPUS]
    full_nodes = milli // (1000 * gpus)
    if full_nodes > row[st.BLOCKED_MILLI] // (1000 * gpus):
        return False
    ask(c, jobs, pools, job, pool, part_gpus(jobs, pools, job, pool), True, 1)
    return c.pod[ns.CPU] < row[st.BLOCKED_CPU] or c.pod[ns.MEMORY] < row[st.BLOCKED_MEMORY]


@helper
def note_blocked(c: Cluster, jobs: Table, pools: Table, job: int, pool: int) -> None:
    """Remember what a job asks that found no room."""
    milli, row = jobs[job, st.MILLI], c.pool[pool]
    ask(c, jobs, pools, job, pool, part_gpus(jobs, pools, job, pool), True, 1)
    row[st.BLOCKED_MILLI], row[st.BLOCKED_CPU], row[st.BLOCKED_MEMORY] = milli, c.pod[ns.CPU], c.pod[ns.MEMORY]


@rare
def clear_detail(detail: DetailSettings, c: Cluster, pools: Table) -> None:
    """Every node closed and empty."""
    n, f = c.detail, detail.tables
    n.node[:] = 0
    n.kind[:] = 0
    n.gpu[:] = 0
    n.clock[:] = 0
    for pool in range(pools.shape[0]):
        offset = pools[pool, st.NODE_OFFSET]
        for node in range(offset, offset + pools[pool, st.MAX_NODES]):
            row = n.node[node]
            row[ns.FREE_CPU] = pools[pool, st.NODE_CPU] if pools[pool, st.NODE_CPU] >= 0 else f.most[0]
            row[ns.FREE_MEMORY] = max(pools[pool, st.NODE_MEMORY], 0)
            row[ns.GPUS], row[ns.MODEL], row[ns.LINKED] = pools[pool, st.GPUS], pool, pools[pool, st.LINKED]
            for gpu in range(pools[pool, st.GPUS]):
                n.gpu[node, gpu] = 1000
            refresh(n, f, node)
