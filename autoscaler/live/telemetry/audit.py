"""The audit: one JSON line per decision and one per verdicts, with all that they rest on.

So that both can be decided again elsewhere, see `autoscaler.live.replay`. Floats are written with `repr`, so they are
read back as the same bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscaler.live.config import AuditSettings, LiveConfig
from autoscaler.live.guardrails import Allowed, GuardrailState, Verdict
from autoscaler.live.guardrails.record import pack
from autoscaler.live.model import ClusterView
from autoscaler.live.policy.decide import Decided
from configs.errors import ConfigError, UserError
from configs.loader import build_config
from configs.serialize import to_dict
from envs.gpu_cluster.codec import ClusterSnapshot, CodecLayout, Decision, fingerprint

SCHEMA = 2

JUDGED_BY = ("pools", "guardrails")
"""What of the config the guardrails read."""


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
        config: of it, pools and guardrails.
    """

    layout: CodecLayout
    codec_fingerprint: str
    policy: str
    dry_run: bool
    config: LiveConfig


class AuditWriter:
    """Appends lines; each is on disk before the decision is carried out.

    A file that is full becomes `<path>.1`, what was that becomes `<path>.2`, and so on. Each file begins with a header
    and can be replayed by itself.

    Args:
        path: the file; it is created where it is missing.
        header: what stands before the decisions of this process.
        settings: when a file is full, and how many are kept.

    Raises:
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: Path, header: Header, settings: AuditSettings | None = None) -> None:
        self._path, self._header, self._settings = path, header, settings or AuditSettings()
        self._file = path.open("a", encoding="utf-8")
        self._rotate_if_full()
        self._write_header()

    def _write_header(self) -> None:
        header = self._header
        config = to_dict(header.config)
        self._write(
            {
                "schema": SCHEMA,
                "kind": "header",
                "codec": header.layout.to_dict(),
                "codec_fingerprint": header.codec_fingerprint,
                "policy": header.policy,
                "dry_run": header.dry_run,
                "config": {name: config[name] for name in JUDGED_BY},
            }
        )

    def _rotate_if_full(self) -> bool:
        """Begin a new file when this one is full."""
        if self._file.tell() < self._settings.max_file_bytes:
            return False
        self._file.close()
        for number in range(self._settings.keep_files, 0, -1):
            older = self._path if number == 1 else rotated(self._path, number - 1)
            if older.exists():
                older.replace(rotated(self._path, number))
        self._file = self._path.open("w", encoding="utf-8")
        return True

    def decision(self, now_seconds: float, wall_seconds: float, snapshot: ClusterSnapshot, decided: Decided) -> int:
        """Write a decision and return its number of bytes.

        Args:
            now_seconds: clock time.
            wall_seconds: unix time.
            snapshot: what the policy saw.
            decided: what it decided.
        """
        # Here and not between a decision and its verdicts, which are replayed together.
        if self._rotate_if_full():
            self._write_header()
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
                **{name: getattr(decided.decision, name).tolist() for name in Decision._fields},
            }
        )

    def verdicts(self, view: ClusterView, state: GuardrailState, allowed: Allowed) -> int:
        """Write what the guardrails left of the decision before, and return its number of bytes.

        What they judged by is left out where it is larger than `max_view_bytes`: a line has a bound.

        Args:
            view: what they saw.
            state: what they remembered before.
            allowed: what they allowed.
        """
        judged_by = json.dumps(pack(view, state), separators=(",", ":"))
        fits = len(judged_by) <= self._settings.max_view_bytes
        record = {"kind": "verdicts", "now_seconds": view.now_seconds, **allowed_dict(allowed)}
        return self._write(record, f',"judged_by":{judged_by if fits else "null"}')

    def held(self, now_seconds: float, stale_resources: Iterable[str]) -> int:
        """Write that nothing was decided, because data were stale."""
        return self._write({"kind": "held", "now_seconds": now_seconds, "stale_resources": list(stale_resources)})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, record: Mapping[str, Any], more: str = "") -> int:
        line = f"{json.dumps(record, separators=(',', ':'))[:-1]}{more}}}\n"
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        return len(line)


def rotated(path: Path, number: int) -> Path:
    """Where a full audit file goes: 1 is the one before."""
    return path.with_name(f"{path.name}.{number}")


def allowed_dict(allowed: Allowed) -> dict[str, Any]:
    """What the guardrails allow, by names."""
    return {
        "verdicts": [verdict_dict(verdict) for verdict in allowed.verdicts],
        "orders": dict(allowed.orders),
        "removals": [removal.name for removal in allowed.removals],
        "releases": [
            {"gang": release.gang.key, "pool": release.pool, "pods": [pod.uid for pod in release.pods]}
            for release in allowed.releases
        ],
        "restarts": [each.gang.key for each in allowed.stranded if each.restart],
        "consolidations": [{"node": each.node.name, "pods": list(each.evict)} for each in allowed.consolidations],
        "candidates": None if allowed.candidates is None else list(allowed.candidates),
    }


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values."""
    return {name: getattr(verdict, name) for name in ("rule", "kind", "subject", "requested", "allowed", "reason")}


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
        layout,
        str(record.get("codec_fingerprint")),
        str(record.get("policy")),
        bool(record.get("dry_run")),
        _read_config(f"{path}:{number}", record),
    )
    if header.codec_fingerprint != fingerprint(layout):
        raise AuditError(
            f"{path}:{number}: was written with the codec {header.codec_fingerprint}, this version's is "
            f"{fingerprint(layout)}; replay it with the version that wrote it"
        )
    return header


def _read_config(where: str, record: Mapping[str, Any]) -> LiveConfig:
    try:
        return build_config({**record["config"], "codec": record["codec"]}, LiveConfig, where)
    except (ConfigError, KeyError, TypeError) as error:
        raise AuditError(f"{where}: its pools and guardrails cannot be read: {error}") from error
