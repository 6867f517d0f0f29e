"""How fast traces are read and generated: jobs a second of each format, from made files of its layout.

Philly, openb and ITP are also read from the real files where `AUTOSCALER_TEST_DATA` (or ../shared/data) has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _common import Measurement, describe, measure, parse, parser, report, tell

import traces

DAY = "2024-05-01"
REAL = {
    "philly": "traces/philly/philly_until_2017-11-01.csv.gz",
    "openb": "traces/openb/openb_pod_list_default.csv.gz",
    "itp": "traces/itp/cluster08.csv.gz",
}


def _clock(second: int) -> str:
    return f"{DAY} {second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"


def _lines(header: str, rows: int, line: Callable[[int], str]) -> str:
    return header + "".join(line(row) for row in range(rows))


def _itp_rows(rows: int) -> str:
    return _lines("", rows, lambda row: f"k{row},{row},600,1\n")


def _philly_json(rows: int) -> str:
    attempt = {"start_time": _clock(0), "end_time": _clock(600), "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}]}
    return json.dumps(
        [
            {
                "status": "Pass",
                "vc": "6214e9",
                "jobid": f"application_{row}",
                "attempts": [attempt],
                "submitted_time": _clock(0),
                "user": "7f04ca",
            }
            for row in range(rows)
        ]
    )


def _pods(rows: int) -> str:
    limits = {"nvidia.com/gpu": "1", "cpu": "4", "memory": "16Gi"}
    ended = [{"state": {"terminated": {"finishedAt": f"{DAY}T01:00:00Z"}}}]
    return json.dumps(
        {
            "items": [
                {
                    "metadata": {"name": f"p{row}", "namespace": "n", "creationTimestamp": f"{DAY}T00:00:00Z"},
                    "spec": {"containers": [{"resources": {"limits": limits}}]},
                    "status": {"startTime": f"{DAY}T00:01:00Z", "containerStatuses": ended},
                }
                for row in range(rows)
            ]
        }
    )


def samples(rows: int) -> dict[str, tuple[str, str]]:
    """Format -> name of a file and its text."""
    sacct = "JobID|User|Account|State|Submit|Start|End|ElapsedRaw|Timelimit|AllocTRES\n"
    tres = "cpu=16,gres/gpu=4,mem=128G,node=1"
    times = f"{_clock(0)},{_clock(60)},{_clock(660)},600,60"
    return {
        "itp": ("itp.csv", "job_id,submission_time,duration,num_gpu\n" + _itp_rows(rows)),
        "sacct": (
            "sacct.txt",
            _lines(
                sacct,
                rows,
                lambda row: f"{row}|u|a|COMPLETED|{_clock(0)}|{_clock(60)}|{_clock(660)}|600|1:00:00|{tres}\n",
            ),
        ),
        "swf": ("x.swf", _lines("", rows, lambda row: f"{row} {row} 10 600 4 -1 -1 4 900 -1 1 3 2 -1 1 1 -1 -1\n")),
        "philly-json": ("cluster_job_log", _philly_json(rows)),
        "helios": (
            "cluster_log.csv",
            _lines(
                "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n",
                rows,
                lambda row: f"{row},u,v,8,32,1,COMPLETED,{times}\n",
            ),
        ),
        "pai": (
            "pai_task_table.csv",
            _lines("", rows, lambda row: f"j{row},worker,1.0,Terminated,{1000 + row},{9000 + row},600,29.3,50,V100\n"),
        ),
        "acme": (
            "acme.csv",
            _lines(
                "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n",
                rows,
                lambda row: f"{row},u,1,8,128,SFT,COMPLETED,{_zoned()},600,60,9\n",
            ),
        ),
        "kubernetes": ("pods.json", _pods(rows)),
        "alibaba-spot": (
            "job_info_df.csv",
            _lines(
                "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type\n",
                rows,
                lambda row: f"{row},1,A10,8,2,4,{row},600,HP\n",
            ),
        ),
        "tiresias": (
            "jobs.csv",
            _lines(
                "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n",
                rows,
                lambda row: f"{row},2,{row},100,vgg16,600,0\n",
            ),
        ),
        "burstgpt": (
            "requests.csv",
            _lines(
                "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n",
                rows,
                lambda row: f"{row},GPT-4,100,20,120,API log\n",
            ),
        ),
        "lingjun": ("job.csv", _lingjun_jobs(rows)),
    }


def _spoil(path: Path, rows: int) -> None:
    """Make two rows of a large table ones that cannot be read."""
    text = path.read_text(encoding="utf-8")
    for row in (rows // 2, rows - 1):
        text = text.replace(f"k{row},{row},", f"k{row},soon,", 1)
    path.write_text(text, encoding="utf-8")


def _lingjun_jobs(rows: int) -> str:
    header = "job_name,model,user_id,gmt_job_submitted,gmt_job_running,gmt_job_stopped,gmt_job_finished\n"
    return _lines(header, rows, lambda row: f"j{row},gpt,u,2023/7/15 2:01,2023/7/15 2:19,,2023/7/15 9:00\n")


def _lingjun_workers(rows: int) -> str:
    request = '"{""cpu"": ""32"", ""memory"": ""400Gi"", ""nvidia.com/gpu"": ""8""}"'
    return _lines("job_name,worker_name,RES\n", rows, lambda row: f"j{row},j{row}-0,{request}\n")


def _zoned() -> str:
    return f"{_clock(0)}+08:00,{_clock(60)}+08:00,{_clock(660)}+08:00"


def imported(name: str, uri: str, repeats: int) -> Measurement:
    """Rows of one file, read again and again; the first time is to import what is needed."""
    if traces.kind_of(uri) == "invocations":
        requests = traces.load_invocations(uri).num_invocations
        return measure(name, "jobs/s", requests, lambda: traces.load_invocations(uri), repeats)
    jobs = traces.load(uri).num_jobs
    return measure(name, "jobs/s", jobs, lambda: traces.load(uri), repeats)


_PEAK = """
import pathlib, re, sys, traces
# Not ru_maxrss: a child has that of its parent.
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
traces.load(sys.argv[1])
before = peak()
table = traces.load(sys.argv[2]).table
print((peak() - before) / table.nbytes)
"""


def peak_memory(small: str, large: str) -> float:
    """The peak of memory while a trace is loaded, over what it holds then; in a warm process of its own, on Linux.

    Args:
        small: URI of a trace of the same format, loaded before.
        large: URI of the trace.
    """
    tell(f"measuring: peak memory of {large.partition(':')[0]}")
    command = [sys.executable, "-c", _PEAK, small, large]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Read, generate and print."""
    options = parser(__doc__, repeats=3)
    options.add_argument("--rows", type=int, default=100_000, help="rows of each made file (default %(default)s)")
    options.add_argument("--large-rows", type=int, default=1_000_000, help="rows of a large one (default %(default)s)")
    options.add_argument("--generated", type=int, default=10_000_000, help="jobs to generate (default %(default)s)")
    arguments = parse(options, rows=1000, large_rows=10_000, generated=10_000)
    before, found = describe(), []
    data = Path(os.environ.get("AUTOSCALER_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    for name, path in REAL.items():
        if (data / path).exists():
            found.append(imported(f"{name}, real", f"{name}:{data / path}", arguments.repeats))
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, text) in samples(arguments.rows).items():
            place = Path(folder) / name
            place.mkdir()
            (place / file).write_text(text, encoding="utf-8")
            if name == "lingjun":
                (place / "worker.csv").write_text(_lingjun_workers(arguments.rows), encoding="utf-8")
            path = place if name in ("pai", "lingjun") else place / file
            found.append(imported(name, f"{name}:{path}", arguments.repeats))
        large = Path(folder) / "large.csv"
        large.write_text(samples(arguments.large_rows)["itp"][1], encoding="utf-8")
        found.append(imported(f"itp, {arguments.large_rows:,} rows", f"itp:{large}", arguments.repeats))
        small = f"itp:{Path(folder) / 'itp' / 'itp.csv'}"
        peaks = {"itp": peak_memory(small, f"itp:{large}")}
        _spoil(large, arguments.large_rows)
        found.append(
            imported(f"itp, {arguments.large_rows:,} rows, two of them bad", f"itp:{large}", arguments.repeats)
        )
        peaks["itp_with_bad_rows"] = peak_memory(small, f"itp:{large}")
    generated = f"synthetic:philly?seed=0&jobs_per_day={arguments.generated / 28}"
    found.append(imported(f"generated, {arguments.generated:,} jobs", generated, arguments.repeats))
    peaks["generated"] = peak_memory("synthetic:philly?seed=0&jobs_per_day=1000", generated)
    ratios = {f"peak_memory_of_{name}_over_the_result": ratio for name, ratio in peaks.items()}
    sizes = {"rows": arguments.rows, "large_rows": arguments.large_rows, "generated": arguments.generated}
    report("Importers of traces", before, found, arguments.json, **sizes, **ratios)


if __name__ == "__main__":
    main()
