"""The tables of `python -m tests.cluster.trace_replay`."""

from tests.cluster.trace_results import Result, spread


def test_the_spread_of_several_runs_is_their_least_median_and_most() -> None:
    runs = [
        Result("a, live", hours * 3600.0, (waits, waits), 2 + int(hours)) for hours, waits in ((3, 9), (1, 5), (2, 7))
    ]
    head, row = spread([Result("a, simulated", 1.0, (1.0,), 1), *runs]).splitlines()
    assert head.split()[:5] == ["min", "/", "median", "/", "max"]
    assert " ".join(row.split()) == "a, live 3 1.00 / 2.00 / 3.00 5.0 / 7.0 / 9.0 5.0 / 7.0 / 9.0 3 0 / 0 / 0"


def test_one_run_has_no_spread() -> None:
    assert len(spread([Result("a, live", 1.0, (1.0,), 1)]).splitlines()) == 1
