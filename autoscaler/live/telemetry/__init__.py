"""What the loop tells and remembers: metrics, logs, events, status, the audit, and the health server."""
