"""Wait for a condition, with a deadline and a message that says what did not."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.cluster.progress import Waiting

T = TypeVar("T")

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 180.0
"""How long tests wait for what must come: a wait that is met costs nothing, and machines of CI can be very slow."""


class WaitTimeoutError(AssertionError, TimeoutError):
    """What a test waited for did not happen in time."""


def wait_until(
    condition: Callable[[], T | None],
    what: str,
    *,
    timeout_seconds: float = PATIENCE_SECONDS,
    poll_seconds: float = POLL_SECONDS,
    describe: Callable[[], str] | None = None,
) -> T:
    """Call `condition` until what it returns is true, and return that.

    Args:
        condition: May raise AssertionError meaning not yet; other exceptions pass through.
        what: What is waited for, for the message.
        timeout_seconds: When to give up.
        poll_seconds: Pause between two calls.
        describe: Returns the state of the world, for the message.

    Raises:
        WaitTimeoutError: The time is up; the message holds the last value or failed assertion.
    """
    deadline = time.monotonic() + timeout_seconds
    waiting = Waiting(what)
    while True:
        try:
            value = condition()
            if value:
                return value
            last = repr(value)
        except AssertionError as error:
            last = str(error)
        if time.monotonic() >= deadline:
            state = f"\n{describe()}" if describe else ""
            raise WaitTimeoutError(f"not in {timeout_seconds} s: {what} (last: {last}){state}")
        waiting.go_on()
        time.sleep(poll_seconds)
