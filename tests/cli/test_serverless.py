"""Mistakes about functions on the command line: one line, status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.cli import main

WORKLOAD = "synthetic-functions:mixed?functions=5&hours=2"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (f"{{workload: '{WORKLOAD}', config: {{pool: [{{memory_mib: 100}}]}}}}", "the largest node of pool has 100"),
        (f"{{workload: '{WORKLOAD}', config: {{admision: true}}}}", "did you mean 'admission'"),
        (f"{{workload: '{WORKLOAD}', config: {{prices: {{usd_per_waited_hour: -1}}}}}}", "must be at least 0"),
        ("{workload: 'synthetic-functions:mixde'}", "did you mean 'mixed'"),
        (
            f"{{workload: '{WORKLOAD}', config: {{overrides: {{mixed-00000: {{layers: [runtime-9]}}}}}}}}",
            "unknown layer 'runtime-9'; did you mean 'runtime-",
        ),
    ],
)
def test_training_on_what_cannot_be_simulated_is_one_line(
    kwargs: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(f"env: autoscaler/Serverless-v0\nenv_kwargs: {kwargs}\nagent: {{name: cma-es}}\n")
    assert main(["train", str(config), "--out", str(tmp_path / "runs"), "--quiet"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_negative_duration_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("app,func,end_timestamp,duration\na,f,10.0,-1.0\n")
    assert main(["traces", "info", f"azure-functions-2021:{path}", "--strict"]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "duration -1.0" in error


def test_info_tells_what_invocations_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "info", WORKLOAD, "--json", "-"]) == 0
    assert '"schema": "autoscaler.traces.invocations/1"' in capsys.readouterr().out
