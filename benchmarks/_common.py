"""What the benchmarks share: the machine's description, repeated runs, a table, and JSON."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscaler.evaluation.provenance import git_revision, machine, package_versions
from configs.files import check_output_file
from envs.compiled.choice import chosen_compiler


@dataclass(frozen=True, slots=True)
class Measurement:
    """How fast one thing ran, several times over.

    Attributes:
        name: what ran.
        unit: of the rates.
        rates: one per run, in the order of the runs.
        cpu_rates: the same per second of processor time of this process, all its threads together. On a machine that
            others use too these spread less.
    """

    name: str
    unit: str
    rates: tuple[float, ...]
    cpu_rates: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "min": min(self.rates),
            "median": statistics.median(self.rates),
            "max": max(self.rates),
            "rates": list(self.rates),
            "cpu_rates": list(self.cpu_rates),
        }


def parser(description: str | None, repeats: int | None = None) -> argparse.ArgumentParser:
    """The options that every benchmark has; `repeats` where it times something, the runs of each row."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if repeats is not None:
        result.add_argument("--repeats", type=int, default=repeats, help="timed runs of each row (default %(default)s)")
    result.add_argument("--json", metavar="PATH", type=Path, help="write the measurements as JSON to this file")
    result.add_argument("--quick", action="store_true", help="small sizes, one run of each row: to see that it works")
    return result


def parse(options: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """Read the command line, and refuse a JSON file that could not be written.

    Args:
        options: of `parser`.
        quick: with --quick, what options take that the user does not give.
    """
    if "--quick" in sys.argv[1:]:
        options.set_defaults(repeats=1, **quick)
    arguments = options.parse_args()
    try:
        if arguments.json is not None:
            check_output_file(arguments.json)
    except OSError as error:
        options.error(str(error))
    return arguments


def tell(text: str) -> None:
    """Say on stderr what is going on, so that a long benchmark is seen to work."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def measure(name: str, unit: str, amount: float, run: Callable[[], object], repeats: int) -> Measurement:
    """Time `run`, which does `amount` units of work, and tell each rate; the caller has run it once to compile all."""
    tell(f"measuring: {name}")
    rates, cpu_rates = [], []
    for _ in range(repeats):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        run()
        rates.append(amount / (time.perf_counter() - begin))
        cpu_rates.append(amount / (time.process_time() - cpu_begin))
        tell(f"  run {len(rates)} of {repeats}: {rates[-1]:,.0f} {unit}")
    return Measurement(name, unit, tuple(rates), tuple(cpu_rates))


def describe() -> dict[str, Any]:
    """The machine, the versions, the compiler, and how busy the machine is (load of the last 1, 5, 15 minutes)."""
    return {
        **machine(),
        "load_average": os.getloadavg(),
        "revision": git_revision(),
        "versions": package_versions(),
        "compiler": chosen_compiler(),
    }


def _load(moment: dict[str, Any]) -> str:
    return " ".join(f"{load:.1f}" for load in moment["load_average"])


def heading(before: dict[str, Any]) -> str:
    """One line about the machine, for tables that `report` does not print."""
    return (
        f"{before['processor']}, revision {before['revision']}, {before['compiler']} compiler, "
        f"load average {_load(before)}"
    )


def report(title: str, before: dict[str, Any], measurements: list[Measurement], path: Path | None, **more: Any) -> None:
    """Print the machine and a table; write the same as JSON if wanted.

    Args:
        title: what was measured.
        before: `describe()` from before the first run.
        measurements: the rows.
        path: where the JSON goes, or None.
        more: further values for the text and the JSON.
    """
    print(title)
    print(f"  {before['processor']}, {before['cores']} cores, {before['system']}")
    print("  " + ", ".join(f"{name} {version}" for name, version in before["versions"].items()))
    print(f"  revision {before['revision']}, {before['compiler']} compiler")
    print(f"  load average {_load(before)} before, {_load(describe())} after")
    for name, value in more.items():
        print(f"  {name.replace('_', ' ')}: {value:.2f}" if isinstance(value, float) else f"  {name}: {value}")
    width = max(len(row.name) for row in measurements)
    print(f"\n  {'':{width}}  {'min':>12}  {'median':>12}  {'max':>12}  {'per CPU s':>12}")
    for row in measurements:
        rates = (min(row.rates), statistics.median(row.rates), max(row.rates), statistics.median(row.cpu_rates))
        print(f"  {row.name:{width}}  " + "  ".join(f"{value:>12,.0f}" for value in rates) + f"  {row.unit}")
    if path is not None:
        document = {"title": title, "machine": before, **more, "measurements": [row.to_dict() for row in measurements]}
        path.write_text(json.dumps(document, indent=2) + "\n")
