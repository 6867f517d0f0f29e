"""The audit: one JSON line per decision and one per verdicts, with all that they rest on.

So that both can be decided again elsewhere, see `autoscaler.live.replay`. Floats are written with `repr`, so they are
read back as the same bits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscaler.live.config import AuditSettings, LiveConfig
from autoscaler.live.guardrails import Allowed, GuardrailState, Verdict
from autoscaler.live.guardrails.record import pack
from autoscaler.live.model import ClusterView
from autoscaler.live.policy.decide import Decided
from autoscaler.live.telemetry.durable import DurableLog, NoLog, SizeMemory
from autoscaler.live.telemetry.stream import RecordRing
from configs.errors import ConfigError, UserError
from configs.loader import build_config
from configs.serialize import to_dict
from envs.gpu_cluster.codec import ClusterSnapshot, CodecLayout, Decision, fingerprint

_LOG = logging.getLogger(__name__)

SCHEMA = 2

JUDGED_BY = ("pools", "guardrails")
"""What of the config the guardrails read."""


ROW_BYTES = len('[0,{"name":"","uid":"","node_name":""}],')
"""Bytes of the row of a pod besides what it says, see `guardrails.record`."""


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
    and can be replayed by itself. A line that cannot be written, such as on a full disk, is lost and the next one is
    tried: what stands in the file can always be replayed.

    Args:
        path: the file, which is created where it is missing; None: the records go to `ring` alone.
        header: what stands before the decisions of this process.
        settings: when a file is full, and how many are kept.
        on_lost: called for each line that is lost.
        ring: keeps the last records for those who look on; None: nobody does.

    Raises:
        OSError: it cannot be opened for writing.
    """

    def __init__(
        self,
        path: Path | None,
        header: Header,
        settings: AuditSettings | None = None,
        on_lost: Callable[[], None] = lambda: None,
        ring: RecordRing | None = None,
    ) -> None:
        self._path, self._header, self._settings = path, header, settings or AuditSettings()
        self._log = NoLog() if path is None else DurableLog(path)
        self._on_lost, self._ring = on_lost, ring
        self._needs_header = True
        self._decision_lost = False  # its verdicts must not be replayed with the decision before
        self._skip = SizeMemory(self._settings.max_view_bytes)
        self._losing = False
        self._prepare()

    def _prepare(self) -> bool:
        """Begin a new file when this one is full, and write the header where it is missing; False: that failed."""
        try:
            if self._log.size >= self._settings.max_file_bytes:
                self._needs_header = True
                self._log.rotate(self._settings.keep_files)
        except OSError as error:
            return self._lose(error)
        if self._needs_header:
            self._needs_header = self._write(self._header_record()) == 0
        return not self._needs_header

    def _header_record(self) -> dict[str, Any]:
        header, config = self._header, to_dict(self._header.config)
        return {
            "schema": SCHEMA,
            "kind": "header",
            "codec": header.layout.to_dict(),
            "codec_fingerprint": header.codec_fingerprint,
            "policy": header.policy,
            "dry_run": header.dry_run,
            "config": {name: config[name] for name in JUDGED_BY},
        }

    def decision(self, now_seconds: float, wall_seconds: float, snapshot: ClusterSnapshot, decided: Decided) -> int:
        """Write a decision.

        Args:
            now_seconds: clock time.
            wall_seconds: unix time.
            snapshot: what the policy saw.
            decided: what it decided.

        Returns:
            Number of bytes, 0 where it is lost.
        """
        record = {
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
        # A new file begins here and not between a decision and its verdicts, which are replayed together.
        written = self._write(record) if self._prepare() else 0
        self._decision_lost = written == 0
        return written

    def verdicts(self, view: ClusterView, state: GuardrailState, allowed: Allowed) -> int:
        """Write what the guardrails left of the decision before, unless that one is lost.

        What they judged by is left out where it is larger than `max_view_bytes`: a line has a bound.

        Args:
            view: what they saw.
            state: what they remembered before.
            allowed: what they allowed.

        Returns:
            Number of bytes, 0 where it is lost.
        """
        if self._decision_lost:
            self._on_lost()
            return 0
        record = {"kind": "verdicts", "now_seconds": view.now_seconds, **allowed_dict(allowed)}
        return self._write(record, f',"judged_by":{self._judged_by(view, state) or "null"}')

    def _judged_by(self, view: ClusterView, state: GuardrailState) -> str:
        """The view as JSON; empty where it is too large."""
        objects = len(view.pods) + sum(len(pool.nodes) for pool in view.pools)
        if least_bytes(view) > self._settings.max_view_bytes or self._skip.is_too_large(objects):
            return ""
        text = json.dumps(pack(view, state), separators=(",", ":"))
        return text if self._skip.note(objects, len(text)) else ""

    def held(self, now_seconds: float, stale_resources: Iterable[str]) -> int:
        """Write that nothing was decided, because data were stale; see `decision`."""
        record = {"kind": "held", "now_seconds": now_seconds, "stale_resources": list(stale_resources)}
        return self._write(record) if self._prepare() else 0

    def account(self, now_seconds: float, report: Mapping[str, Any], signals: Iterable[Mapping[str, Any]]) -> int:
        """Write what was spent so far and the signals of the decision before, unless that one is lost; see `decision`.

        Args:
            now_seconds: clock time.
            report: of `LiveAccount.report`.
            signals: how each signal is.
        """
        if self._decision_lost:
            return 0
        return self._write({"kind": "account", "now_seconds": now_seconds, **report, "signals": list(signals)})

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _write(self, record: Mapping[str, Any], more: str = "") -> int:
        line = f"{json.dumps(record, separators=(',', ':'))[:-1]}{more}}}\n".encode()
        try:
            self._log.append(line)
        except OSError as error:
            self._lose(error)
            return 0
        if self._ring is not None:
            self._ring.add(line, record["kind"] == "header")
        if self._losing:
            _LOG.warning("the audit goes on", extra={"path": str(self._path)})
            self._losing = False
        return len(line)

    def _lose(self, error: OSError) -> bool:
        self._on_lost()
        if not self._losing:
            _LOG.error("the audit loses lines", extra={"path": str(self._path), "error": error.strerror or str(error)})
            self._losing = True
        return False


def least_bytes(view: ClusterView) -> int:
    """Bytes that a view takes at least, which is known without packing it: names and uids of the pods on its nodes."""
    return sum(ROW_BYTES + len(uid) + len(node.name) for pool in view.pools for node in pool.nodes for uid in node.pods)


def allowed_dict(allowed: Allowed) -> dict[str, Any]:
    """What the guardrails allow, by names."""
    return {
        "verdicts": [verdict_dict(verdict) for verdict in allowed.verdicts],
        "orders": dict(allowed.orders),
        "reserves": dict(allowed.reserves),
        "removals": [removal.name for removal in allowed.removals],
        "releases": [
            {"gang": release.gang.key, "pool": release.pool, "pods": [pod.uid for pod in release.pods]}
            for release in allowed.releases
        ],
        "restarts": [each.gang.key for each in allowed.stranded if each.restart],
        "consolidations": [{"node": each.node.name, "pods": list(each.evict)} for each in allowed.consolidations],
        "suspensions": [each.gang.key for each in allowed.suspensions],
        "resumptions": [each.job.ref.uid for each in allowed.resumptions],
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
