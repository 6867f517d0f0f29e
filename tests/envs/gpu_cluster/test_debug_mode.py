"""The debug mode checks every invariant after every event, and finds what is broken."""

from __future__ import annotations

import numpy as np
import pytest

from envs.errors import SimulatorError
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.invariants import RULES
from tests.envs.gpu_cluster.builders import small_problem

JOBS = [(0.0, 600.0, 3.0), (0.0, 900.0, 6.0), (10.0, 600.0, 0.5), (20.0, 3000.0, 16.0), (30.0, 5000.0, 4.0)]


def running() -> Simulator:
    """A cluster in the middle of its work, with jobs that run and one that waits."""
    problem = small_problem(JOBS, debug=True)
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    while simulator.running_jobs[0] < 2:
        step(simulator)
    return simulator


def step(simulator: Simulator) -> None:
    """One decision of Cluster Autoscaler's rule."""
    simulator.step(np.array([[4, 0, 1, 1, 1]]))


def test_a_sound_cluster_passes() -> None:
    simulator = running()
    while not simulator.is_done():
        step(simulator)
    assert simulator._world.clusters.clock[0, st.BROKEN_RULE] == 0


def swap_heap(cluster: st.Cluster) -> None:
    """Let the job that ends second stand first."""
    cluster.heap[0, [0, 1]] = cluster.heap[0, [1, 0]]


@pytest.mark.parametrize(
    ("rule", "field", "index", "by"),
    [
        (1, "pool", (0, st.BUSY), 1),
        (2, "node", (0, st.FREE_GPUS), 1),
        (4, "pool", (0, st.USED_MILLI), 1000),
        (7, "clock", (st.PENDING_MILLI,), 1),
        (10, "queue", (0, st.JOB_START), -(10**12)),
    ],
)
def test_a_number_that_is_wrong_is_found_and_said(rule: int, field: str, index: tuple[int, ...], by: int) -> None:
    simulator = running()
    getattr(simulator._world.clusters, field)[(0, *index)] += by
    with pytest.raises(SimulatorError, match=RULES[rule]):
        step(simulator)


def test_a_heap_out_of_order_is_found_and_said() -> None:
    simulator = running()
    swap_heap(simulator._world.clusters)
    with pytest.raises(SimulatorError, match=RULES[6]):
        step(simulator)
