"""Packers, one file each: a compiled score, the plain Python that defines it, and where it comes from."""
