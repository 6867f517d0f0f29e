"""Histograms of the gaps between requests: what keep-alive rules and policies know of a function. Compiled.

A gap at demand d is the time since the demand of a key (requests that run or wait) was last d or more, counted when it
comes to d again. At demand 1 it is the time that a function was idle; the others say for how long a second, third and
further container was not needed. Gaps do not depend on what was kept, so any rule can learn from them.
"""

from __future__ import annotations

from envs.compiled.compiler import helper

SHORT_MS, MIDDLE_MS, LONG_MS = 10_000, 60_000, 300_000
SHORT_END, MIDDLE_END, LONG_END = 120_000, 3_600_000, 14_400_000
SHORT_BINS = SHORT_END // SHORT_MS
MIDDLE_BINS = (MIDDLE_END - SHORT_END) // MIDDLE_MS
LONG_BINS = (LONG_END - MIDDLE_END) // LONG_MS
BINS = SHORT_BINS + MIDDLE_BINS + LONG_BINS + 1
"""Bins of 10 s up to 2 min, of 1 min up to 1 h, of 5 min up to 4 h, and one for longer gaps.

Source of the 4 hours: Shahrad et al., "Serverless in the Wild", ATC 2020, whose bins are all of a minute.
"""
LEVELS = 6
"""Histograms of a key: of demand 1, 2, 3 to 4, 5 to 8, 9 to 16, and more."""
DEMANDS = 32
"""Demands up to which it is kept when each was last there."""


@helper
def bin_of(gap_ms: int) -> int:
    """The bin that a gap is counted in."""
    if gap_ms < SHORT_END:
        return gap_ms // SHORT_MS
    if gap_ms < MIDDLE_END:
        return SHORT_BINS + (gap_ms - SHORT_END) // MIDDLE_MS
    if gap_ms < LONG_END:
        return SHORT_BINS + MIDDLE_BINS + (gap_ms - MIDDLE_END) // LONG_MS
    return BINS - 1


@helper
def bin_start(index: int) -> int:
    """Where a bin begins, ms; for `BINS` where the last one, which has no end, would end if it were as the others."""
    if index <= SHORT_BINS:
        return index * SHORT_MS
    if index <= SHORT_BINS + MIDDLE_BINS:
        return SHORT_END + (index - SHORT_BINS) * MIDDLE_MS
    return MIDDLE_END + (index - SHORT_BINS - MIDDLE_BINS) * LONG_MS


@helper
def level_of(demand: int) -> int:
    """The histogram that a gap at a demand, at least 1, is counted in."""
    level = 0
    while level < LEVELS - 1 and 1 << level < demand:
        level += 1
    return level
