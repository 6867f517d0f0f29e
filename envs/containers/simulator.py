"""The container simulator as a library: a batch of worlds that serve the requests of one problem."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.containers import log
from envs.containers import state as st
from envs.containers.invariants import describe_broken
from envs.containers.kernels import batch as kernels
from envs.containers.results import Results
from envs.containers.state import Problem, Table, World
from envs.errors import SimulatorError


def capacity_of(problem: Problem, worlds: int, *, history: bool, answers: bool, log_rows: int) -> st.Capacity:
    """The memory that a problem needs.

    Args:
        problem: what is simulated.
        worlds: in the batch.
        history: whether gaps between requests are counted.
        answers: whether it is kept what became of each request.
        log_rows: of the event log; 0: nothing is logged.
    """
    most = len(problem.request)
    functions, places = len(problem.function), len(problem.place)
    # Every container holds memory, so that bounds how many there ever are.
    containers = int((problem.node[:, st.NODE_MEMORY] // problem.function[:, st.MEMORY].min()).sum())
    runs = min(most, containers * int(problem.function[:, st.CONCURRENCY].max()))
    has_links = problem.place[:, st.LINK_RATE].any() or problem.request[:, st.UP_MS].any()
    on_their_way = most if problem.latency_ms.any() or has_links else 0
    # A request that waits for a promise has a slot too.
    promised = most if problem.admission == st.ADMITS_SHARE else 0
    return st.Capacity(
        worlds=worlds,
        containers=containers + promised,
        runs=runs + on_their_way + 1,
        keys=functions * places,
        functions=functions,
        nodes=len(problem.node),
        layers=len(problem.layer_bytes),
        places=places,
        origins=len(problem.latency_ms),
        users=len(problem.first_origin),
        requests=len(problem.request),
        keeps_history=history,
        answers=len(problem.request) if answers else 0,
        log_rows=log_rows,
    )


class Simulator:
    """Worlds that serve the same requests, independently of each other.

    Settings are arrays that may be changed between two calls: `control` and `route` at once, or after `apply`.

    Args:
        problem: see `envs.containers.problem.make_problem`.
        sleep_ms: [N] int64, idle time-out of each node, see `envs.containers.problem.sleep_ms`.
        num_worlds: in the batch.
        history: whether gaps between requests are counted.
        answers: whether it is kept what became of each request.
        log_rows: of the event log of each world; 0: nothing is logged.

    Attributes:
        problem: as above.
        control: [worlds, K, CONTROL_COLUMNS] int64, `KEEP`, `PRE_WARM` and `RESERVE` of each key.
        route: [worlds, Z, F] int64, the place of a function's requests by origin.
        sleep_ms: [worlds, N] int64, how long each node stays on without containers; after `apply` also where one waits.
    """

    def __init__(
        self,
        problem: Problem,
        sleep_ms: NDArray[np.int64],
        num_worlds: int = 1,
        *,
        history: bool = False,
        answers: bool = False,
        log_rows: int = 0,
    ) -> None:
        size = capacity_of(problem, num_worlds, history=history, answers=answers, log_rows=log_rows)
        self.problem = problem
        self._batch: World = st.allocate(size)
        self.control, self.route = self._batch.control, self._batch.route
        self.control[:, :, st.PRE_WARM] = st.FOREVER
        self.sleep_ms = self._batch.node[:, :, st.SLEEP_MS]
        self.sleep_ms[:] = sleep_ms
        self.num_worlds = num_worlds

    def reset(self, start_ms: int = 0, end_ms: int | None = None) -> None:
        """Begin an episode in every world, with all nodes off, no container and no history.

        Args:
            start_ms: when it begins; earlier requests are left out.
            end_ms: requests that are sent then or later are left out; None: none is.
        """
        sent = np.ascontiguousarray(self.problem.request[:, st.SENT_MS])
        first = int(np.searchsorted(sent, start_ms))
        end = len(sent) if end_ms is None else int(np.searchsorted(sent, end_ms))
        for index in range(self.num_worlds):
            self._batch.answer[index] = 0
            kernels.begin_world(self.problem, self._batch, index, start_ms, first, end)

    def run_until(self, until_ms: int) -> None:
        """Run every world to a moment by what `control` says; results are then those of that moment."""
        kernels.run_worlds(self.problem, self._batch, np.full(self.num_worlds, until_ms, np.int64))
        self._check_log()

    def run_to_idle(self, until_ms: int, world: int = 0) -> int | None:
        """Run a world until a container is idle, or to a moment.

        Returns:
            The key of the container, and `answer_idle` is to be called next; None: it came to the moment.
        """
        found = kernels.run_to_idle(self.problem, self._batch, world, until_ms)
        self._check_log()
        if found == st.UNTIL:
            return None
        return int(self._batch.container[world, self._batch.clock[world, st.PENDING], st.KEY])

    def answer_idle(self, keep_ms: int, pre_warm_ms: int = st.FOREVER, world: int = 0, count: int = 1) -> None:
        """Say how long the idle container is kept, and how long after that its key is to have `count` again."""
        kernels.answer_idle(self.problem, self._batch, world, keep_ms, pre_warm_ms, count)

    def apply(self, world: int = 0) -> None:
        """Bring reserves and idle time-outs of nodes that were changed into force now."""
        kernels.apply_controls(self.problem, self._batch, world)

    def results(self, world: int = 0) -> Results:
        """What happened in a world since its reset."""
        return Results.of(self._batch, world)

    def events(self, world: int = 0) -> pa.Table:
        """The event log of a world, see `envs.containers.log.to_table`."""
        return log.to_table(self.log_rows(world), len(self.problem.place))

    def log_rows(self, world: int = 0) -> Table:
        """[rows, LOG_COLUMNS] int64, the event log as it is in memory; a copy."""
        return self._batch.log[world, : self._batch.clock[world, st.LOGGED]].copy()

    def gaps(self, key: int, world: int = 0) -> NDArray[np.int32]:
        """[LEVELS, BINS] int32, the gaps between requests of a key, see `envs.containers.history`; a copy."""
        return self._batch.history[world, key].copy()

    def broken(self, world: int = 0) -> str:
        """What is wrong with the memory of a world; empty: every invariant holds."""
        return describe_broken(self.problem, World(*(field[world] for field in self._batch)))

    def _check_log(self) -> None:
        rows = self._batch.log.shape[1]
        if rows and (logged := int(self._batch.clock[:, st.LOGGED].max())) > rows:
            raise SimulatorError(f"the event log has {rows} rows and {logged} were needed; make it larger")
