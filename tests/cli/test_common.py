"""What all subcommands share: JSON that other tools can read, and progress that suits its reader."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from autoscaler import progress
from autoscaler.cli._common import note, write_json
from autoscaler.progress import Reporter, Terminal, duration_text, make_reporter
from configs.files import OutputFileError


def test_json_to_a_file_holds_plain_values(tmp_path):
    path = tmp_path / "result.json"
    document = {"mean": np.float32(0.5), "jobs": np.int64(3), "missing": float("nan"), "waits": np.array([1.0, np.inf])}
    write_json(document, str(path))
    assert json.loads(path.read_text()) == {"mean": 0.5, "jobs": 3, "missing": None, "waits": [1.0, None]}


def test_json_to_stdout_is_all_of_stdout(capsys):
    note("working", quiet=False)
    note("hidden", quiet=True)
    write_json({"schema": "x/1"}, "-")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"schema": "x/1"}
    assert captured.err == "working\n"


def test_json_to_a_missing_folder_is_a_user_error(tmp_path):
    with pytest.raises(OutputFileError, match="cannot be written"):
        write_json({}, str(tmp_path / "missing" / "x.json"))


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys):
    clock = Clock()
    with Terminal(clock=clock).progress("train", 1000, done=400) as job:
        for _ in range(6):
            clock.seconds += 5.0
            job.advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "train: 600/1,000 steps (60 %), 20 steps/s, 20 s left",
        "train: 800/1,000 steps (80 %), 20 steps/s, 10 s left",
        "train: 1,000/1,000 steps (100 %), 20 steps/s",
    ]


def test_what_is_done_too_much_is_not_shown(capsys):
    """A rollout is not cut at the last step."""
    clock = Clock()
    with Terminal(clock=clock).progress("train", 1000) as job:
        for _ in range(3):
            clock.seconds += 10.0
            job.advance(399)
    assert capsys.readouterr().err.splitlines() == [
        "train: 399/1,000 steps (39 %), 40 steps/s, 15 s left",
        "train: 798/1,000 steps (79 %), 40 steps/s, 5 s left",
        "train: 1,000/1,000 steps (100 %), 40 steps/s",
    ]


def test_100_percent_is_said_when_all_is_done(capsys):
    with Terminal().progress("train", 1000) as job:
        job.advance(999)
    assert "999/1,000 steps (99 %)" in capsys.readouterr().err


def test_a_silent_reporter_prints_nothing(capsys):
    reporter = make_reporter(False)
    reporter.note("working")
    with reporter.progress("train", 10) as job:
        job.advance(10)
    assert capsys.readouterr() == ("", "")


def test_a_reporter_of_the_caller_is_used_as_it_is():
    class Mine(Reporter):
        pass

    mine = Mine()
    assert make_reporter(mine) is mine


def test_on_a_terminal_progress_is_a_bar_on_stderr(monkeypatch, capsys):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Screen()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Terminal().progress("evaluate", 4, "windows") as job:
        job.advance(3)
        job.advance(3)
    assert "evaluate" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()
    assert "6/4" not in terminal.getvalue()
    assert "windows/s" in terminal.getvalue()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.6, "10 s"), (75.0, "1 min 15 s"), (3599.9, "1 h 0 min"), (7500.0, "2 h 5 min")]
)
def test_durations_read_naturally(seconds, text):
    assert duration_text(seconds) == text
