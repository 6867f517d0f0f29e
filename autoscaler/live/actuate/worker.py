"""Takes removals on between two reconciles: they wait for seconds to minutes, which no reconcile can."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from autoscaler.live.actuate.removal import RemovalMachine
from autoscaler.live.client import KubeError
from autoscaler.live.lease import LeaseLostError

_LOG = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0


class RemovalWorker:
    """A thread that advances the removals that are under way.

    Args:
        machine: the removals.
        period_seconds: wall seconds between two looks at them; without any under way nothing is asked.
        on_lost: called in the thread when the Lease is lost; the thread ends.
    """

    def __init__(
        self,
        machine: RemovalMachine,
        period_seconds: float = PERIOD_SECONDS,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._machine, self._period_seconds, self._on_lost = machine, period_seconds, on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="removals", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_seconds: float = 30.0) -> None:
        """End after the step in hand. What is under way stands on the nodes; the next process goes on with it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.wait(self._period_seconds):
            try:
                if self._machine.under_way:
                    self._machine.advance()
            except LeaseLostError:
                self._on_lost()
                return
            except KubeError as error:
                _LOG.warning("removals wait", extra={"reason": error.message})
