"""Two hours of a real trace as real Jobs, 60 times as fast: live and simulated come to the same."""

from pathlib import Path

import numpy as np
import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.trace_replay import at_its_hour, settings_of, simulate, window_of, with_policy, works_of

START_SECONDS, HOURS, LONGEST_SECONDS, MAX_NODES = 3_405_600.0, 2.0, 5400.0, 12

pytestmark = pytest.mark.slow


def test_two_hours_of_itp_run_whole_and_cost_what_the_simulator_says(cluster: ControlPlane, data_dir: Path) -> None:
    """45 jobs, two of them gangs of 32 GPUs; see docs/live.md for the differences that are allowed here."""
    trace_file = data_dir / "traces" / "itp" / "cluster08.csv.gz"
    trace = window_of(f"itp:{trace_file}", START_SECONDS, HOURS, LONGEST_SECONDS)
    config = settings_of(MAX_NODES)
    expected = simulate("reactive", trace, config)
    result, live = with_policy(cluster, works_of(trace), at_its_hour(config, trace), "reactive")
    assert result.finished == trace.num_jobs == 45
    assert result.evicted == 0
    assert max(len(seen.view.pools[0].nodes) for seen in live.observations) <= MAX_NODES
    assert result.node_seconds == pytest.approx(expected.node_seconds, rel=0.1)
    # A second of the wall clock is a minute here: the API server, the boot and the pause before a decision show.
    assert abs(np.mean(result.waits_seconds) - np.mean(expected.waits_seconds)) < 60.0
