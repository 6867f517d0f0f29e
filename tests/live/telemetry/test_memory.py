"""For whom nodes come survives a restart."""

import json
from typing import Any

import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.telemetry.memory import MAX_WANTED, from_text, to_text
from tests.live.views import config

CLOCK = ManualClock(1_000_000.0)


def read(text: str) -> dict[str, tuple[str, int]]:
    return dict(from_text(text, CLOCK, config()).wanted)


def test_for_whom_nodes_come_is_read_back() -> None:
    wanted = {"uid-1": ("a", 2), "left over in pool b": ("b", 1)}
    assert read(to_text(GuardrailState(wanted=wanted), CLOCK)) == wanted


def test_a_text_of_an_older_version_knows_nothing_of_it() -> None:
    record = json.loads(to_text(GuardrailState(), CLOCK))
    del record["wanted"]
    assert read(json.dumps(record)) == {}


@pytest.mark.parametrize("entry", [None, [], ["a"], ["gone", 1], ["a", 0], ["a", "2"], {"a": 1}, [1, "a"]])
def test_an_entry_that_cannot_be_read_is_left_out(entry: Any) -> None:
    record = json.loads(to_text(GuardrailState(wanted={"good": ("a", 1)}), CLOCK))
    record["wanted"]["odd"] = entry
    assert read(json.dumps(record)) == {"good": ("a", 1)}


def test_it_cannot_outgrow_its_config_map() -> None:
    wanted = {f"uid-{number:05}": ("a", 1) for number in range(2 * MAX_WANTED)}
    assert len(read(to_text(GuardrailState(wanted=wanted), CLOCK))) == MAX_WANTED
