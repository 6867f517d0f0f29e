"""What a user means by the name of a policy; nothing heavy is imported, so that a wrong name is refused at once."""

from __future__ import annotations

from pathlib import Path

from agents.artifact import find_artifact
from agents.errors import UnknownPolicyError
from agents.pretrained import is_pretrained
from agents.registry import BASELINES
from configs.errors import did_you_mean


def is_rule(name: str) -> bool:
    """Whether a user means a fixed rule by a name."""
    return name in BASELINES or (":" in name and not is_run(name))


def is_run(name: str) -> bool:
    """Whether a user means a trained policy by a name: a folder, or `pretrained:NAME`."""
    return is_pretrained(name) or "/" in name or Path(name).exists()


def check_policy(name: str) -> None:
    """Refuse a name that no policy has.

    Raises:
        UnknownPolicyError: there is neither such a rule nor such a folder.
        ArtifactError: the folder has no policy, or the package has none of this name.
    """
    if is_rule(name):
        return
    if not is_run(name):
        known = did_you_mean(name, BASELINES)
        raise UnknownPolicyError(f"unknown policy {name!r}{known}; or give the folder of a trained run")
    find_artifact(name)
