"""The kill switch: who says that nothing may be changed, in all of the cluster or in some pools.

What says so: an annotation of the status ConfigMap, a key of the config ConfigMap, a signal, or the config. The first
two stay when the process restarts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.live.names import ANNOTATION_PAUSED, CONFIG_MAP, KEY_PAUSED, STATUS_CONFIG_MAP

_LOG = logging.getLogger(__name__)

BY_ANNOTATION = f"annotation {ANNOTATION_PAUSED} of ConfigMap {STATUS_CONFIG_MAP}"
BY_KEY = f"key {KEY_PAUSED} of ConfigMap {CONFIG_MAP}"
BY_SIGNAL = "SIGUSR1; SIGUSR2 resumes"
BY_CONFIG = "pools[].paused in the config"

YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"", "false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Pause:
    """What one source says.

    Attributes:
        everything: nothing may be changed.
        pools: nothing of these pools may be changed.
        problem: what of it is not understood, so that everything is paused; empty: nothing.
    """

    everything: bool = False
    pools: frozenset[str] = field(default_factory=frozenset)
    problem: str = ""


def read_pause(text: str, pools: Collection[str]) -> Pause:
    """What a value says: `true`, `false`, or names of pools with commas between them.

    Whoever reaches for the switch wants a stop: a word that is not understood pauses everything.
    """
    if text.strip().lower() in YES:
        return Pause(everything=True)
    words = [] if text.strip().lower() in NO else [word.strip() for word in text.split(",") if word.strip()]
    unknown = sorted(set(words) - set(pools))
    if unknown:
        return Pause(everything=True, problem=f"{unknown[0]!r} is neither true, false nor a pool")
    return Pause(pools=frozenset(words))


class Switch:
    """Keeps what each source says; thread-safe, also in a signal handler.

    Args:
        pools: names of the pools.
        on_change: called when something else is paused than before.
    """

    def __init__(self, pools: Iterable[str] = (), on_change: Callable[[], None] = lambda: None) -> None:
        self._names = tuple(pools)
        self._on_change = on_change
        self._lock = threading.RLock()
        self._said: Mapping[str, Pause] = {}

    def know(self, pools: Iterable[str]) -> None:
        """Take in the names of the pools that there are now."""
        self._names = tuple(pools)

    def say(self, source: str, pause: Pause) -> None:
        """Take in what a source says now."""
        with self._lock:
            before = self._said.get(source, Pause())
            if pause == before:
                return
            self._said = {**self._said, source: pause}
        _LOG.warning(
            "paused" if pause != Pause() else "no longer paused",
            extra={"by": source, "pools": sorted(pause.pools) if pause.pools else "all", "problem": pause.problem},
        )
        self._on_change()

    def pause_pools(self, pools: Iterable[str]) -> None:
        """Take in the pools that the config pauses."""
        self.say(BY_CONFIG, Pause(pools=frozenset(pools)))

    def read(self, source: str, text: str) -> None:
        """Take in the value of an annotation or a key; empty: there is none."""
        self.say(source, read_pause(text, self._names))

    @property
    def everything(self) -> str:
        """Who says that nothing may be changed; empty: nobody."""
        said = [(source, pause) for source, pause in self._said.items() if pause.everything]
        if not said:
            return ""
        words = [f"{source} ({pause.problem})" if pause.problem else source for source, pause in said]
        return f"paused by {' and '.join(words)}"

    @property
    def pools(self) -> dict[str, str]:
        """Who says that nothing of a pool may be changed, by its name."""
        found: dict[str, list[str]] = {}
        for source, pause in self._said.items():
            for pool in pause.pools:
                found.setdefault(pool, []).append(source)
        return {pool: f"paused by {' and '.join(sources)}" for pool, sources in sorted(found.items())}

    def stops(self, pool: str = "") -> str:
        """Why nothing of a pool may be changed, or nothing at all; empty: it may."""
        return self.everything or self.pools.get(pool, "")


class SwitchStore:
    """Takes the two ConfigMaps in as `view.store.Store` takes objects, and turns the switch.

    Args:
        switch: the switch.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def replace(self, resource: str, items: Iterable[Any]) -> None:
        """Take in a full list of one ConfigMap; an empty one says nothing."""
        self._take(resource, next(iter(items), {}))

    def apply(self, resource: str, event_type: str, item: Any) -> None:
        """Take in one event of a watch."""
        self._take(resource, {} if event_type == "DELETED" else item)

    def _take(self, resource: str, item: Any) -> None:
        metadata, data = _part(item, "metadata"), _part(item, "data")
        if resource == STATUS_CONFIG_MAP:
            self._switch.read(BY_ANNOTATION, str(_part(metadata, "annotations").get(ANNOTATION_PAUSED) or ""))
        else:
            self._switch.read(BY_KEY, str(data.get(KEY_PAUSED) or ""))


def _part(item: Any, name: str) -> dict[str, Any]:
    part = item.get(name) if isinstance(item, dict) else None
    return part if isinstance(part, dict) else {}
