"""The kernels and the reference simulator agree exactly, and invariants hold on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from envs.containers import state as st
from envs.containers.reference.simulator import ReferenceSimulator
from envs.containers.simulator import Simulator
from tests.envs.containers.worlds import TIMES, controls, problems, routes, sleeps

pytestmark = pytest.mark.kernels


def assert_equal(simulator: Simulator, reference: ReferenceSimulator) -> None:
    results = simulator.results()
    counted = dict(zip(st.COUNTS, results.counts.T.tolist(), strict=True))
    expected = dict(zip(st.COUNTS, reference.count.T.tolist(), strict=True))
    assert counted == expected
    assert (results.answers == reference.answers).all()
    assert (results.energy_uj == reference.amount[:, : st.ENERGIES]).all()
    assert (results.spare_mib_ms == reference.amount[:, st.SPARE_MIB_MS]).all()
    assert (results.spare_milli_ms == reference.amount[:, st.SPARE_MILLI_MS]).all()
    np.testing.assert_allclose(results.energy_usd, reference.spent[:, 0], rtol=1e-9)
    np.testing.assert_allclose(results.busy_usd, reference.spent[:, 2], rtol=1e-9)
    np.testing.assert_allclose(results.carbon_g, reference.spent[:, 1], rtol=1e-9)
    for key in reference.keys:
        gaps = {(level, index): count for (level, index), count in key.gaps.items()}
        found = simulator.gaps(key.number)
        assert {(int(a), int(b)): int(found[a, b]) for a, b in np.argwhere(found)} == gaps


@given(some.data())
@settings(deadline=None, max_examples=150)
def test_a_world_under_changing_settings_is_that_of_the_reference(data):
    problem = data.draw(problems())
    control, route, sleep = (data.draw(each(problem)) for each in (controls, routes, sleeps))
    simulator = Simulator(problem, sleep, history=True, answers=True)
    simulator.control[0], simulator.route[0] = control, route
    simulator.reset()
    reference = ReferenceSimulator(problem, control, route, sleep, 0)
    for until in (15, 15, 40, 90):
        simulator.run_until(until)
        reference.run_until(until)
        assert simulator.broken() == ""
        assert_equal(simulator, reference)
        control[:], route[:] = data.draw(controls(problem)), data.draw(routes(problem))
        simulator.control[0], simulator.route[0] = control, route
        simulator.apply()
        for key in reference.keys:
            reference.apply_reserve(key)
        for node in reference.nodes:
            reference.plan_sleep(node)


@given(some.data())
@settings(deadline=None, max_examples=100)
def test_a_world_whose_containers_are_decided_about_one_by_one_is_that_of_the_reference(data):
    problem = data.draw(problems())
    route, sleep = data.draw(routes(problem)), data.draw(sleeps(problem))
    control = np.zeros((len(problem.function) * len(problem.place), st.CONTROL_COLUMNS), np.int64)
    simulator = Simulator(problem, sleep, history=True, answers=True)
    simulator.route[0] = route
    simulator.reset()
    decided = []
    while (key := simulator.run_to_idle(100)) is not None:
        decided.append((key, data.draw(TIMES), data.draw(TIMES), data.draw(some.sampled_from([1, 1, 2, 4]))))
        keep_ms, pre_warm_ms, count = decided[-1][1:]
        simulator.answer_idle(keep_ms, pre_warm_ms, count=count)
        assert simulator.broken() == ""
    answers = iter(decided)

    def decide(key: int) -> tuple[int, int, int]:
        expected, *answer = next(answers)
        assert key == expected
        return tuple(answer)

    reference = ReferenceSimulator(problem, control, route, sleep, 0, decide)
    reference.run_until(100)
    assert_equal(simulator, reference)
