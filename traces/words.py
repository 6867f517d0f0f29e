"""Counts in words."""


def counted(count: int, noun: str, after: str = "") -> str:
    """A count with its noun, such as `1 row` and `2,000 rows left out`.

    Args:
        count: how many.
        noun: in the singular; the plural ends in s.
        after: what follows the noun.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}{after}"
