"""How every environment compiles its kernels: numba's options, the cache on disk, pruning, linking and threads."""
