"""The compiled simulator: what happens in a cluster, event by event; `reference/` defines what it means."""
