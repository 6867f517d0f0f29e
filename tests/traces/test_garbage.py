"""Whatever a file holds: it is read, or refused in one line. Warnings are errors in tests, and so are tracebacks."""

import random
from pathlib import Path

import pytest

from autoscaler.trace_tables import describe
from configs.errors import UserError
from traces.formats import FORMATS

CELLS = (
    *("", "x", "-1", "0", "1", "1e308", "inf", "nan", "None", '"', "99999999999999999999"),
    *("9999-12-31 23:59:59", "0001-01-01", "2020-01-01 00:00:00", "2020-01-01T00:00:00+25:00"),
)
HEADERS = {
    "acme": "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time",
    "alibaba-spot": "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type",
    "alibaba-spot-nodes": "gpu_model,gpu_capacity_num,cpu_num,node_name",
    "azure-functions-2021": "app,func,end_timestamp,duration",
    "azure-llm": "TIMESTAMP,ContextTokens,GeneratedTokens",
    "burstgpt": "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type",
    "csv": "submit_time_seconds,duration_seconds,gpus",
    "csv-grid-events": "start,end,kw",
    "csv-mobility": "time,user,latitude,longitude",
    "csv-signal": "time,value",
    "csv-sites": "SITE_ID,LATITUDE,LONGITUDE",
    "eia": "timestamp,avg_CI",
    "electricity-maps": "Datetime (UTC),Zone id,Carbon intensity gCO2eq/kWh (direct),Data estimated",
    "entsoe": "MTU (UTC),Area,Sequence,Day-ahead Price (EUR/MWh)",
    "helios": "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue",
    "itp": "job_id,submission_time,duration,num_gpu",
    "lingjun-nodes": "ip,DSW,PSW,ASW",
    "muri": "job_id,num_gpu,submit_time,iterations,model_name,duration,interval",
    "openb": "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
    "scheduled_time",
    "openb-nodes": "sn,cpu_milli,memory_mib,gpu,model",
    "pai-simulator": "job_id,num_inst,submit_time,num_cpu,num_gpu,gpu_type,duration,user",
    "philly": "timestamp,duration,num_gpus,gpu_time,cluster",
    "philly-nodes": "machineId,number of GPUs,single GPU mem",
    "sacct": "JobID|Submit|Start|End|AllocTRES|State|ElapsedRaw|Timelimit|NNodes",
    "swf": "",
    "tiresias": "job_id,num_gpu,submit_time,iterations,model_name,duration,interval",
}
OPTIONS = {
    "csv-grid-events": "?power_kw=kw",
    "csv-signal": "?basis=average",
    "eia": "?zone=X",
    "entsoe": "?usd_per_unit=1",
}
GENERATED = ("synthetic", "synthetic-functions", "synthetic-signal", "grid-roads", "trips", "job-functions")
FILES = {
    "empty": b"",
    "lines": b"\n\n\n",
    "zeros": b"\0" * 2000,
    "random": random.Random(1).randbytes(3000),
    "text": b"hello world\n\x1b[31mred\n",
    "array": b"[1, 2, null, {}]",
    "object": b'{"items": [1, null, {}], "nodes": [{"id": 1}], "links": [{"source": 1, "target": 2}]}',
    "deep": b"[" * 100_000,
    "page": b"<html><body>log in</body></html>",
    "gpx": b'<gpx><trk><trkseg><trkpt lat="x" lon="1"><time>now</time></trkpt></trkseg></trk></gpx>',
    "gzip": b"\x1f\x8b\x08 no more",
    "parquet": b"PAR1 no more PAR1",
}


def is_read_or_refused(uri: str) -> None:
    message = ""
    try:
        describe(uri)
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 2000


@pytest.mark.parametrize("name", HEADERS)
def test_cells_of_any_kind_are_read_or_refused_in_one_line(tmp_path: Path, name: str) -> None:
    header, rng = HEADERS[name], random.Random(7)
    separator = "|" if "|" in header else " " if name == "swf" else ","
    width = header.count(separator) + 1 if header else 18
    same = [separator.join([cell] * width) for cell in CELLS]
    mixed = [separator.join(rng.choice(CELLS) for _ in range(width)) for _ in range(60)]
    for rows in (same, mixed, []):
        (tmp_path / "x").write_text("\n".join([*([header] if header else []), *rows]) + "\n")
        is_read_or_refused(f"{name}:{tmp_path}/x{OPTIONS.get(name, '')}")


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in GENERATED])
def test_files_of_any_kind_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    for file, content in FILES.items():
        (tmp_path / file).write_bytes(content)
        is_read_or_refused(f"{name}:{tmp_path}/{file}{OPTIONS.get(name, '')}")
