"""A config that is read again while the loop runs: when its file changes, or when somebody says so.

A new config is checked as a whole before anything of it counts. What cannot change while the process runs is refused
by its name, and a config that is refused leaves the old one in force.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoscaler.live.config import LiveConfig, LiveConfigError, with_flags
from autoscaler.live.guardrails import GuardrailState
from configs.errors import UserError
from configs.loader import load_config, to_dict
from configs.presets import find_config

POLL_SECONDS = 1.0
"""How often the file is looked at, in wall seconds."""

FIXED = ("dry_run", "codec", "clock", "leader_election", "http")
"""Parts of the config that a running process keeps: what it leads by, listens on, counts time by and decides with."""

Stat = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the config of a process comes from.

    Attributes:
        source: a file or a preset.
        overrides: as `--set` gave them.
        dry_run: as the command line said; None: it said nothing.
        audit_path: likewise.
    """

    source: str
    overrides: tuple[str, ...] = ()
    dry_run: bool | None = None
    audit_path: str | None = None

    def load(self) -> LiveConfig:
        """The config as it is now.

        Raises:
            ConfigError: it cannot be read, or is refused.
        """
        return with_flags(load_config(self.source, LiveConfig, self.overrides), self.dry_run, self.audit_path)

    @property
    def _path(self) -> Path:
        return Path(str(find_config(self.source)))

    def stat(self) -> Stat:
        """What changes when the file is written or replaced, also behind links as those of a mounted ConfigMap.

        Raises:
            OSError: it is not there.
            ConfigError: likewise.
        """
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def digest(self) -> str:
        """SHA-256 of the file; raises as `stat` does."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest()


def fixed_changes(before: LiveConfig, after: LiveConfig) -> list[str]:
    """Dotted names of the settings that differ and cannot change while the process runs."""
    old, new = to_dict(before), to_dict(after)
    return sorted(key for part in FIXED for key in _differences(old[part], new[part], part))


def _differences(before: object, after: object, name: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [key for each in keys for key in _differences(before.get(each), after.get(each), f"{name}.{each}")]
    return [] if before == after else [name]


def check_fixed(before: LiveConfig, after: LiveConfig) -> None:
    """Refuse a config that changes what a running process keeps.

    Raises:
        LiveConfigError: it does; names the settings.
    """
    changed = fixed_changes(before, after)
    if changed:
        raise LiveConfigError(f"cannot change while it runs: {', '.join(changed)}; restart to change it")


def state_for(state: GuardrailState, pools: Sequence[str]) -> GuardrailState:
    """The memory of the guardrails without pools that the config no longer has."""
    return replace(
        state,
        orders={name: order for name, order in state.orders.items() if order.pool in pools},
        awaited={name: pool for name, pool in state.awaited.items() if pool in pools},
        released={uid: each for uid, each in state.released.items() if each[0] in pools},
        scaled_up={pool: at for pool, at in state.scaled_up.items() if pool in pools},
        backoffs={pool: each for pool, each in state.backoffs.items() if pool in pools},
        consolidated={pool: at for pool, at in state.consolidated.items() if pool in pools},
    )


class ConfigWatch:
    """Reads the config again when its file changes, in a thread of its own.

    Args:
        source: where it is.
        on_config: called with each new config that can be read; what it raises as a `UserError` refuses the config.
        on_refused: called with why a config was refused.
        poll_seconds: how often the file is looked at, in wall seconds.
    """

    def __init__(
        self,
        source: ConfigSource,
        on_config: Callable[[LiveConfig], None],
        on_refused: Callable[[str], None],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._source, self._on_config, self._on_refused = source, on_config, on_refused
        self._poll_seconds = poll_seconds
        self._stop, self._asked = threading.Event(), threading.Event()
        self._stat: Stat | None = None
        self._digest = ""
        self._problem = ""
        self._look()
        self._thread = threading.Thread(target=self._run, name="config", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def ask(self) -> None:
        """Read it again now, whether or not it changed; may be called in a signal handler."""
        self._asked.set()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            asked = self._asked.wait(self._poll_seconds)
            self._asked.clear()
            if not self._stop.is_set() and (self._look() or asked):
                self._read(asked)

    def _look(self) -> bool:
        """Whether the file says something else than before."""
        try:
            stat = self._source.stat()
            if stat == self._stat:
                return False
            digest = self._source.digest()
        except (OSError, UserError):
            # While it is replaced it may be away for a moment; who asks is told.
            return False
        self._stat = stat
        changed, self._digest = digest != self._digest, digest
        return changed

    def _read(self, asked: bool) -> None:
        try:
            self._on_config(self._source.load())
            self._problem = ""
        except (UserError, OSError) as error:
            problem = f"{self._digest} {error}"
            if asked or problem != self._problem:
                self._on_refused(str(error))
            self._problem = problem
