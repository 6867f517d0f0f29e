"""`autoscaler render` draws recordings: one picture, an animation, a film."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from autoscaler.cli import main
from autoscaler.recordings.film import Film
from envs.recording.pictures import STATES


def pixels(image: Image.Image, colour: str) -> int:
    return int((np.asarray(image.convert("RGB")) == ImageColor.getrgb(colour)).all(axis=2).sum())


def test_a_picture_shows_the_nodes_of_its_moment(cluster_recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "at.png"
    assert main(["render", str(cluster_recording), "-o", str(path), "--until", "1300", "--quiet"]) == 0
    film = Film(cluster_recording)
    with Image.open(path) as image:
        assert image.size == film.size
        assert np.array_equal(np.asarray(image), np.asarray(film.frame(1300.0)))
        booting, draining = (pixels(image, STATES[state]) for state in (1, 4))
    assert booting > 100
    assert draining > 100
    assert pixels(film.frame(100.0), STATES[4]) == 0


def test_a_city_is_drawn_and_its_users_move(city_recording: Path) -> None:
    film = Film(city_recording, ["nearest"], width=500)
    early, late = (np.asarray(film.frame(time)) for time in (10.0, 290.0))
    assert (early != late).any()
    assert pixels(film.frame(10.0), "#8c510a") == 0  # the site in the dirty zone is off
    assert pixels(film.frame(10.0), STATES[3]) > 20


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_a_film_has_its_frames(cluster_recording: Path, tmp_path: Path, kind: str) -> None:
    if kind == "mp4" and shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg in PATH")
    path = tmp_path / f"film.{kind}"
    words = ["render", str(cluster_recording), "-o", str(path), "--frames", "6", "--width", "400"]
    assert main(words) == 0
    if kind == "gif":
        with Image.open(path) as image:
            assert 2 <= getattr(image, "n_frames", 1) <= 6  # frames that are alike are joined
    else:
        assert path.read_bytes()[4:8] == b"ftyp"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cluster", path.name]


def test_without_ffmpeg_it_is_one_line(
    cluster_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["render", str(cluster_recording), "-o", str(tmp_path / "film.mp4"), "--frames", "2"]) == 2
    assert "needs the program ffmpeg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "has no recording"),
        (["RECORDING", "--policy", "learnd"], "no policy 'learnd'; did you mean 'learned'?"),
        (["RECORDING", "-o", "x.txt"], "end the name in one of them"),
        (["RECORDING", "-o", "no/such/x.gif"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, cluster_recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", *(str(cluster_recording) if word == "RECORDING" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
