"""Keep-alive policies for Knative Services: what the simulator would keep now, as annotations of their Revisions."""
