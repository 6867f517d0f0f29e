"""Elastic jobs that become narrower or wider."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Running
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.work import hold, pace, settle


def shrinkable(run: Running) -> int:
    """GPUs that a job would give back if it were narrowed; it keeps one on the last of its nodes."""
    if run.share is not None:
        return 0
    last = run.parts[-1][1]
    return max(0, min((run.milli - run.job.min_milli) // 1000, last - 1))


def growable(state: State, run: Running) -> int:
    """GPUs that a job would take if it were widened: those free on the node that it has a part of."""
    if run.share is not None or not run.has_part:
        return 0
    node = run.parts[-1][0]
    gpus = max(0, min((run.job.max_milli - run.milli) // 1000, node.free))
    if state.detail is None:
        return gpus
    return min(gpus, state.detail.more_gpus(run.job.number, run.pool, state.detail.number(run.pool, node.number)))


def resize(state: State, run: Running, gpus: int) -> None:
    """Change the part of the last node that a job has; it restarts."""
    if not run.has_part:  # of whole nodes the one that it took first becomes a part, as large as the node
        run.parts.append(run.parts.pop(0))
        run.placed += run.placed[:1]
        run.placed = run.placed[1:]
        run.has_part = True
    node, part = run.parts[-1]
    run.parts[-1] = (node, part + gpus)
    if state.detail is not None:  # it gives its part back and takes it anew, on the GPUs that the packer takes now
        before = run.placed.pop()
        state.detail.end(before)
        after = state.detail.pod(run.job.number, run.pool, part + gpus, True, before.pod.end)
        run.placed.append(state.detail.start(after, before.number))
    node.free -= gpus
    run.milli += 1000 * gpus
    state.totals[run.pool].resizes += 1
    settle(state, run)
    pace(state, run)
    hold(state, run, state.problem.settings.resize_ms)


def shrink_next(state: State, pool: int) -> bool:
    """Narrow the first elastic job of a pool that can be; False: there is none."""
    runs = [run for run in state.running if run.pool == pool and shrinkable(run) > 0]
    if not runs:
        return False
    run = min(runs, key=lambda run: run.job.number)
    resize(state, run, -shrinkable(run))
    return True


def change_widths(state: State, pool: int, grow: bool) -> None:
    """Narrow all elastic jobs of a pool, or widen them, in order of submission."""
    for run in sorted((run for run in state.running if run.pool == pool), key=lambda run: run.job.number):
        gpus = growable(state, run) if grow else -shrinkable(run)
        if gpus != 0:
            resize(state, run, gpus)
