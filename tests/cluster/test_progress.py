"""Who waits is told for what."""

import os
import threading

import pytest

from tests.cluster import progress
from tests.cluster.waiting import wait_until


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(progress, "write", found.append)
    return found


def waited(turns: int) -> None:
    count = iter(range(turns))
    wait_until(lambda: next(count, None) is None, "the last turn", poll_seconds=0.0)


def test_a_long_wait_says_what_for_and_in_which_test(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    waited(2)
    assert (
        lines
        == ["\ntests.cluster: waiting for 0 s: the last turn (test_a_long_wait_says_what_for_and_in_which_test)\n"] * 2
    )


def test_a_short_wait_says_nothing(lines: list[str]) -> None:
    waited(3)
    assert lines == []


def test_only_the_thread_of_the_test_speaks(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    thread = threading.Thread(target=waited, args=(2,))
    thread.start()
    thread.join()
    assert lines == []


def test_outside_of_a_test_a_line_begins_where_the_last_one_ended(lines: list[str]) -> None:
    here = os.environ.pop("PYTEST_CURRENT_TEST")
    try:
        progress.say("building")
    finally:
        os.environ["PYTEST_CURRENT_TEST"] = here
    assert lines == ["tests.cluster: building\n"]
