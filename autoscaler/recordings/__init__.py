"""What the dashboard plays: recordings of simulated runs, of event logs and of audits."""
