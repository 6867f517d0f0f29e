"""Decides an audit again: what the policy said, and what the guardrails left of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import evaluate, with_backlog
from autoscaler.live.guardrails.record import unpack
from autoscaler.live.policy.decide import Decider
from autoscaler.live.telemetry.audit import AuditError, Header, allowed_dict, read_audit, read_header
from envs.gpu_cluster.codec import ClusterSnapshot, Decision


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision, or verdicts, that came out otherwise.

    Attributes:
        line: of the audit file.
        part: of a decision `observation`, `mask`, `action` or a field of `Decision`; of verdicts `verdicts`, `orders`,
            `removals`, `releases`, `restarts`, `consolidations`, `suspensions`, `resumptions` or `candidates`.
        index: the first entry that differs; a name, or a position.
        recorded: its value in the file; None: there is none.
        replayed: its value now; likewise.
    """

    line: int
    part: str
    index: int | str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        """One line."""
        return f"line {self.line}: {self.part}[{self.index}] is {self.replayed!r} now, {self.recorded!r} was recorded"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One line that was decided again, or could not be.

    Attributes:
        line: of the audit file.
        kind: `decision` or `verdicts`.
        difference: what came out otherwise first; None: nothing.
        judged: False: what the guardrails judged by is not in the file, so nothing was compared.
    """

    line: int
    kind: str
    difference: Difference | None = None
    judged: bool = True


@dataclass(slots=True)
class Summary:
    """How many lines were decided again, and how.

    Attributes:
        decisions: decisions of the policy.
        verdicts: verdicts of the guardrails.
        without_view: verdicts that could not be decided again.
        different: what came out otherwise.
    """

    decisions: int = 0
    verdicts: int = 0
    without_view: int = 0
    different: list[Difference] = field(default_factory=list)


def compare(line: int, record: Mapping[str, Any], decider: Decider) -> Difference | None:
    """Decide a record again and say what differs first, None: nothing, to the bit.

    Raises:
        AuditError: the record is incomplete.
    """
    try:
        snapshot = ClusterSnapshot(
            *(np.array(record["snapshot"][name], np.float64) for name in ClusterSnapshot._fields)
        )
        recorded = {
            "observation": np.array(record["observation"], np.float32),
            "mask": np.array([digit == "1" for digit in record["mask"]], np.bool_),
            **{name: np.array(record[name], np.int64) for name in ("action", *Decision._fields)},
        }
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"line {line}: the record is incomplete: {error!r}") from error
    decided = decider.decide(snapshot)
    replayed: dict[str, NDArray[Any]] = {
        "observation": decided.observation,
        "mask": decided.mask,
        "action": decided.action,
        **{name: getattr(decided.decision, name) for name in Decision._fields},
    }
    for part, before in recorded.items():
        difference = _first_difference(line, part, before, replayed[part])
        if difference is not None:
            return difference
    return None


def _first_difference(line: int, part: str, before: NDArray[Any], after: NDArray[Any]) -> Difference | None:
    if before.shape != after.shape:
        return Difference(line, part, min(len(before), len(after)), float(len(before)), float(len(after)))
    after = after.astype(before.dtype)
    if before.tobytes() == after.tobytes():
        return None
    index = next(i for i in range(len(before)) if before[i].tobytes() != after[i].tobytes())
    return Difference(line, part, index, float(before[index]), float(after[index]))


def compare_verdicts(line: int, record: Mapping[str, Any], decision: Decision, config: LiveConfig) -> Difference | None:
    """Judge a recorded decision again and say what differs first, None: nothing.

    Args:
        line: of the audit file.
        record: of kind `verdicts`, with what they judged by.
        decision: the decision before it, as it was recorded.
        config: pools and guardrails.

    Raises:
        AuditError: the record is damaged.
    """
    try:
        view, state = unpack(record["judged_by"])
    except ValueError as error:
        raise AuditError(f"line {line}: {error}") from error
    allowed = evaluate(view, with_backlog(decision, view), state, config)
    replayed = json.loads(json.dumps(allowed_dict(allowed)))
    for part, after in replayed.items():
        before = record.get(part)
        if before != after:
            return _first_entry(line, part, before, after)
    return None


def _first_entry(line: int, part: str, before: Any, after: Any) -> Difference:
    """The first entry in which two lists or two mappings differ."""
    recorded, replayed = (
        dict(each) if isinstance(each, dict) else dict(enumerate(each or ())) for each in (before, after)
    )
    for index in [*recorded, *replayed]:
        if recorded.get(index) != replayed.get(index):
            return Difference(line, part, index, recorded.get(index), replayed.get(index))
    return Difference(line, part, 0, before, after)


def replay(path: Path, make: Callable[[Header], Decider]) -> Iterator[Replayed]:
    """Decide every record of an audit again.

    Args:
        path: the audit file.
        make: builds the decider of a header.

    Raises:
        AuditError: the file cannot be read.
    """
    header: Header | None = None
    decider: Decider | None = None
    decision: Decision | None = None
    for number, record in read_audit(path):
        if record["kind"] == "header":
            header = read_header(path, number, record)
            decider, decision = make(header), None
        elif record["kind"] == "decision":
            if decider is None:
                raise AuditError(f"{path}:{number}: a decision without a header before it")
            yield Replayed(number, "decision", compare(number, record, decider))
            decision = Decision(*(np.array(record[name], np.int64) for name in Decision._fields))
        elif record["kind"] == "verdicts":
            if decision is None or header is None or record.get("judged_by") is None:
                yield Replayed(number, "verdicts", judged=False)
            else:
                yield Replayed(number, "verdicts", compare_verdicts(number, record, decision, header.config))


def summarize(results: Iterable[Replayed]) -> Summary:
    """Count them, and keep what differs."""
    summary = Summary()
    for each in results:
        if each.kind == "decision":
            summary.decisions += 1
        elif each.judged:
            summary.verdicts += 1
        else:
            summary.without_view += 1
        if each.difference is not None:
            summary.different.append(each.difference)
    return summary
