"""What happens to nodes at random: a hash of the seed, the node and its life picks one of the quantiles."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Node
from envs.gpu_cluster.simulator.reference.state import State
from envs.gpu_cluster.simulator.state import BOOT_FAILS_PPM, DRAW_BOOT, DRAW_BOOT_FAILS, POOL_QUANTILES, PPM, QUANTILES


def split_mix(word: int) -> int:
    """The next output of SplitMix64 from a state."""
    word = (word + 0x9E3779B97F4A7C15) % 2**64
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


def random_bits(state: State, kind: int, node: Node) -> int:
    """64 random bits of a kind for a node in its present life."""
    word = 0
    for part in (state.seed, (kind << 48) + (node.pool << 40) + node.number, node.life):
        word = split_mix(word ^ part)
    return word


def drawn_ms(state: State, kind: int, node: Node) -> int | None:
    """The time of a kind that a node draws in its present life: the quantile that the first bits say."""
    time = int(
        state.problem.pools[node.pool, POOL_QUANTILES + kind * QUANTILES + (random_bits(state, kind, node) >> 54)]
    )
    return None if time < 0 else time


def boot_fails(state: State, node: Node) -> bool:
    """Whether the boot of the present life of a node fails."""
    if not state.problem.settings.is_stochastic:
        return False
    millionths = (random_bits(state, DRAW_BOOT_FAILS, node) >> 32) * PPM >> 32
    return bool(millionths < state.problem.pools[node.pool, BOOT_FAILS_PPM])


def boot_ms(state: State, node: Node) -> int:
    """From the order to the end of the boot: the node is ready, or it is noticed that it will not be."""
    config = state.problem.cluster.pools[node.pool]
    if boot_fails(state, node):
        return round(config.boot.timeout_seconds * 1000)
    drawn = drawn_ms(state, DRAW_BOOT, node) if state.problem.settings.is_stochastic else None
    return round(config.boot_seconds * 1000) if drawn is None else drawn
