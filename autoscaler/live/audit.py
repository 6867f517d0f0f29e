"""The audit: one JSON line per decision with all that it rests on, so that it can be decided again elsewhere.

Floats are written with `repr`, so they are read back as the same bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.decide import Decided, Decider
from autoscaler.live.guardrails import Allowed, Verdict
from configs.errors import UserError
from envs.codec import ClusterSnapshot, CodecLayout, fingerprint

SCHEMA = 1


class AuditError(UserError, ValueError):
    """An audit file that cannot be read or does not belong to the policy."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of each process in an audit file.

    Attributes:
        layout: codec layout.
        codec_fingerprint: of that layout and the version that wrote it.
        policy: what the user gave as the policy.
        dry_run: whether nothing was changed.
    """

    layout: CodecLayout
    codec_fingerprint: str
    policy: str
    dry_run: bool


class AuditWriter:
    """Appends lines; each is on disk before the decision is carried out.

    Args:
        path: the file; it is created where it is missing.
        header: what stands before the decisions of this process.

    Raises:
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._write(
            {
                "schema": SCHEMA,
                "kind": "header",
                "codec": header.layout.to_dict(),
                "codec_fingerprint": header.codec_fingerprint,
                "policy": header.policy,
                "dry_run": header.dry_run,
            }
        )

    def decision(self, now_seconds: float, wall_seconds: float, snapshot: ClusterSnapshot, decided: Decided) -> int:
        """Write a decision and return its number of bytes.

        Args:
            now_seconds: clock time.
            wall_seconds: unix time.
            snapshot: what the policy saw.
            decided: what it decided.
        """
        return self._write(
            {
                "kind": "decision",
                "now_seconds": now_seconds,
                "wall_seconds": wall_seconds,
                "policy": decided.policy,
                "fallback": decided.fallback,
                "snapshot": {name: getattr(snapshot, name).tolist() for name in snapshot._fields},
                "observation": [float(value) for value in decided.observation],
                "mask": "".join("1" if valid else "0" for valid in decided.mask),
                "action": decided.action.tolist(),
                "target_nodes": decided.decision.target_nodes.tolist(),
                "placement": decided.decision.placement.tolist(),
            }
        )

    def verdicts(self, now_seconds: float, allowed: Allowed) -> int:
        """Write what the guardrails left of the decision before."""
        return self._write(
            {
                "kind": "verdicts",
                "now_seconds": now_seconds,
                "verdicts": [verdict_dict(verdict) for verdict in allowed.verdicts],
                "orders": dict(allowed.orders),
                "removals": [removal.name for removal in allowed.removals],
                "releases": [
                    {"gang": release.gang.key, "pool": release.pool, "pods": [pod.uid for pod in release.pods]}
                    for release in allowed.releases
                ],
                "restarts": [each.gang.key for each in allowed.stranded if each.restart],
            }
        )

    def held(self, now_seconds: float, stale_resources: Iterable[str]) -> int:
        """Write that nothing was decided, because data were stale."""
        return self._write({"kind": "held", "now_seconds": now_seconds, "stale_resources": list(stale_resources)})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, record: Mapping[str, Any]) -> int:
        line = json.dumps(record, separators=(",", ":")) + "\n"
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        return len(line)


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values."""
    return {name: getattr(verdict, name) for name in ("rule", "kind", "subject", "asked", "allowed", "reason")}


def read_audit(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of an audit file with their line numbers; a line that was cut off at the end is left out.

    Raises:
        AuditError: a line is no record.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return  # the process died in the middle of it
            raise AuditError(f"{path}:{number}: no JSON: {error}") from error
        if not isinstance(record, dict) or "kind" not in record:
            raise AuditError(f"{path}:{number}: is no record of an audit")
        yield number, record


def read_header(path: Path, number: int, record: Mapping[str, Any]) -> Header:
    """The header that a record holds.

    Raises:
        AuditError: of another schema, or its layout has no meaning.
    """
    if record.get("schema") != SCHEMA:
        raise AuditError(f"{path}:{number}: schema is {record.get('schema')!r}, this version reads {SCHEMA}")
    try:
        layout = CodecLayout(**record["codec"])
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"{path}:{number}: its codec layout cannot be read: {error}") from error
    header = Header(
        layout, str(record.get("codec_fingerprint")), str(record.get("policy")), bool(record.get("dry_run"))
    )
    if header.codec_fingerprint != fingerprint(layout):
        raise AuditError(
            f"{path}:{number}: was written with the codec {header.codec_fingerprint}, this version's is "
            f"{fingerprint(layout)}; replay it with the version that wrote it"
        )
    return header


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that came out otherwise.

    Attributes:
        line: of the audit file.
        part: `observation`, `mask`, `action`, `target_nodes` or `placement`.
        index: the first entry that differs.
        recorded: its value in the file.
        replayed: its value now.
    """

    line: int
    part: str
    index: int
    recorded: float
    replayed: float

    def __str__(self) -> str:
        """One line."""
        return f"line {self.line}: {self.part}[{self.index}] is {self.replayed!r} now, {self.recorded!r} was recorded"


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
            **{name: np.array(record[name], np.int64) for name in ("action", "target_nodes", "placement")},
        }
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"line {line}: the record is incomplete: {error!r}") from error
    decided = decider.decide(snapshot)
    replayed: dict[str, NDArray[Any]] = {
        "observation": decided.observation,
        "mask": decided.mask,
        "action": decided.action,
        "target_nodes": decided.decision.target_nodes,
        "placement": decided.decision.placement,
    }
    for part, before in recorded.items():
        difference = _first_difference(line, part, before, replayed[part])
        if difference is not None:
            return difference
    return None


def _first_difference(line: int, part: str, before: NDArray[Any], after: NDArray[Any]) -> Difference | None:
    if before.shape != after.shape:
        return Difference(line, part, min(len(before), len(after)), float(len(before)), float(len(after)))
    if before.tobytes() == after.tobytes():
        return None
    index = next(i for i in range(len(before)) if before[i].tobytes() != after[i].tobytes())
    return Difference(line, part, index, float(before[index]), float(after[index]))


def replay(path: Path, make: Callable[[Header], Decider]) -> Iterator[tuple[int, Difference | None]]:
    """Decide every record of an audit again.

    Args:
        path: the audit file.
        make: builds the decider of a header.

    Yields:
        Line number, and what differs.

    Raises:
        AuditError: the file cannot be read.
    """
    decider: Decider | None = None
    for number, record in read_audit(path):
        if record["kind"] == "header":
            decider = make(read_header(path, number, record))
        elif record["kind"] == "decision":
            if decider is None:
                raise AuditError(f"{path}:{number}: a decision without a header before it")
            yield number, compare(number, record, decider)


def count_differences(results: Iterable[tuple[int, Difference | None]]) -> tuple[int, list[Difference]]:
    """Decisions, and those that differ."""
    total, different = 0, []
    for _, difference in results:
        total += 1
        if difference is not None:
            different.append(difference)
    return total, different
