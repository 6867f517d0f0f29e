"""What a policy would keep now, and what histories of Services may look like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from agents.artifact import Manifest
from agents.hazard.files import save_trained
from agents.hazard.model import untrained
from autoscaler.knative import arrivals
from autoscaler.knative.arrivals import from_file, from_prometheus
from autoscaler.knative.errors import KnativeError
from autoscaler.knative.plan import MOST_RETENTION_SECONDS, Plan, plans
from autoscaler.knative.services import KnativeService, change_of
from autoscaler.live.kube.client import KubeClient
from envs.serverless.config import ServerlessConfig
from envs.serverless.problem import serverless_problem
from tests.envs.serverless.test_rules import MINUTE, calls

HOUR = 60 * MINUTE
SERVICES = [KnativeService("ns", name, f"{name}-1", 512.0, 0, 1, 0) for name in ("a", "b")]


def planned(policy: str, times: list[int], span_ms: int) -> Any:
    problem = serverless_problem(calls(times, span_ms=span_ms), ServerlessConfig(warm_up_seconds=0.0))
    return plans(policy, problem)["f0"]


def test_a_fixed_keep_alive_is_the_retention_period() -> None:
    plan = planned("fixed-10", [MINUTE], HOUR)
    assert (plan.retention_seconds, plan.min_scale) == (600, 0)


def test_what_is_kept_for_longer_than_knative_can_is_a_least_scale() -> None:
    plan = planned("always-warm", [MINUTE], HOUR)
    assert (plan.retention_seconds, plan.min_scale) == (MOST_RETENTION_SECONDS, 1)


def test_a_timer_is_pre_warmed_shortly_before_it_comes_and_not_long_before() -> None:
    every = 2 * HOUR
    times = [every * number for number in range(12)]
    last = times[-1]
    assert planned("hazard", times, last + every - 30_000).min_scale == 1
    assert planned("hazard", times, last + every // 2).min_scale == 0


def test_bursts_are_pre_warmed_with_as_many_as_come_at_once() -> None:
    every = 2 * HOUR
    times = sorted([every * number for number in range(12)] * 4)
    plan = planned("hazard-concurrent", times, times[-1] + every - 30_000)
    assert (plan.min_scale, plan.why) == (4, "4 requests at once are expected soon")
    assert planned("hazard", times, times[-1] + every - 30_000).min_scale == 1


def test_a_write_is_held_back_for_as_long_as_was_said_and_no_longer() -> None:
    class Revision:
        """A client that knows one Revision, with the annotations of the last change."""

        annotations: Mapping[str, str] = {}

        def get(self, path: str) -> dict[str, Any]:
            return {"metadata": {"annotations": dict(self.annotations)}}

    revision = Revision()
    first = change_of(cast(KubeClient, revision), SERVICES[0], Plan(600, 0, ""), 100.6, 60.0)
    assert first is not None
    revision.annotations = first.annotations
    at = {
        least: change_of(cast(KubeClient, revision), SERVICES[0], Plan(60, 0, ""), 100.7, least) for least in (0.0, 5.0)
    }
    assert [at[0.0] is None, at[5.0] is None] == [False, True]


def test_a_trained_policy_plans_as_the_rule_that_it_begins_as(tmp_path: Path) -> None:
    """An untrained one; it acts on observations, the rule inside the simulator."""
    space = {"type": "Box"}
    environment = {
        "env": "autoscaler/Serverless-v0",
        "env_kwargs": {},
        "observation_space": space,
        "action_space": space,
    }
    manifest = Manifest("learned-hazard", {}, False, None, None, None, environment, 0, 0, 1)
    problem = serverless_problem(calls([0]), ServerlessConfig())
    save_trained(tmp_path / "policy", untrained(problem.serverless.prior_mass), manifest, "")
    every = 2 * HOUR
    times = [every * number for number in range(12)]
    for span_ms in (times[-1] + every - 30_000, times[-1] + every // 2):
        assert planned(str(tmp_path), times, span_ms) == planned("hazard-look-ahead", times, span_ms)


@pytest.mark.parametrize("policy", ["hazrd", "experiment/serverless"])
def test_an_unknown_policy_is_one_line(policy: str) -> None:
    from configs.errors import UserError

    with pytest.raises(UserError) as error:
        planned(policy, [MINUTE], HOUR)
    assert "\n" not in str(error.value)


def test_a_file_that_has_none_of_the_services_is_refused() -> None:
    with pytest.raises(KnativeError, match="NAMESPACE/NAME"):
        from_file("synthetic-functions:mixed?functions=3&hours=2", SERVICES)


def prometheus(monkeypatch: pytest.MonkeyPatch, series: list[Any]) -> None:
    monkeypatch.setattr(arrivals, "query_prometheus", lambda *_: series)


def asked() -> Any:
    return from_prometheus("http://p", "q", SERVICES, hours=1.0, run_seconds=0.5, now=7200.0)


def test_requests_of_a_minute_are_spread_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"namespace_name": "ns", "configuration_name": "b"}
    others = {"namespace_name": "ns", "configuration_name": "other"}
    prometheus(
        monkeypatch,
        [{"metric": labels, "values": [[3720.0, "3"], [3780.0, "0"]]}, {"metric": others, "values": [[3720.0, "9"]]}],
    )
    found = asked()
    assert found.time_ms.tolist() == [60_000, 80_000, 100_000]
    assert found.function.tolist() == [1, 1, 1]
    assert found.function_id == ("ns/a", "ns/b")
    assert found.span_ms == HOUR
    assert np.array_equal(found.duration_ms, [500, 500, 500])


def test_labels_of_no_service_are_refused_with_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    prometheus(monkeypatch, [{"metric": {"x": "y"}, "values": [[3720.0, "3"]]}])
    with pytest.raises(KnativeError, match="--query"):
        asked()
