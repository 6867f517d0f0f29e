"""Presets are found by path, by name and from any folder."""

from __future__ import annotations

import pytest

from configs import presets
from configs.errors import ConfigError


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A small set of presets in the place of the shipped ones."""
    folder = tmp_path / "package"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "quickstart.yaml").write_text("name: shipped\n")
    (folder / "loader.py").write_text("")
    monkeypatch.setattr(presets.importlib.resources, "files", lambda _: folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return elsewhere


def test_only_yaml_files_are_presets(shipped):
    assert presets.list_presets() == ["experiment/quickstart"]


@pytest.mark.parametrize(
    "name",
    [
        "experiment/quickstart",
        "experiment/quickstart.yaml",
        "configs/experiment/quickstart.yaml",
        "configs/experiment/quickstart",
    ],
)
def test_a_preset_is_found_from_any_folder(shipped, name):
    assert presets.find_config(name).read_text() == "name: shipped\n"


def test_a_file_of_the_user_wins_over_a_preset(shipped):
    own = shipped / "configs" / "experiment" / "quickstart.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: own\n")
    assert presets.find_config("configs/experiment/quickstart.yaml").read_text() == "name: own\n"


def test_a_missing_file_names_the_nearest_preset(shipped):
    with pytest.raises(ConfigError) as caught:
        presets.find_config("configs/experiment/quickstrat.yaml")
    assert str(caught.value) == (
        "configs/experiment/quickstrat.yaml: no such file, and no preset has this name; "
        "did you mean 'experiment/quickstart'?"
    )


def test_a_folder_is_no_config(shipped):
    with pytest.raises(ConfigError, match="is a folder"):
        presets.find_config(shipped)


def test_every_shipped_preset_is_yaml_with_a_mapping():
    from configs.yaml_reader import parse_mapping

    for name in presets.list_presets():
        assert parse_mapping(presets.find_config(f"{name}").read_text(encoding="utf-8"), name).data
