"""Why a job waits and why a node is still here, in plain sentences, from what the loop saw and decided."""
