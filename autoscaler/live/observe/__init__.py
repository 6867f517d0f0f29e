"""From what lists and watches say to a `ClusterView`, and from that to the `ClusterSnapshot` that policies read."""
