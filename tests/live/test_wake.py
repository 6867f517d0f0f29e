"""When a burst of events is over."""

from autoscaler.live.wake import Wake


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_burst_is_over_when_it_is_quiet() -> None:
    now = Watch()
    wake = Wake(now)
    wake.set()
    assert round(wake.pause_seconds(0.25, 1.0), 6) == 0.25
    now.seconds += 0.125
    wake.set()
    assert round(wake.pause_seconds(0.25, 1.0), 6) == 0.25
    now.seconds += 0.25
    assert wake.pause_seconds(0.25, 1.0) <= 0.0


def test_a_storm_puts_nothing_off_for_longer_than_the_bound_from_its_first_event() -> None:
    now = Watch()
    wake = Wake(now)
    for _ in range(8):
        wake.set()
        assert wake.pause_seconds(0.25, 1.0) > 0.0
        now.seconds += 0.125
    wake.set()
    assert wake.pause_seconds(0.25, 1.0) <= 0.0


def test_what_was_seen_begins_no_burst() -> None:
    now = Watch()
    wake = Wake(now)
    wake.set()
    wake.clear()
    now.seconds += 5.0
    wake.set()
    assert wake.event.is_set()
    assert wake.pause_seconds(2.0, 1.0) == 1.0
