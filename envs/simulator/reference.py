"""The plain Python twin of the simulator: slow and obvious, it defines what the compiled kernels must do.

Objects, lists and searches over everything instead of flat arrays, heaps and bit sets. The property tests drive both
with the same traces, clusters and actions, and every number must be equal. The codec is not written twice: this twin
calls the plain functions of `envs.codec` that the kernels compile.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from envs.codec import (
    CONSOLIDATION_CHOICES,
    IDLE_AGE_EDGES_SECONDS,
    SUBMIT_WINDOWS_SECONDS,
    WIDTH_CHOICES,
    BusyNode,
    ClusterSnapshot,
    Pool,
    Signal,
    Slot,
    consolidation_plan,
    decode,
    emptiable,
    empty_decision,
    empty_plan,
    empty_snapshot,
    encode,
    observation_size,
    write_mask,
)
from envs.simulator.detail_reference import DetailedNodes, Placed
from envs.simulator.node_packing_reference import PlainPod
from envs.simulator.problem import Problem
from envs.simulator.state import (
    BOOT_FAILS_PPM,
    IMAGE,
    LOT_BOOT,
    LOT_BOOT_FAILS,
    LOT_FAILURE,
    LOT_OUTAGE,
    LOT_RECLAIM,
    LOT_REPAIR,
    LOTS,
    MAX_SPREAD_NODES,
    MAX_WIDTH_GPUS,
    NEVER,
    POOL_LOTS,
    PPM,
    RANK,
    WORKLOAD,
)

WEEK_MS = 7 * 24 * 3600 * 1000
EDGES_MS = [round(edge * 1000) for edge in IDLE_AGE_EDGES_SECONDS]


@dataclass(slots=True)
class Job:
    """A job of the trace.

    `work` is all that it has to do and `left` what is left of that, in millionths of a ms at its reference speed; it
    writes a checkpoint each `checkpoint` of work, never where that is 0.
    """

    number: int
    submit_ms: int
    work: int
    left: int
    milli: int
    pools: list[int]
    checkpoint: int = 0
    image: int = 0
    has_run: bool = False
    workload: int = -1  # row of the curves
    min_milli: int = 0
    max_milli: int = 0
    rank: int = 0  # place in the order of the queue, lowest first, see `envs.simulator.queues`
    priority: int = 0
    predicted_ms: int = 0  # the run time that is expected, 0: unknown
    owner: int = 0
    quota_milli: int = NEVER
    latest_ms: int = 0  # until when it may be deferred, 0: it may not
    deadline_ms: int = NEVER


@dataclass(slots=True, eq=False)
class Node:
    """A node. `free` GPUs are neither used nor shared; `since_ms` and `turn` say when it became idle or was ordered.

    `life` counts how often it was switched on. At `event_ms` comes what `event` says: fail, reclaim, gone, return.
    """

    number: int
    pool: int
    gpus: int
    state: str = "off"  # off, booting, on, draining, down
    free: int = 0
    since_ms: int = 0
    turn: int = 0
    ready_ms: int = 0
    life: int = 0
    event: str = ""
    event_ms: int = NEVER
    images: set[int] = field(default_factory=set)

    @property
    def is_idle(self) -> bool:
        """Whether it is on and runs nothing."""
        return self.state == "on" and self.free == self.gpus

    @property
    def is_busy(self) -> bool:
        """Whether it is on and runs something."""
        return self.state == "on" and self.free < self.gpus


@dataclass(slots=True, eq=False)
class SharedGpu:
    """A GPU that jobs share; `turn` says when it was last touched. Detailed nodes know its number."""

    node: Node
    free_milli: int
    turn: int
    gpu: int = -1


@dataclass(slots=True, eq=False)
class Running:
    """A running job: whole GPUs by node, in the order they were taken, or a share of one."""

    job: Job
    pool: int
    since_ms: int  # the job has `job.left` of its work then, and makes no progress before
    milli: int
    rate: int = PPM
    saved_milli: int = 0  # GPUs that the power saved by a cap is worth
    parts: list[tuple[Node, int]] = field(default_factory=list)
    has_part: bool = False  # whether the last of its parts is one of a node that others may share
    share: SharedGpu | None = None
    placed: list[Placed] = field(default_factory=list)  # the same on detailed nodes, its part of a node last

    @property
    def nodes(self) -> list[Node]:
        """Every node that it uses."""
        return [self.share.node] if self.share is not None else [node for node, _ in self.parts]

    @property
    def finish_ms(self) -> int:
        """When it ends at its present rate."""
        return self.since_ms + -(-self.job.left // self.rate)

    @property
    def slow_milli(self) -> int:
        """GPUs that make no progress: those it has beyond those that would do its work at reference speed."""
        return self.milli - self.job.milli * self.rate // PPM


@dataclass(slots=True)
class Reservation:
    """The first job that found no room in a pool, when it is expected to, and which jobs will have ended by then."""

    job: Job
    time: int
    ending: set[int]


@dataclass(slots=True)
class Totals:
    """Integrals and counters of one pool."""

    idle_node_ms: int = 0
    busy_node_ms: int = 0
    boot_node_ms: int = 0
    down_node_ms: int = 0
    used_milli_ms: int = 0
    overhead_milli_ms: int = 0
    saved_milli_ms: int = 0
    moves: int = 0
    preemptions: int = 0
    boot_failures: int = 0
    failures: int = 0
    reclaims: int = 0
    nodes_added: int = 0
    nodes_removed: int = 0
    scale_ups: int = 0
    scale_downs: int = 0


def _split_mix(word: int) -> int:
    """The next output of SplitMix64 from a state."""
    word = (word + 0x9E3779B97F4A7C15) % 2**64
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


class ReferenceSimulator:
    """One cluster.

    Args:
        problem: the checked inputs, the same that the compiled simulator gets.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.plan = empty_plan(problem.config.codec)
        self.decision = empty_decision(problem.config.codec)
        self.observation = np.zeros(observation_size(problem.config.codec), np.float32)
        self.mask = np.zeros(problem.config.codec.mask_size, np.bool_)
        self.trace = [self._job(number) for number in range(problem.num_jobs)]

    def _job(self, number: int) -> Job:
        submit, duration, milli, bits = (int(value) for value in self.problem.jobs[number, :4])
        pools = [pool for pool in range(len(self.problem.pools)) if bits >> pool & 1]
        checkpoint = int(self.problem.checkpoint_ms[number]) * PPM
        job = Job(number, submit, duration * PPM, duration * PPM, milli, pools, checkpoint)
        if self.problem.settings.has_curves:
            job.workload, job.min_milli, job.max_milli = (int(x) for x in self.problem.jobs[number, WORKLOAD:][:3])
        if self.problem.settings.pulls_images:
            job.image = int(self.problem.jobs[number, IMAGE])
        if self.problem.settings.queue.has_facts:
            facts = [int(value) for value in self.problem.jobs[number, RANK:][:7]]
            job.rank, job.priority, job.predicted_ms, job.owner, job.quota_milli = facts[:5]
            job.latest_ms, job.deadline_ms = facts[5:]
        return job

    def reset(self, start_ms: int, end_ms: int, last_job: int, seed: int | None = None) -> None:
        """Begin an episode; see `Simulator.reset`."""
        self.seed = self.problem.config.physics.seed if seed is None else seed
        self.now = self.start = start_ms
        self.end, self.last_job = end_ms, last_job
        self.done = self.truncated = False
        self.turn = 0
        self.nodes = [
            Node(number, pool, config.gpus_per_node)
            for pool, config in enumerate(self.problem.cluster.pools)
            for number in range(config.max_nodes)
        ]
        self.detail = DetailedNodes(self.problem) if self.problem.settings.is_detailed else None
        self.stuck: list[list[PlainPod]] = [[] for _ in self.problem.pools]
        self.shares: list[SharedGpu] = []
        self.queue: list[Job] = []
        self.running: list[Running] = []
        self.totals = [Totals() for _ in self.problem.pools]
        self.waited_milli_ms = self.finished = self.decisions = self.deadline_misses = 0
        self.usage: defaultdict[int, int] = defaultdict(int)  # GPU time in thousandths by owner
        self.job_starts: dict[int, int] = {}
        self.job_ends: dict[int, int] = {}
        self.consolidated = [start_ms for _ in self.problem.pools]
        self.power_cap = [0 for _ in self.problem.pools]
        self.paid = self._cost_integrals()
        for pool, config in enumerate(self.problem.cluster.pools):
            for _ in range(config.min_nodes):
                self._switch_on_at_once(pool)
        self.first_job = sum(job.submit_ms < start_ms for job in self.trace)
        for job in self.trace[: self.first_job]:
            if job.submit_ms + job.work // PPM > start_ms:
                self._begin_running(job)
        self.next_job = self.first_job
        self._submit()
        self._observe()

    def _begin_running(self, job: Job) -> None:
        left = replace(job, submit_ms=self.start, left=job.work - (self.start - job.submit_ms) * PPM)
        pool = job.pools[0]
        while not self._start(left, pool):
            if not any(node.state == "off" for node in self._of_pool(pool)):
                self._enqueue(left)
                return
            self._switch_on_at_once(pool)

    def _of_pool(self, pool: int) -> list[Node]:
        return [node for node in self.nodes if node.pool == pool]

    def _idle(self, pool: int) -> list[Node]:
        """Idle nodes, the one that became idle first in front."""
        return sorted((node for node in self._of_pool(pool) if node.is_idle), key=lambda node: node.turn)

    def _next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def _become_idle(self, node: Node) -> None:
        node.state, node.free, node.since_ms, node.turn = "on", node.gpus, self.now, self._next_turn()

    def _first_off(self, pool: int) -> Node:
        return min((node for node in self._of_pool(pool) if node.state == "off"), key=lambda node: node.number)

    def _switch_on(self, pool: int) -> Node:
        node = self._first_off(pool)
        node.life += 1
        node.images.clear()
        return node

    def _switch_on_at_once(self, pool: int) -> None:
        self._begin_service(self._switch_on(pool))

    # Lots

    def _lot(self, kind: int, node: Node) -> int:
        """64 random bits of a kind for a node in its present life."""
        word = 0
        for part in (self.seed, (kind << 48) + (node.pool << 40) + node.number, node.life):
            word = _split_mix(word ^ part)
        return word

    def _drawn_ms(self, kind: int, node: Node) -> int | None:
        """The time of a kind that a node draws in its present life: the quantile that the first bits say."""
        time = int(self.problem.pools[node.pool, POOL_LOTS + kind * LOTS + (self._lot(kind, node) >> 54)])
        return None if time < 0 else time

    def _boot_fails(self, node: Node) -> bool:
        if not self.problem.settings.draws_lots:
            return False
        millionths = (self._lot(LOT_BOOT_FAILS, node) >> 32) * PPM >> 32
        return bool(millionths < self.problem.pools[node.pool, BOOT_FAILS_PPM])

    def _boot_ms(self, node: Node) -> int:
        """From the order to the end of the boot: the node is ready, or it is noticed that it will not be."""
        config = self.problem.cluster.pools[node.pool]
        if self._boot_fails(node):
            return round(config.boot.timeout_seconds * 1000)
        drawn = self._drawn_ms(LOT_BOOT, node) if self.problem.settings.draws_lots else None
        return round(config.boot_seconds * 1000) if drawn is None else drawn

    # The life of nodes

    def _begin_service(self, node: Node) -> None:
        """A node is on, until it fails or is taken back, whichever its lots say first."""
        self._become_idle(node)
        if self.problem.settings.draws_lots:
            fails, reclaimed = self._drawn_ms(LOT_FAILURE, node), self._drawn_ms(LOT_RECLAIM, node)
            if fails is not None and (reclaimed is None or fails <= reclaimed):
                node.event, node.event_ms = "fail", self.now + fails
            elif reclaimed is not None:
                node.event, node.event_ms = "reclaim", self.now + reclaimed

    def _end_boot(self, node: Node) -> None:
        if self._boot_fails(node):
            node.state = "off"
            self.totals[node.pool].boot_failures += 1
        else:
            self._begin_service(node)

    def _evict(self, node: Node, has_notice: bool) -> None:
        """Preempt every job of a node."""
        there = [run for run in self.running if node in run.nodes]
        for run in sorted(there, key=lambda run: run.job.number):
            self._preempt(run, has_notice)

    def _happen(self, node: Node) -> None:
        """Let happen to a node what its lots said."""
        totals = self.totals[node.pool]
        notice_ms = round(self.problem.cluster.pools[node.pool].spot.notice_seconds * 1000)
        if node.event == "fail":
            self._evict(node, has_notice=False)
            totals.failures += 1
            self._go_down(node, LOT_REPAIR)
        elif node.event == "reclaim":
            self._evict(node, has_notice=notice_ms > 0)
            totals.reclaims += 1
            node.state, node.free = "draining", 0
            node.event, node.event_ms = "gone", self.now + notice_ms
        elif node.event == "gone":
            self._go_down(node, LOT_OUTAGE)
        else:
            node.state, node.event_ms = "off", NEVER

    def _go_down(self, node: Node, kind: int) -> None:
        drawn = self._drawn_ms(kind, node)
        assert drawn is not None
        node.state, node.free = "down", 0
        node.event, node.event_ms = "return", self.now + drawn

    # Placement

    def _choose(self, pool: int, gpus: int) -> Node | None:
        """The node that the packer takes for `gpus` whole GPUs, fewer than a whole node or one node of a single GPU."""
        idle = self._idle(pool)[-1:]
        roomy = [node for node in self._of_pool(pool) if node.is_busy and node.free >= gpus]
        packer = self.problem.config.packer
        if packer == "worst-fit":
            return idle[0] if idle else min(roomy, key=lambda node: (-node.free, node.number), default=None)
        if packer == "first-fit":
            return min(roomy, key=lambda node: node.number, default=idle[0] if idle else None)
        return min(roomy, key=lambda node: (node.free, node.number), default=idle[0] if idle else None)

    def _start(self, job: Job, pool: int) -> bool:
        """Start a job on a pool if there is room for all of it."""
        run = Running(job, pool, self.now, job.milli)
        if self.detail is not None:
            if not self._place(self.detail, run):
                return False
        elif job.milli < 1000:
            run.share = self._take_share(pool, job.milli)
            if run.share is None:
                return False
        else:
            gpus_per_node = self.problem.cluster.pools[pool].gpus_per_node
            whole_nodes, rest = divmod(job.milli // 1000, gpus_per_node)
            idle = self._idle(pool)
            if len(idle) < whole_nodes:
                return False
            taken = idle[::-1][:whole_nodes]
            for node in taken:
                node.free = 0
            last = self._choose(pool, rest) if rest else None
            if rest and last is None:
                for node in taken:
                    node.free = node.gpus
                return False
            run.parts = [(node, gpus_per_node) for node in taken]
            if last is not None:
                last.free -= rest
                run.parts.append((last, rest))
                run.has_part = True
        self.running.append(run)
        self._pace(run)
        pull_ms = self._pull_ms(run.nodes, job)
        is_ours = job.number >= self.first_job  # one that ran before the episode began has its image
        self._hold(run, (self.problem.settings.restart_ms if job.has_run else 0) + (pull_ms if is_ours else 0))
        return True

    def _pull_ms(self, nodes: list[Node], job: Job) -> int:
        """How long a job waits for its image on these nodes, which have it from now on."""
        lacking = [node for node in nodes if job.image > 0 and job.image not in node.images]
        for node in lacking:
            node.images.add(job.image)
        return round(self.problem.cluster.pools[lacking[0].pool].pull_seconds * 1000) if lacking else 0

    def _split(self, job: Job, pool: int) -> tuple[int, int]:
        """How many whole nodes a job gets, and how many GPUs of another one, or 1 for its share of one."""
        whole_nodes, rest = divmod(job.milli // 1000, self.problem.cluster.pools[pool].gpus_per_node)
        return whole_nodes, 1 if job.milli < 1000 else rest

    def _place(self, detail: DetailedNodes, run: Running) -> bool:
        """Give a job detailed nodes, if there is room: whole idle ones, the newest first, then part of one.

        The packer chooses among the busy nodes with room for the part; where there is none it is an idle node, the
        newest that is left. Worst fit is the other way round.
        """
        job, pool = run.job, run.pool
        whole_nodes, rest = self._split(job, pool)
        end = detail.predicted_end(job.number, job.left, self.now)
        idle = self._idle(pool)[::-1]
        if len(idle) < whole_nodes:
            return False
        last = None
        if rest:
            pod = detail.pod(job.number, pool, rest, True, end)
            busy = {detail.number(pool, node.number): node for node in self._of_pool(pool) if node.is_busy}
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
                run.share = self._share_of(last, run.placed[-1].gpus[0])
                run.share.free_milli -= job.milli
            else:
                run.parts.append((last, rest))
                run.has_part = True
                last.free -= rest
        return True

    def _share_of(self, node: Node, gpu: int) -> SharedGpu:
        """A GPU that is shared from now on, if it was not before."""
        for share in self.shares:
            if share.node is node and share.gpu == gpu:
                return share
        node.free -= 1
        self.shares.append(SharedGpu(node, 1000, 0, gpu))
        return self.shares[-1]

    def _note_stuck(self, detail: DetailedNodes, job: Job, pool: int) -> None:
        """Remember a job that did not start though one busy node has the GPUs for its part: CPUs or memory lack."""
        whole_nodes, rest = self._split(job, pool)
        if not rest or len(self._idle(pool)) < whole_nodes:
            return
        pod = detail.pod(job.number, pool, rest, True, 1)
        busy = [node for node in self._of_pool(pool) if node.is_busy]
        if any(detail.has_gpus(detail.number(pool, node.number), pod) for node in busy):
            self.stuck[pool].append(pod)

    def _with_stuck(self, detail: DetailedNodes, pool: int, target: int) -> int:
        """The target of a pool, raised where the nodes that boot are too few for the jobs that are stuck."""
        needed = detail.nodes_needed(pool, self.stuck[pool])
        states = [node.state for node in self._of_pool(pool)]
        if needed <= states.count("booting"):
            return target
        return max(target, states.count("on") + needed)

    def _take_share(self, pool: int, milli: int) -> SharedGpu | None:
        fitting = [share for share in self.shares if share.node.pool == pool and share.free_milli >= milli]
        share = min(fitting, key=lambda share: (share.free_milli, -share.turn), default=None)
        if share is None:
            node = self._choose(pool, 1)
            if node is None:
                return None
            node.free -= 1
            share = SharedGpu(node, 1000, 0)
            self.shares.append(share)
        share.free_milli -= milli
        share.turn = self._next_turn()
        return share

    def _give_back(self, node: Node, gpus: int) -> None:
        node.free += gpus
        if node.free == node.gpus:
            self._become_idle(node)

    def _release(self, run: Running) -> None:
        """Give back what a job holds."""
        if self.detail is not None:
            for placed in run.placed:
                self.detail.end(placed)
        for node, gpus in run.parts:
            self._give_back(node, gpus)
        if run.share is not None:
            run.share.free_milli += run.job.milli
            run.share.turn = self._next_turn()
            if run.share.free_milli == 1000:
                self.shares.remove(run.share)
                self._give_back(run.share.node, 1)
        self.running.remove(run)

    def _finish(self, run: Running) -> None:
        self._release(run)
        self.finished += 1
        self.deadline_misses += int(bool(self.problem.settings.queue.counts_misses) and self.now > run.job.deadline_ms)
        if run.job.number >= self.first_job:
            self.job_ends[run.job.number] = self.now

    # Time

    def _integrate(self, until: int) -> None:
        elapsed = until - self.now
        for pool, totals in enumerate(self.totals):
            nodes = self._of_pool(pool)
            # A node that drains is on and runs nothing.
            totals.idle_node_ms += elapsed * sum(node.is_idle or node.state == "draining" for node in nodes)
            totals.down_node_ms += elapsed * sum(node.state == "down" for node in nodes)
            totals.busy_node_ms += elapsed * sum(node.is_busy for node in nodes)
            totals.boot_node_ms += elapsed * sum(node.state == "booting" for node in nodes)
            totals.used_milli_ms += elapsed * self._used_milli(pool)
            running = [run for run in self.running if run.pool == pool]
            totals.overhead_milli_ms += elapsed * sum(run.slow_milli for run in running)
            totals.saved_milli_ms += elapsed * sum(run.saved_milli for run in running)
        deferred = self._deferred() if self.problem.settings.queue.waits_free else []
        self.waited_milli_ms += elapsed * sum(job.milli for job in self.queue if job not in deferred)
        self._count_usage(until)
        self.now = until

    def _deferred(self) -> list[Job]:
        """Waiting jobs whose latest start lies ahead."""
        defers = self.problem.settings.queue.defers
        return [job for job in self.queue if defers and job.latest_ms > self.now]

    def _count_usage(self, until: int) -> None:
        """Count the GPU time of each owner; it is halved at equal steps from the beginning of the episode on."""
        time, halving = self.now, self.problem.settings.queue.halving_ms
        while time < until:
            moment = self.start + ((time - self.start) // halving + 1) * halving if halving else NEVER
            for run in self.running:
                self.usage[run.job.owner] += run.job.milli * (min(moment, until) - time)
            time = min(moment, until)
            if time == moment:
                for owner in self.usage:
                    self.usage[owner] //= 2

    def _used_milli(self, pool: int) -> int:
        return sum(run.milli for run in self.running if run.pool == pool)

    def _next_event(self) -> int:
        times = [run.finish_ms for run in self.running]
        times += [node.ready_ms for node in self.nodes if node.state == "booting"]
        times += [node.event_ms for node in self.nodes]
        times += [job.submit_ms for job in self.trace[self.next_job : self.last_job][:1]]
        times += [job.latest_ms for job in self._deferred()]
        return min(times, default=NEVER)

    def _next_age(self) -> int:
        """When the next idle node passes an age of the snapshot."""
        ages = [node.since_ms + edge for node in self.nodes if node.is_idle for edge in EDGES_MS]
        return min((time for time in ages if time > self.now), default=NEVER)

    def _submit(self) -> None:
        while self.next_job < self.last_job and self.trace[self.next_job].submit_ms <= self.now:
            self._enqueue(replace(self.trace[self.next_job]))
            self.next_job += 1

    def _enqueue(self, job: Job) -> None:
        """Put a job in its place in the queue."""
        self.queue.append(job)
        self.queue.sort(key=self._turn_of)

    def _turn_of(self, job: Job) -> tuple[int, ...]:
        """What waiting jobs are sorted by: the lowest has its turn first."""
        settings = self.problem.settings.queue
        priority = job.priority if settings.has_priorities else 0
        usage = self.usage[job.owner] if settings.by_usage else 0
        return -priority, usage, job.rank, job.number

    def _over_quota(self) -> set[int]:
        """Waiting jobs for which those of the same owner that run, or wait before them, leave no quota."""
        if not self.problem.settings.queue.has_quotas:
            return set()
        planned: defaultdict[int, int] = defaultdict(int)
        for run in self.running:
            planned[run.job.owner] += run.job.milli
        over = set()
        for job in self.queue:
            if planned[job.owner] + job.milli > job.quota_milli:
                over.add(job.number)
            else:
                planned[job.owner] += job.milli
        return over

    def _process(self, time: int) -> None:
        """All that happens at one moment: jobs end; nodes fail, go or come back; boots end; jobs are submitted."""
        self._integrate(time)
        ended = [run for run in self.running if run.finish_ms <= time]
        for run in sorted(ended, key=lambda run: (run.finish_ms, run.job.number)):
            self._finish(run)
        while due := [node for node in self.nodes if node.event_ms <= time]:
            for node in sorted(due, key=lambda node: (node.pool, node.number)):
                self._happen(node)
        ready = [node for node in self.nodes if node.state == "booting" and node.ready_ms <= time]
        for node in sorted(ready, key=lambda node: (node.pool, node.turn)):
            self._end_boot(node)
        self._submit()

    def _advance(self) -> None:
        """Run to the next decision: after the next event, but within the decision and the resync interval."""
        settings = self.problem.settings
        event = min(self._next_event(), self._next_age())
        decision = max(self.now + settings.decision_ms, min(event, self.now + settings.resync_ms))
        if decision >= self.end:
            decision, self.truncated = self.end, True
        while self._next_event() <= decision:
            self._process(self._next_event())
            if self.next_job == self.last_job and not self.queue and not self.running:
                self.done, self.truncated = True, False
                return
        self._integrate(decision)
        self.done = self.truncated

    # Decisions

    def step(self, action: NDArray[np.int64]) -> float:
        """Carry out an action, run to the next decision and return the reward in USD."""
        decode(action, self.snapshot, self.problem.tables, self.plan, self.decision)
        pools = range(len(self.totals))
        if self.problem.settings.has_curves:
            for pool in pools:
                self._cap_power(pool, int(self.decision.power_cap[pool]))
                if WIDTH_CHOICES[self.decision.width[pool]] == "shrink":
                    self._change_width(pool, grow=False)
        self._start_jobs()
        for pool in pools:
            if self.problem.settings.has_curves and WIDTH_CHOICES[self.decision.width[pool]] == "grow":
                self._change_width(pool, grow=True)
        for pool, choice in enumerate(self.decision.consolidation[: len(self.totals)]):
            if choice > 0:
                self._consolidate(pool, CONSOLIDATION_CHOICES[choice])
        for pool in range(len(self.totals)):
            target = int(self.decision.target_nodes[pool])
            self._scale(pool, target if self.detail is None else self._with_stuck(self.detail, pool, target))
        self.decisions += 1
        self._advance()
        self._observe()
        return self._reward()

    def _start_jobs(self) -> None:
        """Offer each waiting job, in order, the pool of its slot, or its first pool behind the window."""
        self.stuck = [[] for _ in self.stuck]
        passing = self.problem.config.physics.queue.passing
        over_quota = self._over_quota()
        heads: dict[int, Reservation] = {}
        for slot, job in enumerate(list(self.queue)):
            in_window = slot < len(self.decision.placement)
            pool = int(self.decision.placement[slot]) if in_window else job.pools[0]
            if pool < 0 or job.number in over_quota:
                continue
            if pool not in heads:
                started = self._start(job, pool) or self._make_way(job, pool)
                if not started and in_window and self.detail is not None:
                    self._note_stuck(self.detail, job, pool)
                if not started and passing != "any":
                    heads[pool] = self._reserve(job, pool)
            else:
                started = passing == "backfill" and self._pass(job, pool, heads[pool])
            if started:
                self.queue.remove(job)
                if job.number >= self.first_job:
                    job.has_run = True
                    self.job_starts.setdefault(job.number, self.now)

    def _copy(self) -> ReferenceSimulator:
        """A copy of the cluster to try things on."""
        return copy.deepcopy(self, {id(self.problem): self.problem, id(self.trace): self.trace})

    def _expected_end(self, job: Job, end: int) -> int:
        """When a job is expected to end: as far from its true end as the estimate is from its true run time."""
        return max(self.now, end + job.predicted_ms - job.work // PPM) if job.predicted_ms > 0 else NEVER

    def _let_end(self, pool: int, time: int, ending: set[int]) -> None:
        """Let jobs end, and nodes become ready, that are expected to until a time."""
        for run in [run for run in self.running if run.pool == pool and run.job.number in ending]:
            self._release(run)
        for node in self._of_pool(pool):
            if node.state == "booting" and node.ready_ms <= time:
                self._become_idle(node)

    def _reserve(self, job: Job, pool: int) -> Reservation:
        """When a job is expected to find room, if nothing else starts."""
        running = [run for run in self.running if run.pool == pool]
        ends = {run.job.number: self._expected_end(run.job, run.finish_ms) for run in running}
        ready = [node.ready_ms for node in self._of_pool(pool) if node.state == "booting"]
        trial = self._copy()
        for time in sorted({self.now, *ready, *ends.values()} - {NEVER}):
            ending = {number for number, end in ends.items() if end <= time}
            trial._let_end(pool, time, ending)  # noqa: SLF001 (its own)
            if trial._start(job, pool):  # noqa: SLF001
                return Reservation(job, time, ending)
        return Reservation(job, NEVER, set())

    def _pass(self, job: Job, pool: int, head: Reservation) -> bool:
        """Start a job that fits, unless the head of its pool would then not find room at its time."""
        delay_ms = self.problem.settings.restart_ms if job.has_run else 0
        end = self._expected_end(job, self.now + delay_ms - (-job.left // PPM))
        if end <= head.time:
            head.ending.add(job.number)
            return self._start(job, pool)
        trial = self._copy()
        if not trial._start(job, pool):  # noqa: SLF001
            return False
        trial._let_end(pool, head.time, head.ending)  # noqa: SLF001
        return trial._start(head.job, pool) and self._start(job, pool)  # noqa: SLF001

    def _make_way(self, job: Job, pool: int) -> bool:
        """Start a job in the place of less urgent ones that can be checkpointed, as few as can be."""
        settings = self.problem.settings.queue
        if not settings.preempts:
            return False
        victims = [run for run in self.running if run.pool == pool and run.job.checkpoint > 0]
        victims = [run for run in victims if run.job.priority < job.priority]
        victims.sort(key=lambda run: (-run.job.priority, run.job.number))
        if not self._fits_without(victims, job, pool):
            return False
        for run in list(victims):  # the most urgent and the first submitted may stay, where the rest is enough
            others = [other for other in victims if other is not run]
            if self._fits_without(others, job, pool):
                victims = others
        if len(victims) > settings.max_victims:
            return False
        for run in victims:
            self._preempt(run, bool(settings.has_notice))
        return self._start(job, pool)

    def _fits_without(self, runs: list[Running], job: Job, pool: int) -> bool:
        trial = self._copy()
        trial._let_end(pool, self.now, {run.job.number for run in runs})  # noqa: SLF001
        return trial._start(job, pool)  # noqa: SLF001

    # Consolidation

    def _parts_on(self, node: Node) -> list[tuple[Running, int]]:
        """Jobs with some GPUs of a node, the largest part first."""
        parts = [(run, gpus) for run in self.running for other, gpus in run.parts if other is node]
        return sorted(parts, key=lambda part: (-part[1], part[0].job.number))

    def _busy(self, pool: int) -> tuple[list[Node], list[BusyNode]]:
        """The busy nodes of a pool, and what the rule of `envs.codec` must know of each."""
        shared = [share.node for share in self.shares]
        nodes = [node for node in self._of_pool(pool) if node.is_busy]
        known = []
        for node in nodes:
            parts = self._parts_on(node)
            is_movable = node not in shared and all(run.job.checkpoint > 0 for run, _ in parts)
            known.append(BusyNode(node.free, tuple(gpus for _, gpus in parts), is_movable))
        return nodes, known

    def _consolidate(self, pool: int, choice: str) -> None:
        """Empty the emptiest node, or all that can be emptied."""
        nodes, known = self._busy(pool)
        plan = consolidation_plan(known, only_one=choice == "one")
        for place, targets in plan:
            node = nodes[place]
            for (run, gpus), target in zip(self._parts_on(node), targets, strict=True):
                run.parts[run.parts.index((node, gpus))] = (nodes[target], gpus)
                nodes[target].free -= gpus
                self._delay(run, self.problem.settings.move_ms + self._pull_ms([nodes[target]], run.job))
                self.totals[pool].moves += 1
            self._become_idle(node)
        if plan:
            self.consolidated[pool] = self.now

    def _delay(self, run: Running, milliseconds: int) -> None:
        """Let a running job hold its GPUs for a while without progress."""
        self._settle(run)
        self._hold(run, milliseconds)

    def _hold(self, run: Running, milliseconds: int) -> None:
        """What it would have got done in that time is overhead."""
        run.since_ms += milliseconds
        self.totals[run.pool].overhead_milli_ms += (run.milli - run.slow_milli) * milliseconds

    # Work

    def _settle(self, run: Running) -> None:
        """Count the work that a running job has done until now."""
        elapsed = self.now - run.since_ms
        if elapsed > 0:
            run.job.left = max(0, run.job.left - elapsed * run.rate)
            run.since_ms = self.now

    def _pace(self, run: Running) -> None:
        """Work out the speed of a job: what its GPU model, its nodes, its width and the power cap make of it."""
        if not self.problem.settings.has_curves:
            return
        curves, job, cap = self.problem.curves, run.job, self.power_cap[run.pool]
        nodes = len({id(node) for node, _ in run.parts}) or 1
        rate = int(curves.speed[job.workload, run.pool])
        rate = rate * int(curves.spread[job.workload, min(nodes, MAX_SPREAD_NODES)]) // PPM
        if run.milli != job.milli:
            asked, width = (min(milli // 1000, MAX_WIDTH_GPUS) for milli in (job.milli, run.milli))
            rate = rate * int(curves.scaling[job.workload, width]) // int(curves.scaling[job.workload, asked])
        run.rate = max(1, rate * int(curves.cap_speed[job.workload, run.pool, cap]) // PPM)
        run.saved_milli = run.milli * (PPM - int(curves.cap_watts[job.workload, run.pool, cap])) // PPM

    def _cap_power(self, pool: int, level: int) -> None:
        """Put a pool under a power cap; its jobs go on at once at their new speed."""
        self.power_cap[pool] = level
        for run in self.running:
            if run.pool == pool:
                self._settle(run)
                self._pace(run)

    def _shrinkable(self, run: Running) -> int:
        """GPUs that a job would give back if it were narrowed; it keeps one on the last of its nodes."""
        if run.share is not None:
            return 0
        last = run.parts[-1][1]
        return max(0, min((run.milli - run.job.min_milli) // 1000, last - 1))

    def _growable(self, run: Running) -> int:
        """GPUs that a job would take if it were widened: those free on the node that it has a part of."""
        if run.share is not None or not run.has_part:
            return 0
        node = run.parts[-1][0]
        gpus = max(0, min((run.job.max_milli - run.milli) // 1000, node.free))
        if self.detail is None:
            return gpus
        return min(gpus, self.detail.more_gpus(run.job.number, run.pool, self.detail.number(run.pool, node.number)))

    def _resize(self, run: Running, gpus: int) -> None:
        """Change the part of the last node that a job has; it restarts."""
        if not run.has_part:  # of whole nodes the one that it took first becomes a part, as large as the node
            run.parts.append(run.parts.pop(0))
            run.placed += run.placed[:1]
            run.placed = run.placed[1:]
            run.has_part = True
        node, part = run.parts[-1]
        run.parts[-1] = (node, part + gpus)
        if self.detail is not None:  # it gives its part back and takes it anew, on the GPUs that the packer takes now
            before = run.placed.pop()
            self.detail.end(before)
            after = self.detail.pod(run.job.number, run.pool, part + gpus, True, before.pod.end)
            run.placed.append(self.detail.start(after, before.number))
        node.free -= gpus
        run.milli += 1000 * gpus
        self._settle(run)
        self._pace(run)
        self._hold(run, self.problem.settings.resize_ms)

    def _change_width(self, pool: int, grow: bool) -> None:
        """Narrow all elastic jobs of a pool, or widen them in order of submission."""
        for run in sorted((run for run in self.running if run.pool == pool), key=lambda run: run.job.number):
            gpus = self._growable(run) if grow else -self._shrinkable(run)
            if gpus != 0:
                self._resize(run, gpus)

    def _preempt(self, run: Running, has_notice: bool) -> None:
        """Stop a job and queue it again; work since its last checkpoint is lost, unless it could write one in time."""
        self._settle(run)
        self._hold(run, min(0, self.now - run.since_ms))  # a delay that it does not live to see
        job = run.job
        if not (has_notice and job.checkpoint > 0):
            done = job.work - job.left
            lost = done % job.checkpoint if job.checkpoint > 0 else done
            self.totals[run.pool].overhead_milli_ms += lost // PPM * job.milli
            job.left += lost
        self.totals[run.pool].preemptions += 1
        self._release(run)
        self._enqueue(job)

    def _unavailable(self, pool: int) -> int:
        return sum(node.state in ("draining", "down") for node in self._of_pool(pool))

    def _scale(self, pool: int, target: int) -> None:
        config, totals = self.problem.cluster.pools[pool], self.totals[pool]
        nodes = sum(node.state in ("booting", "on") for node in self._of_pool(pool))
        add = min(target, config.max_nodes - self._unavailable(pool)) - nodes
        for _ in range(add):
            node = self._switch_on(pool)
            node.state, node.turn = "booting", self._next_turn()
            node.ready_ms = self.now + self._boot_ms(node)
        remove = self._idle(pool)[: max(0, nodes - max(target, config.min_nodes))]
        for node in remove:
            node.state, node.free, node.event_ms = "off", 0, NEVER
        totals.nodes_added += max(add, 0)
        totals.scale_ups += add > 0
        totals.nodes_removed += len(remove)
        totals.scale_downs += bool(remove)

    def _cost_integrals(self) -> list[tuple[int, ...]]:
        waiting = (self.waited_milli_ms, self.now, 0, 0, 0, 0)
        pools = [
            (
                pool.idle_node_ms,
                pool.busy_node_ms,
                pool.boot_node_ms,
                pool.used_milli_ms,
                pool.overhead_milli_ms,
                pool.saved_milli_ms,
            )
            for pool in self.totals
        ]
        return [*pools, waiting]

    def _reward(self) -> float:
        """Minus the cost since the last decision, without the energy of GPUs that work."""
        integrals = self._cost_integrals()
        spent = [
            tuple(after - before for after, before in zip(row, paid, strict=True))
            for row, paid in zip(integrals, self.paid, strict=True)
        ]
        self.paid = integrals
        terms = [0.0] * 7
        settings = self.problem.settings
        for config, rates, (idle, busy, boot, used, overhead, saved) in zip(
            self.problem.cluster.pools, self.problem.rates, spent[:-1], strict=True
        ):
            off = spent[-1][1] * config.max_nodes - idle - busy - boot
            amounts = (idle, busy * config.gpus_per_node * 1000 - used, boot, off)
            for index, amount in enumerate(amounts):
                terms[index] += amount * rates[index]
            terms[4] += overhead * (rates[4] + settings.usd_per_waited_milli_ms)
            terms[5] += (used - overhead) * (rates[4] - settings.usd_per_milli_ms) - saved * rates[5]
        terms[6] = spent[-1][0] * settings.usd_per_waited_milli_ms
        self.terms = (*terms, spent[-1][1] / 1000)
        return -sum(terms)

    def _observe(self) -> None:
        self.queue.sort(key=self._turn_of)
        self.snapshot = self._snapshot()
        encode(self.snapshot, self.problem.tables, self.plan, self.observation)
        write_mask(self.snapshot, self.problem.tables, self.mask)

    def _snapshot(self) -> ClusterSnapshot:
        snapshot = empty_snapshot(self.problem.config.codec)
        over_quota = self._over_quota()
        for pool in range(len(self.totals)):
            self._fill_pool(snapshot, pool)
        for slot, job in enumerate(self.queue[: self.problem.tables.window_slots]):
            snapshot.queue[slot, Slot.PRESENT] = 1.0
            snapshot.queue[slot, [Slot.GPUS, Slot.MIN_GPUS, Slot.MAX_GPUS]] = job.milli / 1000
            snapshot.queue[slot, Slot.WAITED_SECONDS] = (self.now - max(job.submit_ms, self.start)) / 1000
            snapshot.queue[slot, Slot.PREDICTED_SECONDS] = job.predicted_ms / 1000
            snapshot.queue[slot, Slot.PRIORITY] = job.priority
            if self.problem.settings.queue.defers and job.latest_ms > 0:
                slack_ms = job.latest_ms - self.now
                snapshot.queue[slot, Slot.SLACK_SECONDS] = (slack_ms if slack_ms > 0 else slack_ms - 1) / 1000
            snapshot.allowed[slot, job.pools] = 0.0 if job.number in over_quota else 1.0
            if self.problem.settings.has_curves:
                snapshot.allowed[slot, : len(self.totals)] *= self.problem.curves.speed[job.workload] / 1e6
                snapshot.queue[slot, [Slot.MIN_GPUS, Slot.MAX_GPUS]] = job.min_milli / 1000, job.max_milli / 1000
        self._fill_signals(snapshot.signals)
        return snapshot

    def _fill_pool(self, snapshot: ClusterSnapshot, pool: int) -> None:
        row, nodes = snapshot.pools[pool], self._of_pool(pool)
        row[:] = self.problem.template[pool]
        row[Pool.IDLE_NODES] = sum(node.is_idle for node in nodes)
        row[Pool.BUSY_NODES] = sum(node.is_busy for node in nodes)
        row[Pool.BOOTING_NODES] = sum(node.state == "booting" for node in nodes)
        row[Pool.UNAVAILABLE_NODES] = self._unavailable(pool)
        row[Pool.USED_GPUS] = self._used_milli(pool) / 1000
        shared = sum(share.free_milli for share in self.shares if share.node.pool == pool)
        row[Pool.SHARED_FREE_GPUS] = shared / 1000
        if self.problem.config.codec.consolidation:
            self._fill_consolidation(row, pool)
        if self.problem.settings.has_curves:
            running = [run for run in self.running if run.pool == pool]
            row[Pool.POWER_CAP] = self.power_cap[pool]
            row[Pool.SHRINKABLE_GPUS] = sum(self._shrinkable(run) for run in running)
            row[Pool.GROWABLE_GPUS] = sum(self._growable(run) for run in running)
        over_quota = self._over_quota()
        behind = [job for job in self.queue[self.problem.tables.window_slots :] if job.number not in over_quota]
        row[Pool.BACKLOG_GPUS] = sum(job.milli for job in behind if job.pools[0] == pool) / 1000
        for index, edge in enumerate(EDGES_MS):
            snapshot.idle_age_nodes[pool, index] = sum(
                node.is_idle and self.now - node.since_ms >= edge for node in nodes
            )
        for node in nodes:
            if node.is_busy:
                snapshot.free_nodes[pool, node.free] += 1.0

    def _fill_consolidation(self, row: NDArray[np.float64], pool: int) -> None:
        since_ms = self.now - self.consolidated[pool]
        row[Pool.SINCE_CONSOLIDATION_SECONDS] = since_ms / 1000
        if since_ms >= self.problem.settings.consolidation_ms:
            _, known = self._busy(pool)
            row[Pool.EMPTIABLE_NODES] = len(emptiable(known))
            row[Pool.CONSOLIDATABLE] = len(consolidation_plan(known, only_one=True))

    def _fill_signals(self, signals: NDArray[np.float64]) -> None:
        submitted = self.trace[: self.next_job]
        signals[Signal.WEEK_SECONDS] = (self.now + self.problem.settings.week_offset_ms) % WEEK_MS / 1000
        for index, seconds in enumerate(SUBMIT_WINDOWS_SECONDS):
            recent = [job for job in submitted if job.submit_ms > self.now - round(seconds * 1000)]
            signals[Signal.SUBMITTED_GPUS_10MIN + index] = sum(job.milli for job in recent) / 1000
            if seconds == 3600:
                signals[Signal.SUBMITTED_JOBS_1H] = len(recent)
        newest = submitted[-1].submit_ms if submitted else self.start
        signals[Signal.SINCE_SUBMIT_SECONDS] = (self.now - newest) / 1000
        signals[Signal.QUEUE_JOBS] = len(self.queue)
        signals[Signal.QUEUE_GPUS] = sum(job.milli for job in self.queue) / 1000
        signals[Signal.RUNNING_JOBS] = len(self.running)
        signals[Signal.USD_PER_GPU_HOUR] = self.problem.settings.usd_per_gpu_hour
