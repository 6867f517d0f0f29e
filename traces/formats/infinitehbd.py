"""Faults of GPU servers that StepFun recorded and released with InfiniteHBD."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.checks import check_number
from traces.errors import TraceURIError, TraceValueError
from traces.faults import Faults
from traces.format import Format
from traces.json_items import json_items
from traces.tables import as_input

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Options:
    """Options of infinitehbd."""

    nodes: int = field(default=400, metadata={"help": "servers that were observed; the file names those with a fault"})
    days: float | None = field(default=None, metadata={"help": "length of the observation; else until the last event"})
    strict: bool = field(
        default=False, metadata={"help": "an event that cannot be used is an error, else it is left out and counted"}
    )

    def __post_init__(self) -> None:
        check_number("nodes", self.nodes, TraceURIError, low=1, high=10_000_000)
        if self.days is not None:
            check_number("days", self.days, TraceURIError, above=0, high=40_000)


def load(path: str, options: Options) -> Faults:
    """The faults of a list of events: `node_id, event_time` (days), `event_type`, `fault_type {Level, Class, Desc}`.

    A fault goes from a `fault_start` to a `fault_end` of its node, in their order: what started first ends first. One
    that has no end lasted until the observation ended. Ends without a start are left out and counted.

    Source: "InfiniteHBD" (SIGCOMM 2025).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    bad: Counter[str] = Counter()
    events = []
    for number, event in enumerate(json_items(source), 1):
        try:
            events.append(_event(event))
        except (KeyError, TypeError, ValueError) as error:
            if options.strict:
                raise TraceValueError(f"{source}: event {number} is no event of a fault ({error!r})") from error
            bad["it is no event of a fault"] += 1
    if not events:
        raise TraceValueError(f"{source}: holds no event of a fault; check that it is the right file")
    span = _DAY * options.days if options.days is not None else max(seconds for seconds, *_ in events)
    # Stable: a fault that ends in the second of its start does so in the order of the file.
    faults = _intervals(sorted(events, key=lambda event: event[0]), bad)
    return Faults.from_intervals(
        faults, nodes=options.nodes, span_seconds=span, source="InfiniteHBD", licence=FORMAT.licence, bad_rows=dict(bad)
    )


def _event(event: dict[str, Any]) -> tuple[float, str, str, str]:
    kind = event["event_type"]
    if kind not in ("fault_start", "fault_end"):
        raise ValueError(f"event_type {kind!r}")
    days = float(event["event_time"])
    if not 0 <= days < 40_000 or not np.isfinite(days):
        raise ValueError(f"event_time {days}")
    return days * _DAY, kind, str(event["node_id"]), str(event["fault_type"]["Class"])


def _intervals(events: list[tuple[float, str, str, str]], bad: Counter[str]) -> list[tuple[str, float, float, str]]:
    """(node, start, end, cause) of each fault, seconds; infinite where it has no end."""
    running: dict[str, deque[tuple[float, str]]] = defaultdict(deque)
    found = []
    for seconds, kind, node, cause in events:
        if kind == "fault_start":
            running[node].append((seconds, cause))
        elif running[node]:
            start, first_cause = running[node].popleft()
            found.append((node, start, seconds, first_cause))
        else:
            bad["it ends a fault that did not start"] += 1
    return found + [(node, start, np.inf, cause) for node, faults in running.items() for start, cause in faults]


def _detect(_name: str, text: str) -> str:
    return "it holds starts and ends of faults" if '"fault_start"' in text else ""


FORMAT = Format(
    name="infinitehbd",
    kind="faults",
    description="faults of 400 GPU servers over 348 days (StepFun, 2025)",
    options=Options,
    load=load,
    licence="Apache-2.0",
    citation="InfiniteHBD: Building Datacenter-Scale High-Bandwidth Domain for LLM, SIGCOMM 2025",
    example="infinitehbd:infinitehbd_fault_trace.json.gz",
    url="https://github.com/stepfun-ai/InfiniteHBD-Trace",
    detect=_detect,
)
