"""Groups of pods that must run together, as other APIs describe them: one entry of a table for each kind.

`registry.KINDS` lists them in the order in which a pod is asked; `base.GangKind` says what an entry is.
"""
