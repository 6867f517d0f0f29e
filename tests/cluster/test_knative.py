"""Keep-alive of Knative Services, written on their Revisions: the CRDs alone are installed, nobody serves them."""

from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main
from tests.cluster.binaries import find_crds
from tests.cluster.constants import KNATIVE
from tests.cluster.control_plane import ControlPlane

SERVING = "/apis/serving.knative.dev/v1/namespaces/default"
RETENTION, MIN_SCALE = (
    f"autoscaling.knative.dev/{name}" for name in ("scale-to-zero-pod-retention-period", "min-scale")
)
SPEC = {"containers": [{"image": "example.invalid/f:1", "resources": {"requests": {"memory": "512Mi"}}}]}


@pytest.fixture
def arrivals(tmp_path: Path) -> str:
    """A call ten minutes before the end of the history."""
    path = tmp_path / "calls.csv"
    path.write_text("app,func,end_timestamp,duration\ndefault,f,60.0,1.0\ndefault,other,660.0,1.0\n")
    return f"azure-functions-2021:{path}"


def service(cluster: ControlPlane, **annotations: str) -> None:
    """A Service with a ready Revision, as Knative's controllers would leave it."""
    cluster.install_crds([path for path in find_crds(*KNATIVE) if path.name in ("service.yaml", "revision.yaml")])
    api = {"apiVersion": "serving.knative.dev/v1"}
    template = {"metadata": {"annotations": annotations}, "spec": SPEC}
    made = cluster.request(
        "POST",
        f"{SERVING}/services",
        {**api, "kind": "Service", "metadata": {"name": "f"}, "spec": {"template": template}},
    )
    made["status"] = {"latestReadyRevisionName": "f-00001"}
    cluster.request("PUT", f"{SERVING}/services/f/status", made)
    meta = {"name": "f-00001", "annotations": annotations}
    cluster.request("POST", f"{SERVING}/revisions", {**api, "kind": "Revision", "metadata": meta, "spec": SPEC})


def annotations(cluster: ControlPlane) -> dict[str, str]:
    found: dict[str, Any] = cluster.request("GET", f"{SERVING}/revisions/f-00001")["metadata"]
    return dict(found.get("annotations", {}))


def run(cluster: ControlPlane, arrivals: str, *options: str) -> int:
    given = ["--kubeconfig", str(cluster.kubeconfig), "--arrivals", arrivals, "--policy", "fixed-20"]
    return main(["knative", *given, *options])


def test_the_keep_alive_of_a_policy_becomes_the_retention_period_of_the_revision(
    cluster: ControlPlane, arrivals: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service(cluster)
    generation = cluster.request("GET", f"{SERVING}/services/f")["metadata"]["generation"]
    assert run(cluster, arrivals) == 0
    assert f"{RETENTION}=1200s, {MIN_SCALE}=0" in capsys.readouterr().out
    assert annotations(cluster) == {}, "a dry run writes nothing"
    assert run(cluster, arrivals, "--no-dry-run") == 0
    written = annotations(cluster)
    assert (written[RETENTION], written[MIN_SCALE]) == ("1200s", "0")
    capsys.readouterr()
    assert run(cluster, arrivals, "--no-dry-run") == 0
    assert capsys.readouterr().out == "", "what stands there already is not written again"
    after = cluster.request("GET", f"{SERVING}/services/f")["metadata"]["generation"]
    assert after == generation, "the template of the Service stays, so no new Revision is made"


def test_the_least_scale_of_the_template_holds_and_writes_are_rare(cluster: ControlPlane, arrivals: str) -> None:
    service(cluster, **{MIN_SCALE: "2"})
    assert run(cluster, arrivals, "--no-dry-run") == 0
    assert annotations(cluster)[MIN_SCALE] == "2"
    assert run(cluster, arrivals, "--no-dry-run", "--policy", "fixed-10", "--least-seconds", "3600") == 0
    assert annotations(cluster)[RETENTION] == "1200s"
    assert run(cluster, arrivals, "--no-dry-run", "--policy", "fixed-10", "--least-seconds", "0") == 0
    assert annotations(cluster)[RETENTION] == "600s"


def test_a_cluster_without_knative_is_refused_in_one_line(
    cluster: ControlPlane, arrivals: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.remove_crds()
    assert run(cluster, arrivals) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "install Knative" in line
