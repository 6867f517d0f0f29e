"""The files of a policy: those of a searched one."""

from __future__ import annotations

from agents.es.files import load_trained

__all__ = ["load_trained"]
