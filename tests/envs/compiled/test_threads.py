"""A batch is shared among threads in parts that cover it, and an error of one part comes out."""

from __future__ import annotations

import threading

import pytest

from envs.compiled.threads import CLUSTERS_PER_THREAD, default_threads, share


@pytest.mark.parametrize(("clusters", "threads"), [(1, 1), (7, 2), (64, 3), (5, 5)])
def test_every_cluster_belongs_to_one_part(clusters: int, threads: int) -> None:
    """Parts are disjoint and in order."""
    parts = share(lambda first, end: list(range(first, end)), clusters, threads)
    assert len(parts) == threads
    assert [cluster for part in parts for cluster in part] == list(range(clusters))


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_thread_comes_out_and_the_next_call_works(failing: int) -> None:
    """Also one in a part that another thread ran; what the other parts returned is not taken for the next call's."""

    def fail(first: int, end: int) -> str:
        if first // 2 == failing:
            raise ValueError("part")
        return "stale"

    with pytest.raises(ValueError, match="part"):
        share(fail, 6, 3)
    assert share(lambda first, end: (first, end), 6, 3) == [(0, 2), (2, 4), (4, 6)]


def test_a_call_while_the_threads_are_in_use_runs_on_one() -> None:
    """Two simulators in two threads of Python do not wait for each other."""
    begun, go = threading.Event(), threading.Event()

    def wait(first: int, end: int) -> None:
        begun.set()
        assert go.wait(30)

    thread = threading.Thread(target=share, args=(wait, 2, 2))
    thread.start()
    assert begun.wait(30)
    assert share(lambda first, end: (first, end), 4, 2) == [(0, 4)]
    go.set()
    thread.join()


def test_a_small_batch_gets_one_thread() -> None:
    """Waking a thread takes longer than stepping a few clusters."""
    assert default_threads(1) == default_threads(CLUSTERS_PER_THREAD) == 1
