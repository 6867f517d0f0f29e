"""Deciding, falling back, the audit and its replay."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.registry import make_baseline
from autoscaler.cli import main
from autoscaler.live.policy.decide import Decider, PolicyError, load_policy, make_decider
from autoscaler.live.replay import compare, replay, summarize
from autoscaler.live.telemetry.audit import AuditError, AuditWriter, Header, read_audit
from configs.errors import UserError
from envs.gpu_cluster.codec import (
    ClusterSnapshot,
    CodecLayout,
    Pool,
    Slot,
    empty_snapshot,
    fingerprint,
    observation_size,
)
from tests.live import raw
from tests.live.artifacts import write_artifact

LAYOUT = CodecLayout(max_pools=2, window_slots=3)


def snapshot(seed: int = 0) -> ClusterSnapshot:
    """A small cluster with odd fractions in it."""
    generator = np.random.default_rng(seed)
    filled = empty_snapshot(LAYOUT)
    filled.pools[0] = generator.random(len(Pool)) * 7.0
    filled.pools[0, [Pool.PRESENT, Pool.GPUS_PER_NODE, Pool.MIN_NODES, Pool.MAX_NODES]] = [1, 8, 0, 9]
    filled.pools[0, [Pool.IDLE_NODES, Pool.BUSY_NODES, Pool.BOOTING_NODES]] = [2, 1, 1]
    filled.pools[0, [Pool.SETPOINT, Pool.SETPOINT_HELD]] = [4, 0]
    filled.free_nodes[0, 3] = 1.0
    filled.queue[0, [Slot.PRESENT, Slot.GPUS, Slot.WAITED_SECONDS]] = [1.0, 12.0, generator.random()]
    filled.allowed[0, 0] = 1.0
    filled.signals[:] = generator.random(len(filled.signals)) * 1000.0
    return filled


class Broken:
    """A policy that answers with anything."""

    name, packer, masked, layout, codec_fingerprint = "broken", None, True, LAYOUT, fingerprint(LAYOUT)

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def reset(self, num_clusters: int) -> None: ...

    def act(self, observations: Any, action_masks: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


COMPONENTS = len(LAYOUT.action_sizes)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops"),
        (None, "shape"),
        (np.zeros((1, COMPONENTS - 1), np.int64), "shape"),
        (np.zeros((1, COMPONENTS)), "type"),
        (np.full((1, COMPONENTS), 1000), "out of range"),
        (np.full((1, COMPONENTS), -1), "out of range"),
        (np.array([[0, 0, 2, 0, 0]]), "mask"),
    ],
)
def test_an_unusable_output_falls_back_to_reactive_and_says_so(answer: Any, problem: str) -> None:
    reactive = make_baseline("reactive", LAYOUT)
    decided = Decider(Broken(answer), reactive, LAYOUT).decide(snapshot())
    assert problem in decided.fallback
    assert decided.policy == "reactive"
    expected = Decider(reactive, reactive, LAYOUT).decide(snapshot())
    assert decided.action.tolist() == expected.action.tolist()
    assert not expected.fallback


def test_nan_weights_fall_back(tmp_path: Path) -> None:
    weights = np.full((observation_size(LAYOUT), LAYOUT.mask_size), np.nan)
    decided = make_decider(str(write_artifact(tmp_path / "p", LAYOUT, weights)), LAYOUT).decide(snapshot())
    assert decided.fallback == "a logit is not finite"


def test_a_policy_of_another_codec_is_refused() -> None:
    other = make_baseline("reactive", CodecLayout(max_pools=3))
    with pytest.raises(PolicyError, match="fingerprint"):
        Decider(other, make_baseline("reactive", LAYOUT), LAYOUT)


def test_an_unknown_policy_is_a_user_error() -> None:
    with pytest.raises(UserError, match="did you mean 'reactive'"):
        load_policy("reactiv", LAYOUT)


def test_a_policy_that_must_be_tuned_is_a_user_error() -> None:
    with pytest.raises(UserError, match="is tuned on a training window"):
        load_policy("reactive-tuned", LAYOUT)


def write_audit(path: Path, policy: str, count: int = 5) -> Path:
    audit = AuditWriter(path, Header(LAYOUT, fingerprint(LAYOUT), policy, True, raw.config(layout=LAYOUT)))
    decider = make_decider(policy, LAYOUT)
    for seed in range(count):
        audit.decision(float(seed), float(seed), snapshot(seed), decider.decide(snapshot(seed)))
    audit.held(9.0, ["pods"])
    audit.close()
    return path


def test_an_audit_decides_again_to_the_same_bits(tmp_path: Path) -> None:
    policy = str(write_artifact(tmp_path / "p", LAYOUT))
    path = write_audit(tmp_path / "audit.jsonl", policy)
    write_audit(path, "reactive", count=2)
    found = summarize(replay(path, lambda header: make_decider(header.policy, header.layout)))
    assert (found.decisions, found.different) == (7, [])


@pytest.mark.parametrize("part", ["observation", "action", "target_nodes", "placement"])
def test_one_changed_bit_is_found(tmp_path: Path, part: str) -> None:
    path = write_audit(tmp_path / "audit.jsonl", "reactive", count=1)
    ((_, _), (number, record), _) = read_audit(path)
    index = int(np.flatnonzero(record[part])[0]) if np.any(record[part]) else 0
    value = record[part][index]
    record[part][index] = (
        float(np.nextafter(np.float32(value), np.float32(2.0))) if part == "observation" else value + 1
    )
    found = compare(number, record, make_decider("reactive", LAYOUT))
    assert found is not None
    assert (found.line, found.part, found.index) == (2, part, index)


def test_a_line_cut_off_by_a_crash_is_left_out_and_one_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = write_audit(tmp_path / "audit.jsonl", "reactive", count=2)
    path.write_text(path.read_text()[:-20])
    assert [record["kind"] for _, record in read_audit(path)] == ["header", "decision", "decision"]
    path.write_text("{broken\n" + path.read_text())
    with pytest.raises(AuditError, match=r"audit\.jsonl:1"):
        list(read_audit(path))


def test_an_audit_of_another_codec_is_refused(tmp_path: Path) -> None:
    path = write_audit(tmp_path / "audit.jsonl", "reactive", count=1)
    lines = path.read_text().splitlines()
    header = json.loads(lines[0])
    header["codec_fingerprint"] = "0" * 16
    path.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    with pytest.raises(AuditError, match="version that wrote it"):
        list(replay(path, lambda found: make_decider(found.policy, found.layout)))


def test_the_command_says_how_many_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_audit(tmp_path / "audit.jsonl", "reactive", count=3)
    assert main(["replay", str(path)]) == 0
    assert capsys.readouterr().out == "3 decisions, 0 verdicts, 0 differ\n"
    assert main(["replay", str(path), "--policy", "always-on"]) == 1
    assert "line 2: action[0]" in capsys.readouterr().out
    assert main(["replay", str(tmp_path / "none")]) == 2
