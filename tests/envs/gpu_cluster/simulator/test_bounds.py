"""Where kernels check bounds, a column that an array lacks is an error and not whatever lies behind it in memory."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from envs.gpu_cluster.simulator import Simulator
from tests.envs.gpu_cluster.builders import small_problem

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not numba.config.BOUNDSCHECK, reason="only `make test-kernels` checks bounds"),
]


def replay(simulator: Simulator) -> None:
    simulator.reset_all()
    simulator.replay(np.array([0]))


@pytest.mark.parametrize("name", ["node", "run", "queue"])
def test_a_column_that_is_missing_is_an_error(name: str) -> None:
    """Each of these arrays leaves columns out that the settings do not need; here it lacks one that they do need."""
    simulator = Simulator.from_problem(small_problem([(0.0, 60.0, 1.0)]))
    clusters = simulator._world.clusters
    short = np.ascontiguousarray(getattr(clusters, name)[:, :, :2])
    simulator._world = simulator._world._replace(clusters=clusters._replace(**{name: short}))
    with pytest.raises(IndexError):
        replay(simulator)
