"""What subcommands that take a while do before their work: check where the result goes, and say why it takes long."""

from __future__ import annotations

from pathlib import Path

from autoscaler.cli._common import note


def check_folders(*paths: str | None) -> None:
    """Refuse files that could not be written before the work is done rather than after it.

    Args:
        paths: files; None and `-` are none.

    Raises:
        OutputFileError: the folder of a file does not exist.
    """
    from configs.files import OutputFileError

    for path in paths:
        if path is not None and path != "-" and not Path(path).parent.is_dir():
            folder = Path(path).parent
            raise OutputFileError(f"{path}: cannot be written (there is no folder {folder}); make the folder first")


def note_compiling(quiet: bool) -> None:
    """Say that the simulator is compiled first, where it is not in the cache."""
    from autoscaler.evaluation.rollouts import is_compiled

    if not is_compiled():
        note("compiling the simulator: about a minute, once after each installation or update", quiet)
