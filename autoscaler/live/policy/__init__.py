"""From a `ClusterView` to the `ClusterSnapshot` that policies read, and from there to a decision."""
