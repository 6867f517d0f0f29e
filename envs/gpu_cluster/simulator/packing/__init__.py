"""Which node of a pool a job gets, and which of its GPUs: by counts of free GPUs, or by each GPU, CPU and memory."""
