"""Policies that come with the package: `pretrained:NAME` stands for one wherever a run folder is taken.

Each is a folder here: an artifact, see `agents.artifact`, and `card.md`, which says what it was trained on, with which
command, what it gains, where it does not, and what its training cost. `packaging/ship_policy.py` makes one of a run.
"""

from __future__ import annotations

from pathlib import Path

from agents.errors import ArtifactError
from configs.errors import did_you_mean

PREFIX = "pretrained:"
CARD = "card.md"
FOLDER = Path(__file__).parent


def pretrained_names() -> list[str]:
    """All names, without the prefix."""
    return sorted(card.parent.name for card in FOLDER.glob(f"*/{CARD}"))


def is_pretrained(source: str | Path) -> bool:
    """Whether a user means a policy of the package."""
    return str(source).startswith(PREFIX)


def pretrained_folder(source: str | Path) -> Path:
    """The artifact's folder of a policy of the package.

    Args:
        source: `pretrained:NAME`.

    Raises:
        ArtifactError: there is no such policy.
    """
    name, known = str(source).removeprefix(PREFIX), pretrained_names()
    if name not in known:
        raise ArtifactError(f"{source}: no policy of the package has this name{did_you_mean(name, known)}")
    return FOLDER / name


def card_of(name: str) -> str:
    """The model card, Markdown.

    Args:
        name: with or without the prefix.

    Raises:
        ArtifactError: there is no such policy.
    """
    return (pretrained_folder(name) / CARD).read_text(encoding="utf-8")


def summary_of(name: str) -> str:
    """The first paragraph of the model card, in one line."""
    paragraphs = [part for part in card_of(name).split("\n\n") if not part.startswith("#")]
    return " ".join(paragraphs[0].split())
