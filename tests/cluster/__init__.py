"""A real Kubernetes control plane for tests, without containers.

`python -m tests.cluster up --kubeconfig K` runs it until Ctrl-C; tests take the fixtures of conftest.py.
"""
