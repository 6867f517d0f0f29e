"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.files import OutputFileError, atomic_path, check_output_file, check_output_folder, write_text


def test_the_file_appears_with_its_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "grün")
    write_text(path, "grün again")
    assert path.read_text(encoding="utf-8") == "grün again"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("failure", [RuntimeError("bug"), KeyboardInterrupt()])
def test_an_exception_passes_through_and_keeps_the_old_file(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        write_half()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_names_the_file_and_the_mend(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "a.txt"
    with pytest.raises(OutputFileError) as caught:
        write_text(path, "x")
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); free space or choose another folder"
    )
    assert isinstance(caught.value, UserError)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputFileError, match=r"missing/a.txt: cannot be written \(No such file or directory\)"):
        write_text(tmp_path / "missing" / "a.txt", "x")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/x.json", "missing/x.json: cannot be written (there is no folder missing)"),
        ("file.txt/x.json", "file.txt/x.json: cannot be written (file.txt is no folder)"),
        ("folder", "folder: cannot be written (it is a folder)"),
        ("/proc/x.json", "/proc/x.json: cannot be written (/proc: "),
    ],
)
def test_a_file_that_could_not_be_written_is_refused(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("")
    Path("folder").mkdir()
    with pytest.raises(OutputFileError, match=re.escape(message)):
        check_output_file(path)


def test_a_file_that_can_be_written_passes_and_nothing_is_left_behind(tmp_path):
    check_output_file(tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file.txt", "file.txt: cannot be made (file.txt is a file)"),
        ("file.txt/a/b", "file.txt/a/b: cannot be made"),
        ("/proc/a/b", "/proc/a/b: cannot be written (/proc: "),
    ],
)
def test_a_folder_that_could_not_be_made_is_refused(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("")
    with pytest.raises(OutputFileError, match=re.escape(message)):
        check_output_folder(path)


def test_a_folder_that_can_be_made_passes_and_is_not_made(tmp_path):
    check_output_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
