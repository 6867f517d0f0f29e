"""Why a policy decides as it does, and which of its decisions paid: `autoscaler explain RUN`, a part of the report."""
