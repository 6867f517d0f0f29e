"""What a user names is looked up before anything heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numba", "stable_baselines3", "gymnasium")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("evaluate", "pretrained:itp-phily"), "did you mean 'itp-philly'?"),
        (("evaluate", "runs/none"), "runs/none: there is no policy artifact"),
        (("simulate", "--trace", "synthetic:quickstart", "--policy", "reactiv"), "did you mean 'reactive'?"),
        (("simulate", "--trace", "synthetic:quickstart?dys=3"), "did you mean 'days'?"),
        (("deploy", "--config", "live/kwok", "--policy", "reactiv"), "did you mean 'reactive'?"),
        (("train", "experiment/quickstrt"), "did you mean 'experiment/quickstart'?"),
        (("train", "experiment/quickstart", "--init-from", "pretrained:x"), "valid: itp-philly"),
        (("train", "experiment/quickstart", "--set", "agent.gama=1"), "agent.gama"),
    ],
)
def test_a_wrong_name_is_refused_before_heavy_imports(arguments: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    script = (
        "import sys; from autoscaler.cli import main; status = main(sys.argv[1:]);"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules]); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout.strip() == ""
