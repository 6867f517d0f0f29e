"""Registers our environments in Gymnasium the moment a program imports it.

Gymnasium 1.0 dropped the plugin system that read the entry point group `gymnasium.envs`, and nothing took its place. So
the `.pth` file beside this module makes Python import it at start, and it waits for Gymnasium. It imports none of our
packages before that: a project with a folder `envs` of its own must keep its own.
"""

from __future__ import annotations

import sys

# Every Python of this environment runs this module when it starts; these imports would cost it 2 ms.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class RegisterAfterImport:
    """A finder of `sys.meta_path` that registers our environments after the first import of `gymnasium`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find `gymnasium`, and run `register` once it is loaded."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            register()

        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Register our environments, unless another `envs` stands before ours; `autoscaler doctor` then says so."""
    try:
        from envs.registry import register_envs
    except ImportError:
        return
    register_envs()


sys.meta_path.insert(0, RegisterAfterImport())
