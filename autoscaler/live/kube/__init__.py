"""Talking to the Kubernetes API: client, fields of objects, quantities, the lease, rights and the preflight check."""
