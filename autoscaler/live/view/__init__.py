"""From what lists and watches say to a `ClusterView`: nodes, gangs of pods, and jobs submitted so far."""
