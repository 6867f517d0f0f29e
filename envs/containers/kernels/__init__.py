"""What happens to requests, containers and nodes, compiled. Environments make their own kernels of these helpers."""
