"""`autoscaler render`: a recording as a picture or a film."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from autoscaler.cli._common import QuietOption, checked_output, note


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A recording, or a run folder that has one.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", callback=checked_output, help="File to write."),
    ] = None,
    kind: Annotated[
        Literal["gif", "mp4", "png"], typer.Option("--format", help="Kind of file, where --output does not say it.")
    ] = "gif",
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="Which policy; give it twice for two side by side.")
    ] = None,
    start: Annotated[float | None, typer.Option("--from", help="First moment, seconds of the recording.")] = None,
    end: Annotated[float | None, typer.Option("--until", help="Last moment; of a picture its only one.")] = None,
    frames: Annotated[int, typer.Option(min=1, max=5000, help="Frames of a film.")] = 120,
    rate: Annotated[float, typer.Option("--fps", min=1.0, max=60.0, help="Frames a second.")] = 12.0,
    width: Annotated[int, typer.Option(min=320, max=3840, help="Pixels across.")] = 800,
    quiet: QuietOption = False,
) -> None:
    """Draw a recording as the dashboard shows it: an animated GIF, a film, or one picture.

    `simulate --record` and `evaluate --record` make recordings.
    """
    from pathlib import Path

    from autoscaler.recordings.film import Film, write_film
    from autoscaler.run_folder import recording_of

    path = output or f"{Path(run).resolve().name}.{kind}"
    film = Film(recording_of(Path(run)), policy or [], width)
    write_film(film, path, frames=frames, rate=rate, start=start, end=end)
    note(f"wrote {path} ({Path(path).stat().st_size / 1e6:.2f} MB)", quiet)
