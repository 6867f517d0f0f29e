"""The root of the command line: start-up, errors in one line, exit statuses."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
import types
from typing import Annotated

import pytest
import typer

from autoscaler import cli
from configs.errors import ConfigError

HEAVY = {"torch", "numba", "pyarrow", "gymnasium", "numpy", "rich", "yaml", "matplotlib", "kubernetes"}


@pytest.fixture
def subcommand(monkeypatch):
    """Register a function as the subcommand `probe`."""

    def register(function) -> None:
        module = types.ModuleType("probe_module")
        if isinstance(function, typer.Typer):
            module.app = function
        else:
            module.command = function
        monkeypatch.setitem(sys.modules, "probe_module", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("probe_module", "A subcommand of the tests."))

    return register


def raising(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_import_nothing_heavy(arguments):
    script = (
        "import sys; from autoscaler.cli import main; status = main(sys.argv[1:]);"
        "print('loaded:', *sorted(sys.modules)); sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.rpartition("loaded:")[2].split())
    assert "autoscaler.cli" in loaded
    assert loaded & HEAVY == set()
    assert not any(module.startswith(("envs", "agents", "traces")) for module in loaded)


def test_help_lists_every_subcommand_with_its_line(capsys):
    assert cli.main(["--help"]) == 0
    output = capsys.readouterr().out
    for name, (_, summary) in cli.COMMANDS.items():
        assert f"  {name}" in output
        assert summary in output


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_subcommand_of_the_table_answers_help(name, capsys):
    if importlib.util.find_spec(cli.COMMANDS[name][0]) is None:
        pytest.skip(f"{cli.COMMANDS[name][0]} is not written yet")
    assert cli.main([name, "--help"]) == 0
    output = capsys.readouterr().out
    assert f"autoscaler {name}" in output
    assert "Args:" not in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "error: no such command 'trian'; did you mean 'train'? (see autoscaler --help)\n"),
        (["--nonsense"], "error: no such option: --nonsense (see autoscaler --help)\n"),
        (
            ["doctor", "--jsn", "-"],
            "error: no such option: --jsn (Possible options: --json) (see autoscaler doctor --help)\n",
        ),
    ],
)
def test_usage_errors_are_one_line_with_the_nearest_name(capsys, arguments, expected):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err == expected
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (ConfigError("x.yaml:3: unknown key 'a'"), 2, "error: x.yaml:3: unknown key 'a'\n"),
        (ConfigError("two\nlines"), 2, "error: two lines\n"),
        (
            FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.csv"),
            2,
            "error: a.csv: No such file or directory\n",
        ),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2, "error: No space left on device\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            ModuleNotFoundError("No module named 'kubernetes'", name="kubernetes.client"),
            2,
            "error: kubernetes.client is not installed; pip install 'green-gpu-autoscaler[live]'\n",
        ),
        (KeyError("x"), 70, "error: internal: KeyError: 'x' (this is a bug; AUTOSCALER_DEBUG=1 shows where)\n"),
        (typer.Exit(1), 1, ""),
    ],
)
def test_every_exception_becomes_a_status_and_at_most_one_line(capsys, subcommand, error, status, expected):
    subcommand(raising(error))
    assert cli.main(["probe"]) == status
    assert capsys.readouterr().err == expected


def test_debug_shows_the_traceback(monkeypatch, subcommand):
    monkeypatch.setenv("AUTOSCALER_DEBUG", "1")
    subcommand(raising(ConfigError("wrong")))
    with pytest.raises(ConfigError, match="wrong"):
        cli.main(["probe"])


def test_a_function_gets_its_options_and_its_docstring_as_help(capsys, subcommand):
    def command(count: Annotated[int, typer.Option("--count", help="How many.")] = 1) -> None:
        """Count something.

        Args:
            count: Not shown to users.
        """
        typer.echo(f"counted {count}")

    subcommand(command)
    assert cli.main(["probe", "--count", "3"]) == 0
    assert capsys.readouterr().out == "counted 3\n"
    assert cli.main(["probe", "--help"]) == 0
    output = capsys.readouterr().out
    assert "Count something." in output
    assert "Not shown" not in output
    assert cli.main(["probe", "--count", "many"]) == 2


def test_a_group_offers_its_own_commands(capsys, subcommand):
    app = typer.Typer(no_args_is_help=True)
    app.command("list")(lambda: typer.echo("listed"))
    app.command("info")(lambda: typer.echo("informed"))
    subcommand(app)
    assert cli.main(["probe", "list"]) == 0
    assert capsys.readouterr().out == "listed\n"
    assert cli.main(["probe"]) == 2
    captured = capsys.readouterr()
    assert "Usage: autoscaler probe" in captured.out + captured.err


def test_a_closed_pipe_is_quiet():
    command = f"{sys.executable} -m autoscaler --help | true; exit ${{PIPESTATUS[0]}}"
    for _ in range(3):
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert result.stderr == ""


def test_output_that_cannot_be_written_is_one_line():
    command = f"{sys.executable} -m autoscaler --help > /dev/full"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "error: No space left on device\n"


def test_version_is_that_of_the_distribution(monkeypatch, capsys):
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"1.2.3 of {name}")
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "autoscaler 1.2.3 of green-gpu-autoscaler\n"
