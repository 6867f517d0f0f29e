"""Registries: entries by name, by `module:NAME`, and those that a program adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.registry import Registry, import_object


def no_text(name: str, entry: Any) -> None:
    """Refuse texts."""
    if isinstance(entry, str):
        raise ConfigError(f"constant {name!r} is a text")


@pytest.fixture
def constants() -> Registry[Any]:
    """Constants of the standard library."""
    listed = {"pi": "math:pi", "e": "math:e", "digits": "string:digits", "gone": "math:tau2"}
    return Registry("constant", listed, ConfigError, check=f"{__name__}:no_text")


def test_an_entry_is_what_its_line_names(constants: Registry[Any]) -> None:
    assert constants["pi"] == pytest.approx(3.14159, abs=1e-5)
    assert list(constants) == ["pi", "e", "digits", "gone"]
    assert len(constants) == 4
    assert constants.get("tau") is None


def test_module_and_name_stand_for_an_entry_that_is_not_listed(constants: Registry[Any]) -> None:
    constants.require("math:tau", "constant")
    assert constants["math:tau"] == pytest.approx(2 * constants["pi"])
    assert constants.listed == ("pi", "e", "digits", "gone")
    constants["mine"] = "math:pi"
    assert constants.names() == ["pi", "e", "digits", "gone", "mine"], "what was only used is not listed"


def test_a_module_of_the_working_directory_is_found(
    constants: Registry[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_constants_here.py").write_text("MINE = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    assert constants["my_constants_here:MINE"] == 7


def test_a_program_adds_entries_and_takes_them_away(constants: Registry[Any]) -> None:
    constants["mine"] = 4
    constants["tau"] = "math:tau"
    assert (constants["mine"], constants["tau"] > 6.0) == (4, True)
    assert list(constants)[-2:] == ["tau", "mine"]
    constants["mine"] = 5
    assert constants["mine"] == 5
    del constants["mine"], constants["tau"]
    assert tuple(constants) == constants.listed
    assert len(constants) == 4


def test_what_the_package_lists_stays_what_it_is(constants: Registry[Any]) -> None:
    with pytest.raises(ConfigError, match="constant 'pi' is one of the package; choose another name"):
        constants["pi"] = 3
    with pytest.raises(ConfigError, match="constant 'pi' was not added at run time"):
        del constants["pi"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pie", "unknown constant 'pie'; did you mean 'pi'?"),
        ("zzzzzz", "unknown constant 'zzzzzz'; valid: digits, e, gone, pi; a custom one is module:NAME"),
        (":tau", "constant is ':tau'; write it as module:NAME"),
        ("math:", "constant is 'math:'; write it as module:NAME"),
        ("no.such.module:X", "constant is 'no.such.module:X': module 'no.such.module' cannot be imported"),
        ("math:sinn", "module 'math' has no 'sinn'; did you mean"),
        ("gone", "constant is 'math:tau2': module 'math' has no 'tau2'"),
        ("digits", "constant 'digits' is a text"),
        ("string:hexdigits", "constant 'string:hexdigits' is a text"),
    ],
)
def test_what_cannot_be_an_entry_is_refused_in_one_line(constants: Registry[Any], name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        constants[name]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_raises_while_it_is_imported_is_an_error_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module_here.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="'broken_module_here' cannot be imported: division by zero"):
        import_object("broken_module_here:X", "key")
