"""A disk that is full loses lines of the audit, and nothing else."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from autoscaler.live.config import AuditSettings
from autoscaler.live.guardrails import GuardrailState, evaluate
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.replay import replay, summarize
from autoscaler.live.telemetry import durable
from autoscaler.live.telemetry.audit import AuditWriter, Header, read_audit
from autoscaler.live.telemetry.durable import RETRY_VIEWS, SizeMemory
from envs.gpu_cluster.codec import fingerprint
from tests.live.test_loop import Rig
from tests.live.test_replay import deployed


class Disk:
    """Is full while `full` is set: a part of the line is written, and the rest is refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.sync = os.fsync
        monkeypatch.setattr(durable.os, "fsync", self)

    def __call__(self, number: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.sync(number)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


class Loop:
    """A loop with an audit that counts what it loses."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self.lost = path, 0
        self.rig = Rig()
        header = Header(self.rig.config.codec, fingerprint(self.rig.config.codec), "reactive", True, self.rig.config)
        self.rig.loop._audit = self.audit = AuditWriter(path, header, AuditSettings(**settings), self.lose)

    def lose(self) -> None:
        self.lost += 1

    def reconcile(self, count: int) -> None:
        for _ in range(count):
            self.rig.loop.reconcile()

    def kinds(self) -> list[str]:
        self.audit.close()
        return [record["kind"] for _, record in read_audit(self.path)]

    def replayed(self) -> tuple[int, int, int]:
        self.audit.close()
        found = summarize(replay(self.path, lambda header: make_decider(header.policy, header.layout)))
        return found.decisions, found.verdicts, len(found.different)


def test_the_loop_goes_on_and_what_is_in_the_file_can_be_replayed(tmp_path: Path, disk: Disk) -> None:
    loop = Loop(tmp_path / "audit.jsonl")
    loop.reconcile(2)
    disk.full = True
    loop.reconcile(3)
    disk.full = False
    loop.reconcile(1)
    assert loop.kinds() == ["header", *["decision", "verdicts", "account"] * 3]
    assert loop.lost == 6
    assert loop.replayed() == (3, 3, 0)


def test_a_disk_that_is_full_at_the_start_costs_no_header(tmp_path: Path, disk: Disk) -> None:
    disk.full = True
    loop = Loop(tmp_path / "audit.jsonl")
    loop.reconcile(1)
    disk.full = False
    loop.reconcile(1)
    assert loop.kinds() == ["header", "decision", "verdicts", "account"]


def test_verdicts_whose_decision_is_lost_are_not_written(tmp_path: Path, disk: Disk) -> None:
    """They would be replayed with the decision before."""
    loop = Loop(tmp_path / "audit.jsonl")
    view = loop.rig.observer.observe(GuardrailState())
    decided = make_decider("reactive", loop.rig.config.codec).decide(view.snapshot)
    allowed = evaluate(view.view, decided.decision, GuardrailState(), loop.rig.config)
    assert loop.audit.decision(0.0, 0.0, view.snapshot, decided) > 0
    disk.full = True
    assert loop.audit.decision(1.0, 1.0, view.snapshot, decided) == 0
    disk.full = False
    assert loop.audit.verdicts(view.view, GuardrailState(), allowed) == 0
    assert loop.kinds() == ["header", "decision"]


def test_a_full_file_that_cannot_be_set_aside_loses_lines_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(tmp_path / "audit.jsonl", max_file_bytes=1)
    move = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    loop.reconcile(1)
    assert loop.lost == 2
    monkeypatch.setattr(Path, "replace", move)
    loop.reconcile(1)
    assert loop.replayed() == (1, 1, 0)


def test_a_view_that_was_too_large_is_not_packed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = []
    from autoscaler.live.telemetry import audit as module

    real = module.pack
    monkeypatch.setattr(module, "pack", lambda *what: packed.append(1) or real(*what))
    deployed(tmp_path / "audit.jsonl", reconciles=5, max_view_bytes=0)
    assert len(packed) == 1
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["judged_by"] for line in lines if line["kind"] == "verdicts"] == [None] * 5


def test_now_and_then_a_large_view_is_measured_again() -> None:
    memory = SizeMemory(100)
    assert not memory.is_too_large(10)
    assert not memory.note(10, 101)
    assert not memory.is_too_large(9)
    assert [memory.is_too_large(10) for _ in range(RETRY_VIEWS)].count(False) == 1
    assert memory.note(10, 100)
    assert not memory.is_too_large(10)
