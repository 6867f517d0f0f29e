"""A config that is read again: when, what is checked, and what cannot change."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.live.config import ApiSettings, LeaderElection, LiveConfig, LiveConfigError
from autoscaler.live.guardrails import GuardrailState, PoolBackoff
from autoscaler.live.model import OrderView
from autoscaler.live.reload import ConfigSource, ConfigWatch, check_fixed, state_for
from tests.live.views import config

TEXT = "pools: [{name: gpu, max_nodes: %d}]\n"
PATIENCE_SECONDS = 60.0


class Heard:
    """What a watch told, and a file that it watches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.configs: list[LiveConfig] = []
        self.problems: list[str] = []
        self.news = threading.Event()
        self.refuse = ""
        self.watch = ConfigWatch(ConfigSource(str(path)), self.take, self.refused, poll_seconds=0.01)

    def take(self, config: LiveConfig) -> None:
        if self.refuse:
            raise LiveConfigError(self.refuse)
        self.configs.append(config)
        self.news.set()

    def refused(self, problem: str) -> None:
        self.problems.append(problem)
        self.news.set()

    def wait(self) -> None:
        assert self.news.wait(PATIENCE_SECONDS), "nothing was heard"
        self.news.clear()


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    path = tmp_path / "live.yaml"
    path.write_text(TEXT % 1)
    heard = Heard(path)
    heard.watch.start()
    yield heard
    heard.watch.stop()


def test_a_file_that_changes_is_read_again(heard: Heard) -> None:
    heard.path.write_text(TEXT % 2)
    heard.wait()
    assert [each.pools[0].max_nodes for each in heard.configs] == [2]


def test_a_mounted_config_map_changes_by_a_link(tmp_path: Path) -> None:
    """Kubernetes writes a new folder and turns the link `..data` to it; the file's own name never changes."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "live.yaml").write_text(TEXT % number)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "live.yaml").symlink_to("..data/live.yaml")
    heard = Heard(tmp_path / "live.yaml")
    heard.watch.start()
    try:
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").replace(tmp_path / "..data")
        heard.wait()
    finally:
        heard.watch.stop()
    assert [each.pools[0].max_nodes for each in heard.configs] == [2]


def test_a_file_that_was_only_touched_is_not_read_again_unless_somebody_asks(heard: Heard) -> None:
    heard.path.touch()
    heard.watch.ask()
    heard.wait()
    assert len(heard.configs) == 1


def test_a_bad_file_is_told_once_and_a_good_one_counts_again(heard: Heard) -> None:
    heard.path.write_text("pools: [{name: gpu, max_node: 2}]\n")
    heard.wait()
    assert len(heard.problems) == 1
    assert "did you mean 'max_nodes'" in heard.problems[0]
    heard.path.write_text(TEXT % 3)
    heard.wait()
    assert [each.pools[0].max_nodes for each in heard.configs] == [3]
    assert len(heard.problems) == 1


def test_a_file_that_is_away_for_a_moment_changes_nothing(heard: Heard) -> None:
    heard.path.unlink()
    heard.watch.ask()
    heard.wait()
    assert "no such file" in heard.problems[0], "who asks is told"
    heard.path.write_text(TEXT % 4)
    heard.wait()
    assert [each.pools[0].max_nodes for each in heard.configs] == [4]


def test_what_the_taker_refuses_is_told(heard: Heard) -> None:
    heard.refuse = "cannot change while it runs: http.port"
    heard.path.write_text(TEXT % 2)
    heard.wait()
    assert heard.problems == ["cannot change while it runs: http.port"]


def test_what_a_running_process_keeps_is_refused_by_its_name() -> None:
    before = config()
    after = replace(before, leader_election=LeaderElection(name="other"), dry_run=False)
    with pytest.raises(LiveConfigError, match=r"cannot change while it runs: dry_run, leader_election\.name;"):
        check_fixed(before, after)


def test_all_else_may_change() -> None:
    before = config()
    after = replace(config(a={"max_nodes": 3}), api=ApiSettings(relist_seconds=60.0), audit_path="x", namespaces=("n",))
    check_fixed(before, after)


def test_pools_that_are_gone_are_forgotten() -> None:
    state = GuardrailState(
        orders={"x": OrderView("a", "x", 0.0), "y": OrderView("b", "y", 0.0)},
        awaited={"m": "b"},
        released={"uid": ("b", 0.0)},
        scaled_up={"a": 1.0, "b": 1.0},
        backoffs={"b": PoolBackoff(1.0, 1.0, 0.0)},
        consolidated={"b": 1.0},
        began_seconds=5.0,
    )
    kept = state_for(state, ["a"])
    assert (list(kept.orders), list(kept.scaled_up), kept.began_seconds) == (["x"], ["a"], 5.0)
    assert [kept.awaited, kept.released, kept.backoffs, kept.consolidated] == [{}, {}, {}, {}]
