"""Pictures of a recording: frames, and files of them; what `autoscaler render` calls."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from configs.errors import did_you_mean
from configs.files import atomic_path
from envs.recording import SHARED, Recording, RecordingError, Track
from envs.recording.moments import Moments
from envs.recording.pictures import ACCENT, FAINT, INK, LINE, PAPER, Cells, City, draw_cells, draw_city, font

HEADER, TOTALS, CURVE, MARGIN = 26, 54, 56, 10
GIF_COLOURS = 48
"""Few, for small files; what is drawn has about 30."""


class Film:
    """Draws the moments of a recording, one policy or two side by side.

    Args:
        folder: of the recording.
        tracks: names or titles of one or two policies; empty: the first that is no reference, and the reference.
        width: of a picture, pixels.

    Raises:
        RecordingError: it cannot be read, or there is no such policy.
    """

    def __init__(self, folder: str | Path, tracks: Sequence[str] = (), width: int = 800) -> None:
        self._recording = Recording(folder)
        self.head = self._recording.head
        self._tracks = [self._find(name) for name in tracks] or self._first()
        each = (width - MARGIN * (len(self._tracks) + 1)) // len(self._tracks)
        body = round(each * 0.7) if self.head.kind == "city" else self._cells_height(each)
        self.size = width, HEADER + TOTALS + body + CURVE + 2 * MARGIN + (14 if self.head.attribution else 0)
        self._scenes = [_Scene(self._recording, track, each, body) for track in self._tracks]

    @property
    def span(self) -> tuple[float, float]:
        """Start and end, s."""
        if self.head.end_seconds is not None:
            return self.head.start_seconds, self.head.end_seconds
        return self.head.start_seconds, max(scene.end for scene in self._scenes)

    def frame(self, time: float) -> Image.Image:
        """What is there at a moment, s."""
        image = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(image)
        draw.text((MARGIN, 6), self._moment(time), INK, font(14))
        for index, scene in enumerate(self._scenes):
            scene.draw(image, MARGIN + index * (scene.width + MARGIN), HEADER, time, self.span)
        if self.head.attribution:
            draw.text((MARGIN, self.size[1] - 16), "; ".join(self.head.attribution), FAINT, font(11))
        return image

    def frames(self, count: int, start: float | None = None, end: float | None = None) -> Iterator[Image.Image]:
        """Pictures at even distances, from the start to the end where nothing else is said."""
        first, last = self.span
        for time in np.linspace(first if start is None else start, last if end is None else end, count).tolist():
            yield self.frame(time)

    def _find(self, name: str) -> Track:
        for track in self.head.tracks:
            if name in (track.name, track.title):
                return track
        known = [track.title or track.name for track in self.head.tracks]
        raise RecordingError(f"the recording has no policy {name!r}{did_you_mean(name, known)}")

    def _first(self) -> list[Track]:
        own = [track for track in self.head.tracks if not track.reference]
        both = own[:1] + [track for track in self.head.tracks if track.reference][:1]
        if not both:
            raise RecordingError("the recording has no policy; there is nothing to draw")
        return both

    def _cells_height(self, width: int) -> int:
        nodes = sum(int(pool["max_nodes"]) for pool in self.head.pools)
        return max(80, min(360, 24 * len(self.head.pools) + -(-nodes * 26 * 26 // width)))

    def _moment(self, time: float) -> str:
        if self.head.start_time is None:
            return f"day {int(time // 86_400)}, {int(time % 86_400 // 3600):02}:{int(time % 3600 // 60):02}"
        return f"{datetime.fromisoformat(self.head.start_time) + timedelta(seconds=time):%Y-%m-%d %H:%M}"


class _Scene:
    """What one policy did."""

    def __init__(self, recording: Recording, track: Track, width: int, height: int) -> None:
        self.width = width
        self._height, self._head, self._track = height, recording.head, track
        self._recording = recording
        samples = self._table("samples")
        self._samples: dict[str, NDArray[Any]] = {
            name: samples.column(name).to_numpy() for name in samples.schema.names
        }
        if recording.head.kind == "city":
            self._load_city()
        else:
            nodes = self._table("nodes")
            self._pool, self._node = (nodes.column(name).to_numpy() for name in ("pool", "node"))
            self._states = Moments(self._table("node_states"), "node", int(self._node.max(initial=-1)) + 1)

    @property
    def end(self) -> float:
        """The last time of a sample."""
        return float(self._samples["time_seconds"].max(initial=self._head.start_seconds))

    def draw(self, image: Image.Image, left: int, top: int, time: float, span: tuple[float, float]) -> None:
        """Draw totals, what is there, and the power so far."""
        draw = ImageDraw.Draw(image)
        draw.text((left, top), self._track.title or self._track.name, INK, font(14))
        for line, text in enumerate(self._totals(time)):
            draw.text((left, top + 18 + 15 * line), text, FAINT, font(12))
        top += TOTALS
        box = (left, top, self.width, self._height)
        if self._head.kind == "city":
            draw_city(image, self._city(time), box)
        else:
            draw_cells(image, self._cells(time), box)
        self._draw_power(draw, (left, top + self._height + MARGIN), time, span)

    def _table(self, name: str) -> Any:
        own = self._recording.table(name, self._track.name)
        return own if own.num_rows else self._recording.table(name, SHARED)

    def _totals(self, time: float) -> list[str]:
        times = self._samples["time_seconds"]
        if not len(times):
            return []
        kwh, grams, usd = (float(np.interp(time, times, self._samples[name])) for name in ("kwh", "grams", "usd"))
        row = max(int(np.searchsorted(times, time, side="right")) - 1, 0)
        waiting, wait = int(self._samples["waiting"][row]), float(self._samples["mean_wait_seconds"][row])
        waits = f", mean wait {wait:,.0f} s" if np.isfinite(wait) else ""
        return [f"{kwh:,.1f} kWh, {grams / 1000.0:,.1f} kg CO2e, {usd:,.2f} USD", f"{waiting:,} wait{waits}"]

    def _cells(self, time: float) -> list[Cells]:
        states = self._states.values("state", time, 0).astype(np.uint8)[self._node]
        used = self._states.values("used_gpus", time, 0.0)[self._node]
        found = []
        for number, pool in enumerate(self._head.pools):
            own = self._pool == number
            label = f"{pool['name']}: {int(own.sum())} nodes of {pool['gpus_per_node']} GPUs"
            found.append(Cells(label, states[own], used[own] / float(pool["gpus_per_node"])))
        return found

    def _load_city(self) -> None:
        roads, sites = self._table("roads"), self._table("sites")
        self._roads = np.column_stack([roads.column(name).to_numpy() for name in ("x1", "y1", "x2", "y2")])
        self._sites = np.column_stack([sites.column(name).to_numpy() for name in ("x", "y")]).astype(np.float64)
        self._capacity = np.column_stack(
            [sites.column(name).to_numpy() for name in ("cpu_cores", "memory_gb", "gpus")]
        ).astype(np.float64)
        self._zone = sites.column("zone").to_numpy()
        self._site_states = Moments(self._table("site_states"), "site", sites.num_rows)
        self._signals = Moments(self._table("signals"), "zone", int(self._zone.max(initial=-1)) + 1)
        self._users = Moments(self._table("users"), "user")
        self._links = Moments(self._table("links"), "user", self._users.count)

    def _city(self, time: float) -> City:
        states = self._site_states
        used = np.column_stack([states.values(name, time, 0.0) for name in ("cpu_cores", "memory_gb", "gpus")])
        counts = [states.values(name, time, 0) for name in ("busy", "warm", "starting", "pulling")]
        grams = self._signals.columns["grams_per_kwh"]
        return City(
            roads=self._roads.astype(np.float64),
            sites=self._sites,
            is_on=states.values("on", time, 0) > 0,
            grams_per_kwh=self._signals.values("grams_per_kwh", time, np.nan)[self._zone],
            most_grams=float(np.nanmax(grams)) if len(grams) else 0.0,
            used=np.where(self._capacity > 0.0, used / np.maximum(self._capacity, 1e-9), np.nan),
            containers=np.column_stack(counts).astype(np.int64),
            users=self._users.between(("x", "y"), time),
            served_by=self._links.values("site", time, -1).astype(np.int64),
            latency_ms=self._links.values("latency_ms", time, np.nan),
        )

    def _draw_power(
        self, draw: ImageDraw.ImageDraw, at: tuple[int, int], time: float, span: tuple[float, float]
    ) -> None:
        times, watts = self._samples["time_seconds"], self._samples["watts"]
        if not len(times):
            return
        (left, top), height = at, CURVE - 18
        grid = np.linspace(*span, self.width)
        rows = np.clip(np.searchsorted(times, grid, side="right") - 1, 0, None)
        most = max(float(np.nanmax(watts)), 1e-9)
        ys = top + height - height * np.nan_to_num(watts[rows]) / most
        points = list(zip(range(left, left + self.width), ys.tolist(), strict=True))
        draw.line(points, LINE)
        passed = int(np.searchsorted(grid, time, side="right"))
        if passed > 1:
            draw.line(points[:passed], ACCENT)
        draw.line((left + passed, top, left + passed, top + height), INK)
        draw.text((left, top + height), f"power, up to {most / 1000.0:,.1f} kW", FAINT, font(11))


def write_film(
    film: Film,
    path: str | Path,
    *,
    frames: int = 120,
    rate: float = 12.0,
    start: float | None = None,
    end: float | None = None,
) -> None:
    """Write a .gif or .mp4 of frames, or a .png of the moment `end`.

    Args:
        film: what is drawn.
        path: the file; its name says which kind.
        frames: how many.
        rate: frames a second.
        start: the first moment, s; None: the start of the recording.
        end: the last moment, s; None: its end.

    Raises:
        RecordingError: the name ends otherwise, or writing .mp4 needs a program that is missing.
        OutputFileError: the file cannot be written.
    """  # fmt: skip
    kind = Path(path).suffix
    if kind not in (".gif", ".mp4", ".png"):
        raise RecordingError(f"{path}: is no .gif, .mp4 or .png; end the name in one of them")
    with atomic_path(path) as temporary:
        if kind == ".png":
            film.frame(film.span[1] if end is None else end).save(temporary, "PNG", optimize=True)
        elif kind == ".gif":
            _write_gif(film.frames(frames, start, end), temporary, rate)
        else:
            _write_mp4(film, film.frames(frames, start, end), temporary, rate)


def _write_gif(frames: Iterator[Image.Image], path: Path, rate: float) -> None:
    first, *rest = (frame.quantize(GIF_COLOURS, dither=Image.Dither.NONE) for frame in frames)
    first.save(
        path, "GIF", save_all=True, append_images=rest, duration=round(1000.0 / rate), loop=0, optimize=True, disposal=1
    )


def _find_ffmpeg() -> str:
    """The program of PATH, else the one of imageio-ffmpeg; that one is under the GPL, so no dependency brings it."""
    program = shutil.which("ffmpeg")
    if program is not None:
        return program
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:  # the package is missing, or has no program for this machine
        raise RecordingError(
            "writing .mp4 needs the program ffmpeg, which is not in PATH; install it, or the package imageio-ffmpeg, "
            "which brings one; or write a .gif"
        ) from error


def _write_mp4(film: Film, frames: Iterator[Image.Image], path: Path, rate: float) -> None:
    program = _find_ffmpeg()
    width, height = (side - side % 2 for side in film.size)  # H.264 takes even sides only
    film_path = path.with_suffix(".mp4")
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{rate:g}", "-i", "-"]
    target = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(film_path)]
    try:
        with subprocess.Popen(
            [program, "-loglevel", "error", "-y", *source, *target], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        ) as encoder:
            assert encoder.stdin is not None
            assert encoder.stderr is not None
            with suppress(BrokenPipeError):
                for frame in frames:
                    encoder.stdin.write(np.ascontiguousarray(np.asarray(frame)[:height, :width]).tobytes())
                encoder.stdin.close()
            problem = encoder.stderr.read().decode(errors="replace").strip()
        if encoder.returncode != 0:
            raise RecordingError(f"{path}: ffmpeg failed: {' '.join(problem.split())[:300]}; or write a .gif")
        film_path.replace(path)
    finally:
        film_path.unlink(missing_ok=True)
