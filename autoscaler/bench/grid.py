"""Run a grid of policies on scenarios: what `autoscaler bench run` calls."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from autoscaler.bench.engine import make_engine
from autoscaler.bench.errors import BenchError
from autoscaler.bench.policies import BenchPolicy, choose_policies
from autoscaler.bench.scenario import NamedScenario, choose_scenarios, data_folder, find_scenario, shipped_names
from autoscaler.bench.store import Store
from autoscaler.bench.tasks import Task
from autoscaler.progress import Reporter, make_reporter
from autoscaler.simulation import note_compiling

SCHEMA = "autoscaler.bench.run/1"


@dataclass(frozen=True, slots=True, eq=False)
class GridResult:
    """What a run of a grid did.

    Attributes:
        results: the path of the Parquet file.
        table: its rows: those of this grid, and of earlier ones in this folder.
        tasks: how many this grid has.
        cached: how many of them had been done before.
        failed: what failed, a line each.
    """

    results: Path
    table: pa.Table
    tasks: int
    cached: int
    failed: tuple[str, ...]

    def check(self) -> None:
        """Refuse a grid of which something failed.

        Raises:
            BenchError: as above; says how many tasks, and why the first.
        """
        if self.failed:
            raise BenchError(f"{len(self.failed)} of {self.tasks} tasks failed; the first: {self.failed[0]}")

    def document(self) -> dict[str, Any]:
        """What `autoscaler bench run --json` writes, see docs/json.md."""
        return {
            "schema": SCHEMA,
            "results": str(self.results),
            "rows": self.table.num_rows,
            "tasks": self.tasks,
            "cached": self.cached,
            "failed": list(self.failed),
        }


def run_bench(
    scenarios: Sequence[str] = (),
    *,
    policies: str | Sequence[str] = "all",
    seeds: int = 1,
    data: str | None = None,
    out: str | Path = "runs/bench",
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    progress: bool | Reporter = False,
) -> GridResult:
    """Run what is not done yet of a grid of policies on scenarios with seeds, and write one table of results.

    Args:
        scenarios: names or YAML files; none: all whose data are there.
        policies: see `autoscaler.bench.policies.choose_policies`.
        seeds: trainings of each agent, and runs of each stochastic rule.
        data: folder of data files; None: the environment variable AUTOSCALER_DATA.
        out: folder of tasks and results.
        engine: local or ray.
        workers: tasks at once; None: one for each core.
        address: of a Ray cluster.
        progress: see `autoscaler.progress`.

    Raises:
        BenchError: there is no such scenario, a name is not clear, or another process uses the folder.
        MissingDataError: a scenario that is named lacks its data.
        UnknownPolicyError: there is no such policy.
        OutputFileError: results cannot be written.
    """
    reporter, wanted = make_reporter(progress), choose_policies(policies, seeds)
    chosen = choose_scenarios(scenarios, data_folder(data), reporter.note)
    tasks = _plan(chosen, wanted, reporter)
    runner = make_engine(engine, workers or _cores(), address)
    store = Store(out)
    with store.lock():
        keys = [task.key for task in tasks]
        waiting = [task for task, key in zip(tasks, keys, strict=True) if store.read(key) is None]
        cached, failed = len(tasks) - len(waiting), []
        if waiting:
            note_compiling(reporter)
        try:
            with reporter.progress("bench", len(tasks), "tasks", done=cached) as bar:
                for outcome in runner.run(waiting, str(store.policies.absolute()), reporter.note):
                    if outcome.error is None:
                        store.write(outcome.task.key, outcome.rows)
                    else:
                        failed.append(outcome.error)
                        reporter.note(f"failed: {outcome.error}")
                    bar.advance()
        finally:  # also after Ctrl-C: what is done is there to be read
            table = store.write_results(_fingerprints(chosen), set(keys))
    return GridResult(store.results, table, len(tasks), cached, tuple(failed))


def _plan(scenarios: Sequence[NamedScenario], policies: Sequence[BenchPolicy], reporter: Reporter) -> list[Task]:
    """Every task of the grid. Of a scenario one after the other: a process keeps the last ones that it loaded."""
    tasks = []
    for scenario in scenarios:
        left_out: dict[str, list[str]] = {}
        for policy in policies:
            if (reason := policy.reason_against(scenario.config)) is not None:
                if policy.is_named or policy.env == scenario.config.env:
                    left_out.setdefault(reason, []).append(policy.name)
                continue
            tasks += [Task(scenario, policy, seed) for seed in policy.seeds]
        for reason, names in left_out.items():
            reporter.note(f"skipped on {scenario.name}, {reason}: {', '.join(names)}")
    if not tasks:
        raise BenchError("nothing can run: no scenario has its data and the levers of a policy; see `bench list`")
    return tasks


def _fingerprints(scenarios: Sequence[NamedScenario]) -> dict[str, str]:
    shipped = {name: find_scenario(name, None).config.fingerprint for name in shipped_names()}
    return {**shipped, **{scenario.name: scenario.config.fingerprint for scenario in scenarios}}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
