"""docs/live-reference.md, docs/live.md and docs/operate.md say what the code does."""

import re
from pathlib import Path

from autoscaler.live.providers import kind_of
from autoscaler.live.registry import PROVIDERS, SOURCES, load_source
from autoscaler.live.signal_config import PowerMeter, SignalSource
from tests.live.live_docs import ALL_NAMES, HEADINGS, MARK, PAGES, keys, updated

CODE = Path(__file__).resolve().parents[2] / "autoscaler"


def test_every_table_is_as_the_code_has_it() -> None:
    for path in PAGES:
        page = path.read_text()
        assert updated(page) == page, f"{path.name}: write it anew: python -m tests.live.live_docs"


def test_every_kind_of_name_has_a_table() -> None:
    found = {match.group(2) for path in PAGES for match in MARK.finditer(path.read_text())}
    settings = {"config", "provider settings", "signal source", "source settings", "power meter"}
    assert found == {*HEADINGS, "metric", *settings, "rule", "group", "deploy", "explain", "replay"}
    assert {name.kind for name in ALL_NAMES} == {*HEADINGS, "metric"}


def test_every_config_key_says_what_it_means() -> None:
    from autoscaler.live.config import LiveConfig

    sources = [load_source(name).settings for name in SOURCES]
    schemas = (LiveConfig, SignalSource, PowerMeter, *sources, *(kind_of(name).settings for name in PROVIDERS))
    missing = [key for schema in schemas for key, _, meaning in keys(schema) if not meaning]
    assert not missing


def test_no_name_is_written_out_anywhere_else() -> None:
    """Names of our domain come from names.py only, so that the documentation is whole."""
    texts = {path: path.read_text() for path in CODE.rglob("*.py") if path.name != "names.py"}
    found = {
        str(path): match.group(0)
        for path, text in texts.items()
        for match in re.finditer(r'"[^"\n]*autoscaler\.green/[^"\n]*"', text)
        if not text[: match.start()].rstrip().endswith('"""')
    }
    assert not found


def test_every_name_is_used() -> None:
    code = "\n".join(path.read_text() for path in CODE.rglob("*.py") if path.name != "names.py")
    tables = "\n".join(path.read_text() for path in CODE.rglob("names.py"))
    constants = re.findall(r"^([A-Z_]+): Final = _(?:name|metric)\(", tables, re.M)
    assert len(constants) == len(ALL_NAMES)
    assert [name for name in constants if not re.search(rf"\b{name}\b", code)] == []
