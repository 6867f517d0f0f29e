"""Proximal policy optimisation with roll-outs inside compiled kernels. All but the settings import torch."""
