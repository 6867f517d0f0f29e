"""Write kubeconfig files that need no other file beside them."""

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster.certificates import KeyPair
from tests.cluster.constants import CONTEXT_NAME


def write_kubeconfig(
    path: Path, *, server: str, ca: Path, credentials: KeyPair | str, namespace: str = "default"
) -> Path:
    """Write a kubeconfig of mode 0600, whole or not at all.

    Args:
        path: Where to.
        server: URL of the API server.
        ca: The CA's certificate.
        credentials: A client certificate, or a bearer token.
        namespace: Default namespace of the context.

    Returns:
        `path`.
    """
    user: dict[str, str] = {}
    if isinstance(credentials, KeyPair):
        user["client-certificate-data"], user["client-key-data"] = credentials.base64()
    else:
        user["token"] = credentials
    authority = base64.b64encode(ca.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT_NAME,
        "clusters": [{"name": CONTEXT_NAME, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": CONTEXT_NAME, "user": user}],
        "contexts": [
            {
                "name": CONTEXT_NAME,
                "context": {"cluster": CONTEXT_NAME, "user": CONTEXT_NAME, "namespace": namespace},
            }
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        json.dump(config, file, indent=1)  # JSON is YAML.
    Path(name).replace(path)
    return path


def is_ours(path: Path) -> bool:
    """Tell whether a file is a kubeconfig that this module wrote."""
    try:
        config: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("current-context") == CONTEXT_NAME
