"""Policy artifacts: what was saved loads, what is damaged is refused in one line, and a failed write leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import agents.sb3.files as files_module
from agents.artifact import CONFIG, MANIFEST, ONNX, WEIGHTS, find_artifact, read_manifest, save_artifact
from agents.errors import ArtifactError
from agents.loading import load_policy
from tests.agents.builders import LAYOUTS, manifest_of, observations_and_masks, write_artifact

AGENT = "maskable-ppo"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound artifact, not to be changed."""
    folder = tmp_path_factory.mktemp("artifact") / "policy"
    write_artifact(folder, AGENT)
    return folder


@pytest.fixture
def artifact(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    folder = tmp_path / "policy"
    folder.mkdir()
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def change_manifest(folder: Path, **values: Any) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    for name, value in values.items():
        if value is None:
            del document[name]
        else:
            document[name] = value
    (folder / MANIFEST).write_text(json.dumps(document))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Change a file and its hash, as one who means it."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    change_manifest(folder, files={**files, name: hashlib.sha256(content).hexdigest()})


def refused(folder: Path) -> str:
    """The message of the refusal: one line that names the folder."""
    with pytest.raises(ArtifactError) as caught:
        load_policy(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


@pytest.mark.parametrize("agent", sorted(LAYOUTS))
def test_a_saved_policy_acts_like_the_model_that_it_came_from(agent: str, tmp_path: Path) -> None:
    model = write_artifact(tmp_path / "policy", agent, seed=6)
    policy = load_policy(tmp_path)
    policy.reset(50)
    observations, masks = observations_and_masks(LAYOUTS[agent], 50)
    masked = {"action_masks": masks} if policy.masked else {}
    expected, _ = model.predict(observations, deterministic=True, **masked)
    actions = policy.act(observations, masks)
    assert actions.dtype == np.int64
    np.testing.assert_array_equal(actions, expected.reshape(actions.shape))
    assert len(np.unique(actions, axis=0)) > 3
    assert (policy.name, policy.packer) == (agent, "first-fit")
    assert policy.codec_fingerprint == manifest_of(agent).codec_fingerprint


def test_an_artifact_holds_what_it_should(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {MANIFEST, WEIGHTS, ONNX, CONFIG}
    document = json.loads((saved / MANIFEST).read_text())
    assert document["schema"] == 3
    assert set(document["files"]) == {WEIGHTS, ONNX, CONFIG}
    assert read_manifest(saved) == manifest_of(AGENT)
    assert read_manifest(saved).cluster_layout(saved) == LAYOUTS[AGENT]
    assert (saved / CONFIG).read_text() == "agent: test\n"
    assert saved.stat().st_mode & 0o777 == 0o755


def test_the_folder_or_the_run_that_holds_it_can_be_named(saved: Path, tmp_path: Path) -> None:
    assert find_artifact(saved) == find_artifact(saved.parent) == saved
    with pytest.raises(ArtifactError, match="there is no policy artifact"):
        load_policy(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [WEIGHTS, ONNX, CONFIG])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_one_changed_byte_anywhere_is_noticed(artifact: Path, name: str, where: str) -> None:
    content = bytearray((artifact / name).read_bytes())
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[where]] ^= 1
    (artifact / name).write_bytes(bytes(content))
    assert f"{name}: the content has changed" in refused(artifact)


@pytest.mark.parametrize("name", [WEIGHTS, ONNX, CONFIG])
def test_a_missing_and_a_shortened_file_are_noticed(artifact: Path, name: str) -> None:
    content = (artifact / name).read_bytes()
    (artifact / name).write_bytes(content[: len(content) // 2])
    assert f"{name}: the content has changed" in refused(artifact)
    (artifact / name).unlink()
    assert f"{name}: the file is missing" in refused(artifact)


def test_a_manifest_that_is_cut_short_is_refused_wherever_it_is_cut(artifact: Path) -> None:
    text = (artifact / MANIFEST).read_text()
    for length in (0, 1, 10, len(text) // 2, len(text) - 2):
        (artifact / MANIFEST).write_text(text[:length])
        assert MANIFEST in refused(artifact)


@pytest.mark.parametrize("text", ["null", "[]", "3", '"x"', "{}", '{"files": []}', "\x00"])
def test_a_manifest_that_is_something_else_is_refused(artifact: Path, text: str) -> None:
    (artifact / MANIFEST).write_text(text)
    assert MANIFEST in refused(artifact)


def test_a_manifest_that_is_no_text_is_refused(artifact: Path) -> None:
    (artifact / MANIFEST).write_bytes(b"\xff\xfe\x00{}")
    assert MANIFEST in refused(artifact)


@pytest.mark.parametrize("schema", [0, 2, "3", None])
def test_another_schema_is_refused(artifact: Path, schema: Any) -> None:
    change_manifest(artifact, schema=schema)
    assert "schema" in refused(artifact)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": None},
        {"agent": "alpha-zero"},
        {"settings": None},
        {"settings": 3},
        {"settings": {"hidden_units": "8"}},
        {"settings": {"hidden_units": -8}},
        {"settings": {"hidden_units": 0}},
        {"settings": {"hidden_units": 2.5}},
        {"settings": {"hidden_units": 10**9}},
        {"settings": {"hidden_unit": 8}},
        {"settings": {"policy": "subprocess:Popen"}},
        {"codec": {"max_pools": 2}},
        {"codec": {"max_pool": 2}},
        {"codec": {"max_pools": 0}},
        {"codec": {"max_pools": "2"}},
        {"codec": 3},
        {"codec_fingerprint": None},
        {"codec_fingerprint": "0" * 16},
    ],
)
def test_a_manifest_with_a_strange_value_is_refused(artifact: Path, change: dict[str, Any]) -> None:
    change_manifest(artifact, **change)
    refused(artifact)


def test_another_fingerprint_says_both_and_the_mend(artifact: Path) -> None:
    change_manifest(artifact, codec_fingerprint="0123456789abcdef")
    message = refused(artifact)
    assert "codec 0123456789abcdef" in message
    assert manifest_of(AGENT).codec_fingerprint in message
    assert "train it again" in message


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/file", ".."])
def test_a_file_outside_the_folder_is_never_read(artifact: Path, name: str) -> None:
    (artifact.parent / "outside").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    change_manifest(artifact, files={name: digest})
    with pytest.raises(ArtifactError, match="missing"):
        load_policy(artifact)


def test_weights_that_the_manifest_does_not_vouch_for_are_refused(artifact: Path) -> None:
    change_manifest(artifact, files={})
    assert WEIGHTS in refused(artifact)


@pytest.mark.parametrize("hidden_units", [4, 16])
def test_weights_of_another_shape_are_refused(artifact: Path, hidden_units: int) -> None:
    change_manifest(artifact, settings={"hidden_units": hidden_units})
    assert "the weights do not fit" in refused(artifact)


def test_weights_of_another_agent_are_refused(artifact: Path) -> None:
    change_manifest(artifact, agent="ppo", settings={})
    assert "the weights do not fit" in refused(artifact)


@pytest.mark.parametrize("change", ["rename", "drop", "add", "nan"])
def test_weights_under_other_names_or_without_value_are_refused(artifact: Path, change: str) -> None:
    tensors = safetensors.torch.load_file(artifact / WEIGHTS)
    first = sorted(tensors)[0]
    if change == "rename":
        tensors["other"] = tensors.pop(first)
    elif change == "drop":
        del tensors[first]
    elif change == "add":
        tensors["other"] = torch.zeros(1)
    else:
        tensors[first] = torch.full_like(tensors[first], float("nan"))
    replace_file(artifact, WEIGHTS, safetensors.torch.save(tensors))
    assert "the weights do not fit" in refused(artifact)


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, ("raise SystemExit('code of the file ran')",)


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_a_pickle_is_never_loaded(artifact: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, function in (("pickle", "loads"), ("pickle", "load"), ("torch", "load")):
        monkeypatch.setattr(f"{module}.{function}", lambda *_args, **_kwargs: pytest.fail("something was unpickled"))
    load_policy(artifact)
    if name == MANIFEST:
        (artifact / name).write_bytes(pickle.dumps(Bomb()))
    else:
        replace_file(artifact, name, pickle.dumps(Bomb()))
    refused(artifact)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files_module, "export_onnx", full)
    with pytest.raises(OSError, match="No space left"):
        write_artifact(tmp_path / "policy", AGENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["export_onnx", "fsync", "rename"])
def test_a_failed_write_keeps_the_artifact_that_is_there(
    artifact: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in artifact.iterdir()}
    real_rename = Path.rename

    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def rename(path: Path, target: Path) -> Path:
        """The new folder cannot take its place."""
        if Path(target) == artifact and not path.name.endswith("-old"):
            full()
        return real_rename(path, target)

    if step == "rename":
        monkeypatch.setattr(Path, "rename", rename)
    else:
        monkeypatch.setattr(*((files_module, step) if step == "export_onnx" else ("os.fsync",)), full)
    with pytest.raises(OSError, match="No space left"):
        write_artifact(artifact, AGENT, seed=1)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in artifact.iterdir()} == before
    assert [path.name for path in artifact.parent.iterdir()] == ["policy"]


def test_a_new_artifact_replaces_the_old_one_whole(artifact: Path) -> None:
    (artifact / "stale.txt").write_text("old")
    before = (artifact / WEIGHTS).read_bytes()
    write_artifact(artifact, AGENT, seed=1)
    assert (artifact / WEIGHTS).read_bytes() != before
    assert {path.name for path in artifact.iterdir()} == {MANIFEST, WEIGHTS, ONNX, CONFIG}
    assert [path.name for path in artifact.parent.iterdir()] == ["policy"]


def test_saving_makes_the_folders_above(tmp_path: Path) -> None:
    save_artifact(tmp_path / "a" / "b", manifest_of(AGENT), lambda folder: None)
    assert (tmp_path / "a" / "b" / MANIFEST).is_file()
