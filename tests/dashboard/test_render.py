"""`autoscaler render` draws recordings: one picture, an animation, a film."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from autoscaler.cli import main
from autoscaler.recordings.film import Film
from envs.recording.pictures import PAPER, STATES, City, draw_city
from tests.films import needs_moviepy, read_film


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


def test_a_map_stays_in_its_place() -> None:
    ends = np.array([[0.0, 0.0], [1000.0, 500.0]])
    city = City(
        roads=ends.reshape(1, 4), sites=ends, is_on=np.ones(2, bool), grams_per_kwh=np.full(2, 100.0), most_grams=200.0,
        used=np.ones((2, 3)), containers=np.full((2, 4), 5), users=ends, served_by=np.array([1, 0]),
        latency_ms=np.full(2, 10.0),
    )  # fmt: skip
    image = Image.new("RGB", (400, 300), PAPER)
    draw_city(image, city, (100, 50, 200, 200))
    drawn = (np.asarray(image) != 255).any(axis=2)
    assert drawn[50:250, 100:300].sum() > 500
    drawn[50:250, 100:300] = False
    assert not drawn.any()


def render_film(recording: Path, path: Path) -> None:
    assert main(["render", str(recording), "-o", str(path), "--frames", "6", "--width", "401"]) == 0
    assert sorted(each.name for each in path.parent.iterdir()) == ["cluster", path.name]


def test_an_animation_has_its_frames(cluster_recording: Path, tmp_path: Path) -> None:
    render_film(cluster_recording, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert 2 <= getattr(image, "n_frames", 1) <= 6  # frames that are alike are joined


def test_a_film_has_its_frames(cluster_recording: Path, tmp_path: Path) -> None:
    needs_moviepy()
    render_film(cluster_recording, tmp_path / "film.mp4")
    film = read_film(tmp_path / "film.mp4")
    assert "yuv420p" in film.about
    assert "12 fps" in film.about
    height = Film(cluster_recording, width=401).size[1]
    assert film.frames.shape == (6, height // 2 * 2, 400, 3)  # even sides
    draining = np.abs(film.frames[-1].astype(int) - ImageColor.getrgb(STATES[4])).sum(axis=2) < 60
    assert draining.sum() > 100  # colours are coded with a loss


def test_a_film_takes_the_program_of_the_path_first(
    cluster_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat >/dev/null\necho no such codec >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert main(["render", str(cluster_recording), "-o", str(tmp_path / "film.mp4"), "--frames", "2"]) == 2
    assert "ffmpeg failed: no such codec; or write a .gif" in capsys.readouterr().err
    assert not (tmp_path / "film.mp4").exists()


def test_without_ffmpeg_it_is_one_line(
    cluster_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert main(["render", str(cluster_recording), "-o", str(tmp_path / "film.mp4"), "--frames", "2"]) == 2
    error = capsys.readouterr().err
    assert "needs the program ffmpeg" in error
    assert "imageio-ffmpeg" in error
    assert error.count("\n") == 1


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
