"""The reference simulator: what containers mean, in plain Python without any thought of speed.

It shares no code with the kernels but the numbers of columns and the bins of histograms. Tests hold both side by side.
"""
