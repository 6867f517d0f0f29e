"""Files that a subcommand writes when its work is done."""

from __future__ import annotations

from pathlib import Path


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
