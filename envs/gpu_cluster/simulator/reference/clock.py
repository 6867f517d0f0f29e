"""How time passes: integrals, the next event, all that happens at one moment, and the next decision."""

from __future__ import annotations

from envs.gpu_cluster.codec import decision_time
from envs.gpu_cluster.simulator.reference.costs import book_piece, charge_energy
from envs.gpu_cluster.simulator.reference.failures import happen
from envs.gpu_cluster.simulator.reference.nodes import end_boot
from envs.gpu_cluster.simulator.reference.power import count_excess, next_phase_ms
from envs.gpu_cluster.simulator.reference.queue import count_usage, deferred_jobs, submit
from envs.gpu_cluster.simulator.reference.state import EDGES_MS, State
from envs.gpu_cluster.simulator.reference.suspension import end_suspensions, waits_free
from envs.gpu_cluster.simulator.reference.work import finish
from envs.gpu_cluster.simulator.state import NEVER


def pass_time(state: State, until: int) -> None:
    """Let time pass in which nothing happens but that a new piece of the tariff may begin."""
    for edge in state.problem.prices.tariff.edges_ms.tolist():
        if state.now < edge <= until:
            integrate(state, edge)
            charge_energy(state)
            book_piece(state)
            state.piece += 1
    integrate(state, until)


def integrate(state: State, until: int) -> None:
    """Let time pass in which nothing happens."""
    elapsed = until - state.now
    for pool, totals in enumerate(state.totals):
        nodes = state.of_pool(pool)
        # A node that drains is on and runs nothing.
        totals.idle_node_ms += elapsed * sum(node.is_idle or node.state == "draining" for node in nodes)
        totals.down_node_ms += elapsed * sum(node.state == "down" for node in nodes)
        totals.busy_node_ms += elapsed * sum(node.is_busy for node in nodes)
        totals.boot_node_ms += elapsed * sum(node.state == "booting" for node in nodes)
        totals.used_milli_ms += elapsed * state.used_milli(pool)
        running = [run for run in state.running if run.pool == pool]
        totals.overhead_milli_ms += elapsed * sum(run.slow_milli for run in running)
        totals.saved_milli_ms += elapsed * sum(run.saved_milli for run in running)
    deferred = deferred_jobs(state) if state.problem.settings.queue.waits_free else []
    state.waited_milli_ms += elapsed * sum(job.milli for job in state.queue if job not in deferred)
    paying = [suspended.job.milli for suspended in state.suspended if not waits_free(state, suspended.job)]
    state.waited_milli_ms += elapsed * sum(paying)
    count_excess(state, elapsed)
    count_usage(state, until)
    state.now = until


def next_event_ms(state: State) -> int:
    """When something happens next."""
    times = [run.finish_ms for run in state.running]
    times += [node.ready_ms for node in state.nodes if node.state == "booting"]
    times += [node.event_ms for node in state.nodes]
    times += [backoff.until_ms for backoff in state.backoffs if backoff.until_ms > state.now]
    times += [job.submit_ms for job in state.trace[state.next_job : state.last_job][:1]]
    times += [job.latest_ms for job in deferred_jobs(state)]
    times += [suspended.until_ms for suspended in state.suspended]
    times.append(next_phase_ms(state))
    return min(times, default=NEVER)


def next_age_ms(state: State) -> int:
    """When the next idle node passes an age of the snapshot."""
    ages = [node.since_ms + edge for node in state.nodes if node.is_idle for edge in EDGES_MS]
    return min((time for time in ages if time > state.now), default=NEVER)


def next_change_ms(state: State) -> int:
    """When a policy is told something else of the energy than now."""
    edges = state.problem.prices.outlook.edges_ms.tolist()
    return min((edge for edge in edges if edge > state.now), default=NEVER)


def process(state: State, time: int) -> None:
    """All of one moment: jobs end; nodes fail, go or come back; boots end; jobs go on or are submitted."""
    pass_time(state, time)
    ended = [run for run in state.running if run.finish_ms <= time]
    for run in sorted(ended, key=lambda run: (run.finish_ms, run.job.number)):
        finish(state, run)
    while due := [node for node in state.nodes if node.event_ms <= time]:
        for node in sorted(due, key=lambda node: (node.pool, node.number)):
            happen(state, node)
    ready = [node for node in state.nodes if node.state == "booting" and node.ready_ms <= time]
    for node in sorted(ready, key=lambda node: (node.pool, node.turn)):
        end_boot(state, node)
    end_suspensions(state)
    submit(state)


def advance(state: State) -> None:
    """Run to the next decision, see `envs.gpu_cluster.codec.decision_time`."""
    settings = state.problem.settings
    event = min(next_event_ms(state), next_age_ms(state), next_change_ms(state))
    decision = decision_time(state.now, event, settings.settle_ms, settings.resync_ms)
    if decision >= state.end:
        decision, state.truncated = state.end, True
    while next_event_ms(state) <= decision:
        process(state, next_event_ms(state))
        if state.next_job == state.last_job and not (state.queue or state.running or state.suspended):
            state.done, state.truncated = True, False
            return
    pass_time(state, decision)
    state.done = state.truncated
