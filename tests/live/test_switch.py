"""The kill switch: who may turn it, what it says, and what happens to a word that is not understood."""

from typing import Any

import pytest

from autoscaler.live.names import ANNOTATION_PAUSED, CONFIG_MAP, STATUS_CONFIG_MAP
from autoscaler.live.switch import BY_ANNOTATION, BY_KEY, BY_SIGNAL, Pause, Switch, SwitchStore, read_pause
from autoscaler.live.view.pauses import with_pauses
from tests.live.views import gang, view


def status_map(value: str | None) -> dict[str, Any]:
    return {"metadata": {"name": STATUS_CONFIG_MAP, "annotations": {} if value is None else {ANNOTATION_PAUSED: value}}}


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("true", Pause(everything=True)),
        ("On", Pause(everything=True)),
        ("", Pause()),
        ("false", Pause()),
        ("a", Pause(pools=frozenset("a"))),
        (" a , b", Pause(pools=frozenset("ab"))),
    ],
)
def test_a_value_pauses_everything_nothing_or_some_pools(text: str, pause: Pause) -> None:
    assert read_pause(text, ("a", "b")) == pause


def test_a_word_that_is_not_understood_pauses_everything_and_says_so() -> None:
    switch = Switch(("a", "b"))
    switch.read(BY_KEY, "a,prod")
    assert switch.everything == f"paused by {BY_KEY} ('prod' is neither true, false nor a pool)"


def test_each_source_takes_back_only_what_it_said() -> None:
    switch = Switch(("a",))
    switch.read(BY_ANNOTATION, "true")
    switch.say(BY_SIGNAL, Pause(everything=True))
    switch.say(BY_SIGNAL, Pause())
    assert switch.stops("a") == f"paused by {BY_ANNOTATION}"
    switch.read(BY_ANNOTATION, "")
    assert switch.stops("a") == ""


def test_only_changes_are_reported() -> None:
    changes: list[str] = []
    switch = Switch(("a",), lambda: changes.append("changed"))
    for text in ("", "a", "a", "false", "false"):
        switch.read(BY_KEY, text)
    assert len(changes) == 2


def test_both_config_maps_turn_it_and_let_go_when_they_are_deleted() -> None:
    switch = Switch(("a",))
    store = SwitchStore(switch)
    store.replace(STATUS_CONFIG_MAP, [status_map("true")])
    assert switch.everything
    store.apply(STATUS_CONFIG_MAP, "MODIFIED", status_map(None))
    store.apply(CONFIG_MAP, "ADDED", {"metadata": {"name": CONFIG_MAP}, "data": {"paused": "a"}})
    assert (switch.everything, list(switch.pools)) == ("", ["a"])
    store.apply(CONFIG_MAP, "DELETED", {"metadata": {"name": CONFIG_MAP}, "data": {"paused": "a"}})
    assert switch.stops("a") == ""
    store.replace(STATUS_CONFIG_MAP, [])
    assert switch.stops("a") == ""


@pytest.mark.parametrize("odd", [None, [], "x", {"metadata": 3, "data": []}, {"data": {"paused": 3}}])
def test_an_odd_config_map_says_nothing_or_stops_everything_but_never_raises(odd: Any) -> None:
    switch = Switch(("a",))
    SwitchStore(switch).apply(CONFIG_MAP, "MODIFIED", odd)
    assert bool(switch.everything) is (odd == {"data": {"paused": 3}})


def test_jobs_go_to_the_pools_that_are_not_paused() -> None:
    seen = with_pauses(view(queue=[gang("j"), gang("k", pools=("a",))]), "", {"a": "paused by me", "gone": "paused"})
    assert [(each.ref.name, each.allowed_pools) for each in seen.queue] == [("j", ("b",))]
    assert [each.ref.name for each in seen.unplaceable] == ["k"]
    assert seen.paused_pools == {"a": "paused by me"}


def test_a_view_without_a_pause_stays_as_it_is() -> None:
    seen = view(queue=[gang("j")])
    assert with_pauses(seen, "", {}) is seen
