"""Lists of pods."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import traces
from traces.quantities import quantity

DAY = "2024-05-01T"


def pod(
    name: str = "p",
    gpus: Any = "1",
    start: str | None = "10:01:00",
    end: str | None = "11:01:00",
    labels: dict[str, str] | None = None,
    created: str = "10:00:00",
    **spec: Any,
) -> dict[str, Any]:
    requests = {"cpu": "500m", "memory": "2Gi", **({"nvidia.com/gpu": gpus} if gpus else {})}
    state = {"terminated": {"finishedAt": f"{DAY}{end}Z"}} if end else {"running": {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ml", "labels": labels, "creationTimestamp": f"{DAY}{created}Z"},
        "spec": {"containers": [{"image": "train:1", "resources": {"limits": requests}}], "priority": 7, **spec},
        "status": {
            "phase": "Succeeded" if end else "Running",
            **({"startTime": f"{DAY}{start}Z", "containerStatuses": [{"state": state}]} if start else {}),
        },
    }


def load(tmp_path: Path, *pods: Any, query: str = "") -> traces.Trace:
    (tmp_path / "pods.json").write_text(json.dumps({"apiVersion": "v1", "items": list(pods), "kind": "List"}, indent=4))
    return traces.load(f"kubernetes:{tmp_path}/pods.json{query}")


def test_a_pod_is_a_job(tmp_path: Path) -> None:
    trace = load(tmp_path, pod(gpus=2, nodeSelector={"nvidia.com/gpu.product": "A100"}, labels={"owner": "ann"}))
    job = {name: value for name, value in trace.table.to_pylist()[0].items() if value is not None}
    assert job == {
        "job_id": "ml/p",
        "submit_time_seconds": 0.0,
        "duration_seconds": 3600.0,
        "gpu_milli": 2000,
        "user": "ann",
        "group": "ml",
        "gpu_models": ["A100"],
        "cpu_milli": 500,
        "memory_mib": 2048,
        "status": "Succeeded",
        "priority": 7,
        "image": "train:1",
    }
    assert trace.metadata.start_time == datetime.fromisoformat("2024-05-01T10:00")


@pytest.mark.parametrize("label", ["jobset.sigs.k8s.io/jobset-name", "volcano.sh/job-name", "job-name"])
def test_pods_of_a_group_are_one_job(tmp_path: Path, label: str) -> None:
    pods = [pod(f"p{number}", "4", start=f"10:0{number}:00", labels={label: "g"}) for number in range(3)]
    trace = load(tmp_path, *pods, pod("alone"))
    assert dict(zip(trace.table["job_id"].to_pylist(), trace.gpu_milli.tolist(), strict=True)) == {
        "ml/g": 12_000,
        "ml/alone": 1000,
    }
    assert trace.duration_seconds.tolist()[0] == 3660
    assert trace.table["cpu_milli"].to_pylist()[0] == 1500


def test_pods_of_a_job_that_ran_one_after_the_other_are_jobs_of_their_own(tmp_path: Path) -> None:
    pods = [pod("p1", labels={"job-name": "g"}), pod("p2", start="11:01:00", end="12:00:00", labels={"job-name": "g"})]
    assert load(tmp_path, *pods).table["job_id"].to_pylist() == ["ml/p1", "ml/p2"]


def test_pods_that_do_not_run_to_an_end_on_gpus_are_dropped(tmp_path: Path) -> None:
    trace = load(
        tmp_path, pod(), pod("a", gpus=None), pod("b", start=None), pod("c", end=None), pod("d", end="10:01:00")
    )
    assert trace.metadata.dropped == {
        "it requests no GPU": 1,
        "it never ran": 1,
        "it still ran at the end of the collection": 1,
        "it ended in the second of its start": 1,
    }


def test_gpus_of_containers_add_up_and_init_containers_come_first(tmp_path: Path) -> None:
    def container(**limits: Any) -> dict[str, Any]:
        return {"resources": {"requests": {name.replace("_", ".com/"): value for name, value in limits.items()}}}

    both = [container(nvidia_gpu=1), container(amd_gpu=2), {"image": "sidecar"}]
    trace = load(
        tmp_path,
        pod("a", containers=both),
        pod("b", containers=both, initContainers=[container(nvidia_gpu=4)]),
        pod("c", containers=[{"resources": {"limits": {"nvidia.com/mig-3g.20gb": "1"}}}]),
    )
    assert trace.gpu_milli.tolist() == [3000, 4000, 429]


def test_pods_that_share_gpus_in_a_group_are_split(tmp_path: Path) -> None:
    share = [{"resources": {"limits": {"nvidia.com/mig-1g.5gb": "1"}}}]
    pods = [pod(f"p{number}", labels={"job-name": "g"}, containers=share) for number in range(2)]
    assert load(tmp_path, *pods).table["job_id"].to_pylist() == ["ml/g/0", "ml/g/1"]
    assert load(tmp_path, *pods, query="?gangs=round").gpu_milli.tolist() == [1000]


def test_what_is_no_pod_is_counted(tmp_path: Path) -> None:
    odd = [{"kind": "Pod"}, pod("q", gpus="two")]
    trace = load(tmp_path, *(pod(str(number)) for number in range(3)), *odd)
    assert trace.metadata.bad_rows == {"it is no pod": 2}
    with pytest.raises(traces.TraceValueError, match="item 4 is no pod"):
        load(tmp_path, *(pod(str(number)) for number in range(3)), *odd, query="?strict=true")


def test_quantities() -> None:
    assert [quantity(text) for text in ("2", "500m", "1Gi", "1.5k", 3, "1e3", "2E", ".5")] == [
        *(2, 0.5, 2**30, 1500, 3),
        *(1000, 2e18, 0.5),
    ]
    for text in ("", "1Q", "-1", "a", "1e", "1e999"):
        with pytest.raises(ValueError, match="is no quantity"):
            quantity(text)


def test_a_pod_that_was_evicted_says_no_end_and_is_counted_as_such(tmp_path: Path) -> None:
    evicted = pod("e")
    evicted["status"] = {"phase": "Failed", "reason": "Evicted", "startTime": f"{DAY}10:01:00Z"}
    assert load(tmp_path, pod(), evicted).metadata.dropped == {"it ended, but nothing says when": 1}


def test_items_of_another_kind_are_counted_with_their_place(tmp_path: Path) -> None:
    """A list that kubectl would not write: a priority of text, a name that is no Unicode, memory without an end."""
    good = [pod(str(number)) for number in range(7)]
    huge = pod("h", containers=[{"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "9" * 400}}}])
    odd = [pod("p", priority="high"), pod("q\ud800"), huge, pod("r", containers=[])]
    trace = load(tmp_path, *good, *odd)
    assert trace.num_jobs == 7
    assert trace.metadata.bad_rows == {
        "it is no pod": 2,
        "its priority is of another kind": 1,
        "its metadata.name is of another kind": 1,
    }
    with pytest.raises(traces.TraceValueError, match="row 8, column priority: 'high' is of another kind"):
        load(tmp_path, *good, odd[0], query="?strict=true")


def test_a_list_as_the_api_server_writes_it_is_found(tmp_path: Path) -> None:
    bare = pod()
    del bare["kind"]
    (tmp_path / "pods.json").write_text(json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [bare]}))
    uri, _ = traces.find_uri(f"{tmp_path}/pods.json")
    assert uri == f"kubernetes:{tmp_path}/pods.json"
    assert traces.load(uri).num_jobs == 1


def test_a_second_list_behind_the_first_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"items": [pod()], "metadata": {"resourceVersion": "1"}}) + "\n")
    uri = f"kubernetes:{tmp_path}/one.json"
    assert traces.load(uri).num_jobs == 1
    text = (tmp_path / "one.json").read_text()
    (tmp_path / "one.json").write_text(text + text)
    with pytest.raises(traces.TraceFileError, match=r"one\.json: more follows the first JSON document"):
        traces.load(uri)
    (tmp_path / "one.json").write_text(text.rstrip()[:-1])
    with pytest.raises(traces.TraceFileError, match=r"one\.json: is damaged or not JSON \(behind the items"):
        traces.load(uri)
