"""The reference simulator itself: the beginning of an episode, and a decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec import (
    CONSOLIDATION_CHOICES,
    SUSPENSION_CHOICES,
    WIDTH_CHOICES,
    decode,
    encode,
    write_mask,
)
from envs.gpu_cluster.simulator.reference.clock import advance
from envs.gpu_cluster.simulator.reference.consolidation import consolidate
from envs.gpu_cluster.simulator.reference.costs import begin_charges, reward_of
from envs.gpu_cluster.simulator.reference.grid import curb
from envs.gpu_cluster.simulator.reference.nodes import scale, switch_on_at_once
from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.power import event_now
from envs.gpu_cluster.simulator.reference.queue import enqueue, submit, turn_of
from envs.gpu_cluster.simulator.reference.snapshot import make_snapshot
from envs.gpu_cluster.simulator.reference.starts import start_waiting
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.reference.stuck import with_stuck
from envs.gpu_cluster.simulator.reference.suspension import resume_jobs, suspend_jobs
from envs.gpu_cluster.simulator.reference.width import change_widths
from envs.gpu_cluster.simulator.reference.work import cap_power, start
from envs.gpu_cluster.simulator.state import EVENT_STARTS, PPM


class ReferenceSimulator(State):
    """One cluster.

    Args:
        problem: the checked inputs, the same that the compiled simulator gets.
    """

    def reset(self, start_ms: int, end_ms: int, last_job: int, seed: int | None = None) -> None:
        """Begin an episode; see `Simulator.reset`."""
        self.clear(start_ms, end_ms, last_job, self.problem.config.physics.seed if seed is None else seed)
        begin_charges(self)
        for pool, config in enumerate(self.problem.cluster.pools):
            for _ in range(config.min_nodes):
                switch_on_at_once(self, pool)
        for job in self.trace[: self.first_job]:
            if job.submit_ms + job.work // PPM > start_ms:
                begin_running(self, job)
        submit(self)
        self._observe()

    def step(self, action: NDArray[np.int64]) -> float:
        """Carry out an action, run to the next decision and return the reward in USD."""
        decode(action, self.snapshot, self.problem.tables, self.plan, self.decision)
        pools = range(len(self.totals))
        if self.problem.settings.has_curves:
            for pool in pools:
                cap_power(self, pool, int(self.decision.power_cap[pool]))
                if WIDTH_CHOICES[self.decision.width[pool]] == "shrink":
                    change_widths(self, pool, grow=False)
        for pool in pools:
            if SUSPENSION_CHOICES[self.decision.suspension[pool]] == "suspend":
                suspend_jobs(self, pool)
            elif SUSPENSION_CHOICES[self.decision.suspension[pool]] == "resume":
                resume_jobs(self, pool)
        curb(self)
        start_waiting(self)
        may_grow = self.problem.settings.has_curves and event_now(self, EVENT_STARTS) is None
        for pool in pools:
            if may_grow and WIDTH_CHOICES[self.decision.width[pool]] == "grow":
                change_widths(self, pool, grow=True)
        for pool in pools:
            choice = CONSOLIDATION_CHOICES[self.decision.consolidation[pool]]
            if choice != "none":
                consolidate(self, pool, choice)
        curb(self)
        for pool in pools:
            put_in_force(self, pool, int(self.decision.setpoint[pool]), int(self.decision.reserve_nodes[pool]))
            scale(self, pool, with_stuck(self, pool, int(self.decision.target_nodes[pool])))
        self.decisions += 1
        advance(self)
        self._observe()
        return reward_of(self)

    def _observe(self) -> None:
        self.queue.sort(key=lambda job: turn_of(self, job))
        self.snapshot = make_snapshot(self)
        encode(self.snapshot, self.problem.tables, self.plan, self.observation)
        write_mask(self.snapshot, self.problem.tables, self.mask)


def put_in_force(state: State, pool: int, setpoint: int, reserve: int) -> None:
    """Let a setpoint and a reserve in nodes be those in force; two that are already stay it from when they came."""
    if (state.setpoints[pool], state.reserves[pool]) != (setpoint, reserve):
        state.setpoints[pool], state.reserves[pool], state.setpoints_ms[pool] = setpoint, reserve, state.now


def begin_running(state: State, job: Job) -> None:
    """Let a job run that was submitted before the episode, on as many nodes as it takes in the first pool that can."""
    left = replace(job, submit_ms=state.start, left=job.work - (state.start - job.submit_ms) * PPM)
    for pool in job.pools:
        while not (started := start(state, left, pool)) and any(node.state == "off" for node in state.of_pool(pool)):
            switch_on_at_once(state, pool)
        if started:
            return
    enqueue(state, left)
