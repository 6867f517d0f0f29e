"""An audit judges again as the guardrails judged, finds what is otherwise, and stays within its bounds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main
from autoscaler.live.config import AuditSettings, LivePool
from autoscaler.live.guardrails import Allowed, GuardrailState, after_order
from autoscaler.live.model import ClusterView, OrderView
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.replay import Summary, replay, summarize
from autoscaler.live.telemetry.audit import AuditError, AuditWriter, Header, read_audit
from autoscaler.live.telemetry.durable import rotated
from autoscaler.live.view.store import Resource
from envs.gpu_cluster.codec import fingerprint
from tests.live import raw
from tests.live.test_loop import Rig


class Ordering:
    """Says that it ordered, so that the memory is not empty."""

    def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
        state = allowed.state
        for pool, count in allowed.orders.items():
            for index in range(count):
                state = after_order(state, OrderView(pool, f"{pool}-{view.now_seconds}-{index}", view.now_seconds))
        return state


def deployed(path: Path, reconciles: int = 4, **settings: Any) -> Path:
    """The audit of a loop that sees a job more in each reconcile."""
    rig = Rig(Ordering(), pools=(LivePool("gpu", 2), LivePool("other", 4)))
    header = Header(rig.config.codec, fingerprint(rig.config.codec), "reactive", False, rig.config)
    audit = AuditWriter(path, header, AuditSettings(**settings))
    rig.loop._audit = audit
    rig.store.replace(Resource.NODES, [raw.node("n")])
    for index in range(reconciles):
        rig.store.replace(Resource.PODS, [raw.pod(f"p{at}") for at in range(2 * index + 1)])
        rig.loop.reconcile()
        rig.clock.seconds += 60.0
    audit.close()
    return path


def again(path: Path) -> Summary:
    return summarize(replay(path, lambda header: make_decider(header.policy, header.layout)))


def test_decisions_and_verdicts_come_out_the_same(tmp_path: Path) -> None:
    path = deployed(tmp_path / "audit.jsonl")
    found = again(path)
    assert (found.decisions, found.verdicts, found.without_view, found.different) == (4, 4, 0, [])
    judged = [record for _, record in read_audit(path) if record["kind"] == "verdicts"]
    assert {verdict["rule"] for record in judged for verdict in record["verdicts"]} >= {"in-flight", "does-not-fit"}
    assert any(record["judged_by"]["state"].get("orders") for record in judged), "it remembers what it ordered"


def edited(path: Path, kind: str, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The same audit with every record of a kind changed."""
    records = [record for _, record in read_audit(path)]
    for record in records:
        if record["kind"] == kind:
            edit(record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def drop_orders(record: dict[str, Any]) -> None:
    record["orders"] = {}


def reword(record: dict[str, Any]) -> None:
    for verdict in record["verdicts"]:
        verdict["reason"] += "!"


def shrink(record: dict[str, Any]) -> None:
    record["config"]["pools"][0]["max_nodes"] = 1


def forget(record: dict[str, Any]) -> None:
    record["judged_by"]["state"] = {}


@pytest.mark.parametrize(
    ("kind", "edit", "part"),
    [
        ("verdicts", drop_orders, "orders"),
        ("verdicts", reword, "verdicts"),
        ("header", shrink, "verdicts"),
        ("verdicts", forget, "verdicts"),
    ],
)
def test_what_is_otherwise_is_found(
    tmp_path: Path, kind: str, edit: Callable[[dict[str, Any]], None], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited(deployed(tmp_path / "audit.jsonl"), kind, edit)
    assert part in {each.part for each in again(path).different}
    assert main(["replay", str(path)]) == 1
    assert f": {part}[" in capsys.readouterr().out


def test_an_audit_of_another_schema_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = edited(deployed(tmp_path / "audit.jsonl"), "header", lambda record: record.update(schema=1))
    assert main(["replay", str(path)]) == 2
    assert capsys.readouterr().err == f"error: {path}:1: schema is 1, this version reads 2\n"


def test_a_view_that_is_too_large_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = deployed(tmp_path / "audit.jsonl", max_view_bytes=1700)
    found = again(path)
    assert found.decisions == 4
    assert found.verdicts + found.without_view == 4
    assert found.verdicts > 0 < found.without_view
    assert main(["replay", str(path)]) == 0
    assert "verdicts without a view were not decided again" in capsys.readouterr().out


def test_a_damaged_view_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = edited(deployed(tmp_path / "audit.jsonl"), "verdicts", lambda record: record["judged_by"].pop("pods"))
    with pytest.raises(AuditError, match="line 3: the guardrails' view cannot be read"):
        again(path)


def test_a_full_file_is_set_aside_and_so_many_are_kept(tmp_path: Path) -> None:
    path = deployed(tmp_path / "audit.jsonl", reconciles=6, max_file_bytes=1, keep_files=2)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    for each in (path, rotated(path, 1), rotated(path, 2)):
        found = again(each)
        assert (found.decisions, found.verdicts, found.different) == (1, 1, []), "each can be replayed by itself"
    times = [list(read_audit(each))[-1][1]["now_seconds"] for each in (rotated(path, 2), rotated(path, 1), path)]
    assert times == sorted(times)


def test_no_file_is_kept_when_none_is_wanted(tmp_path: Path) -> None:
    path = deployed(tmp_path / "audit.jsonl", max_file_bytes=1, keep_files=0)
    assert [each.name for each in tmp_path.iterdir()] == ["audit.jsonl"]
    assert again(path).decisions == 1


def test_a_restart_goes_on_in_the_same_file_until_it_is_full(tmp_path: Path) -> None:
    path = deployed(tmp_path / "audit.jsonl", reconciles=1)
    deployed(path, reconciles=1)
    assert [record["kind"] for _, record in read_audit(path)].count("header") == 2
    assert again(path).verdicts == 2
    deployed(path, reconciles=1, max_file_bytes=1)
    assert [record["kind"] for _, record in read_audit(path)] == ["header", "decision", "verdicts", "account"]
