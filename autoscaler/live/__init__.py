"""The live loop on a real cluster: never imports the simulator, `traces`, torch or numba."""
