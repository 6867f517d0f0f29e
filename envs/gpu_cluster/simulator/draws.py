"""Random times as integers: tables of quantiles, and a hash that says which quantile is drawn.

No generator with a state: what is drawn depends on the seed, the kind, the node and its life (how often it was
ordered), so it does not matter who draws first, and nothing that comes later changes it.

Source of the hash: SplitMix64 (Steele, Lea, Flood 2014), its output function chained over the parts of the key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.cluster import PoolConfig
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.state import Cluster, Table

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
INDEX_SHIFT = np.uint64(64 - 10)
MILLION_SHIFT = np.uint64(64 - 32)


def _table(quantile: Callable[[float], float], least_ms: int) -> NDArray[np.int64]:
    """[QUANTILES] int64, ms at the middles of QUANTILES equal parts of the probability."""
    seconds = [quantile((index + 0.5) / st.QUANTILES) for index in range(st.QUANTILES)]
    return np.array([max(least_ms, round(1000 * each)) for each in seconds], np.int64)


def exponential(mean_seconds: float | None) -> NDArray[np.int64]:
    """[QUANTILES] int64 ms, all -1 (never) for None."""
    if mean_seconds is None:
        return np.full(st.QUANTILES, -1, np.int64)
    return _table(lambda share: -mean_seconds * math.log1p(-share), 1)


def lognormal(median_seconds: float, sigma: float, least_ms: int = 1) -> NDArray[np.int64]:
    """[QUANTILES] int64 ms."""
    normal = NormalDist()
    return _table(lambda share: median_seconds * math.exp(sigma * normal.inv_cdf(share)), least_ms)


def measured(quantiles_seconds: tuple[float, ...], least_ms: int) -> NDArray[np.int64]:
    """[QUANTILES] int64 ms of times at equal steps from the shortest to the longest, read linearly between."""
    shares = np.linspace(0.0, 1.0, len(quantiles_seconds))
    return _table(lambda share: float(np.interp(share, shares, quantiles_seconds)), least_ms)


def boots(pool: PoolConfig) -> NDArray[np.int64]:
    """[QUANTILES] int64 ms, from the order of a node of a pool until it is ready."""
    if pool.boot.quantiles_seconds:
        return measured(pool.boot.quantiles_seconds, 0)
    return lognormal(pool.boot_seconds, pool.boot.sigma, 0)


def repairs(pool: PoolConfig) -> NDArray[np.int64]:
    """[QUANTILES] int64 ms, from the failure of a node of a pool until it may be ordered again."""
    failures = pool.failures
    if failures.repair_quantiles_seconds:
        return measured(failures.repair_quantiles_seconds, 1)
    return lognormal(failures.repair_seconds, failures.repair_sigma)


def mean_boot_seconds(pool: PoolConfig) -> float:
    """Mean time from order to ready of the boots that succeed."""
    boot = pool.boot
    return float(boots(pool).mean()) / 1000 if boot.sigma > 0.0 or boot.quantiles_seconds else pool.boot_seconds


def tables(pool: PoolConfig) -> NDArray[np.int64]:
    """[5 * QUANTILES] int64 ms, the tables of a pool in the order of their kinds."""
    kinds = {
        st.DRAW_BOOT: boots(pool),
        st.DRAW_FAILURE: exponential(pool.failures.mean_seconds),
        st.DRAW_REPAIR: repairs(pool),
        st.DRAW_RECLAIM: exponential(pool.spot.mean_seconds),
        st.DRAW_OUTAGE: lognormal(pool.spot.outage_seconds, pool.spot.outage_sigma),
    }
    return np.concatenate([kinds[kind] for kind in sorted(kinds)])


@helper
def mix(word: np.uint64) -> np.uint64:
    """The next output of SplitMix64 from a state."""
    word = word + GAMMA
    word = (word ^ (word >> SHIFT_1)) * MIX_1
    word = (word ^ (word >> SHIFT_2)) * MIX_2
    return word ^ (word >> SHIFT_3)


@helper
def random_bits(cluster: Cluster, pools: Table, kind: int, pool: int, node: int) -> np.uint64:
    """64 random bits of a kind for a node in its present life."""
    number = node - pools[pool, st.NODE_OFFSET]
    word = mix(np.uint64(cluster.clock[st.SEED]))
    word = mix(word ^ np.uint64((kind << 48) + (pool << 40) + number))
    return mix(word ^ np.uint64(cluster.node[node, st.NODE_LIFE]))


@helper
def drawn_ms(cluster: Cluster, pools: Table, kind: int, pool: int, node: int) -> int:
    """The time of a kind that a node draws in its present life, in ms; -1: never."""
    index = np.int64(random_bits(cluster, pools, kind, pool, node) >> INDEX_SHIFT)
    return pools[pool, st.POOL_QUANTILES + kind * st.QUANTILES + index]


@helper
def boot_fails(cluster: Cluster, pools: Table, pool: int, node: int) -> bool:
    """Whether the present boot of a node fails."""
    part = np.int64(random_bits(cluster, pools, st.DRAW_BOOT_FAILS, pool, node) >> MILLION_SHIFT)
    return (part * st.PPM) >> 32 < pools[pool, st.BOOT_FAILS_PPM]
