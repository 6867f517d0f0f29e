"""Sets of nodes as bits, one row of words for each number of free GPUs. Compiled."""

from __future__ import annotations

import numpy as np

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.state import Cluster, Table

# Multiplied by a power of 2, a de Bruijn sequence has 6 bits on top that are different for each power: an index of the
# bit. numba offers no instruction that counts zeros. Source: Leiserson, Prokop and Randall, "Using de Bruijn Sequences
# to Index a 1 in a Computer Word" (1998).
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
DE_BRUIJN_BITS = np.zeros(64, np.int64)
for _bit in range(64):
    DE_BRUIJN_BITS[((int(DE_BRUIJN) << _bit) & (2**64 - 1)) >> 58] = _bit


@helper
def lowest_bit(word: np.uint64) -> int:
    """The number of the lowest bit that is set in a uint64, which must not be 0."""
    # All operands are uint64: numba makes a float of what mixes signed and unsigned integers, which loses bits.
    lowest = word & (~word + np.uint64(1))
    return DE_BRUIJN_BITS[np.int64((lowest * DE_BRUIJN) >> np.uint64(58))]


@helper
def lowest_node(cluster: Cluster, pools: Table, pool: int, row: int) -> int:
    """The lowest node of a pool whose bit is set in `node_bits[row]`, -1 if none."""
    word = pools[pool, st.NODE_OFFSET] >> 6
    end = (pools[pool, st.NODE_OFFSET] + pools[pool, st.MAX_NODES] + 63) >> 6
    while word < end:
        if cluster.bits[row, word] != 0:
            return (word << 6) + lowest_bit(cluster.bits[row, word])
        word += 1
    return -1


@helper
def next_node(cluster: Cluster, pools: Table, pool: int, row: int, node: int) -> int:
    """The next node of a pool after `node` whose bit is set in `node_bits[row]`, -1 if none."""
    word = node >> 6
    end = (pools[pool, st.NODE_OFFSET] + pools[pool, st.MAX_NODES] + 63) >> 6
    if node & 63 < 63:  # a shift by 64 bits is undefined
        bits = cluster.bits[row, word] >> np.uint64((node & 63) + 1)
        if bits != 0:
            return node + 1 + lowest_bit(bits)
    word += 1
    while word < end:
        if cluster.bits[row, word] != 0:
            return (word << 6) + lowest_bit(cluster.bits[row, word])
        word += 1
    return -1


@helper
def set_bit(cluster: Cluster, row: int, node: int) -> None:
    """Set the bit of a node in `node_bits[row]`."""
    cluster.bits[row, node >> 6] |= np.uint64(1) << np.uint64(node & 63)


@helper
def clear_bit(cluster: Cluster, row: int, node: int) -> None:
    """Clear the bit of a node in `node_bits[row]`."""
    cluster.bits[row, node >> 6] &= ~(np.uint64(1) << np.uint64(node & 63))
