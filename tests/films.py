"""Reads the films that tests have written."""

from __future__ import annotations

import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@dataclass(frozen=True, eq=False)
class Film:
    about: str
    frames: np.ndarray  # [frames, height, width, 3] uint8


def needs_moviepy() -> None:
    """Skip the test without MoviePy: the ffmpeg that it brings is under the GPL, so nothing here installs it."""
    with warnings.catch_warnings():  # MoviePy's sources warn when Python compiles them
        warnings.simplefilter("ignore")
        pytest.importorskip("moviepy.video.io.ImageSequenceClip", reason="to try real films: pip install moviepy")


def read_film(path: Path) -> Film:
    from imageio_ffmpeg import get_ffmpeg_exe

    folder = path.with_suffix(".frames")
    folder.mkdir()
    words = [get_ffmpeg_exe(), "-nostdin", "-i", str(path), "-fps_mode", "passthrough", str(folder / "%04d.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    frames = []
    for each in sorted(folder.iterdir()):
        with Image.open(each) as image:
            frames.append(np.asarray(image.convert("RGB")))
    (about,) = (line for line in done.stderr.splitlines() if "Video: h264" in line)
    return Film(about, np.array(frames))
