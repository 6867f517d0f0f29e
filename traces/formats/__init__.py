"""Formats of traces: one module each, imported only when a URI names it."""

FORMATS = {
    "acme": "traces.formats.acme",
    "alibaba-spot": "traces.formats.alibaba_spot",
    "csv": "traces.formats.csv_table",
    "csv-signal": "traces.formats.csv_signal",
    "eia": "traces.formats.eia",
    "electricity-maps": "traces.formats.electricity_maps",
    "gavel": "traces.formats.gavel",
    "helios": "traces.formats.helios",
    "infinitehbd": "traces.formats.infinitehbd",
    "itp": "traces.formats.itp",
    "kubernetes": "traces.formats.kubernetes",
    "muri": "traces.formats.muri",
    "openb": "traces.formats.openb",
    "openb-nodes": "traces.formats.openb_nodes",
    "pai": "traces.formats.pai",
    "parquet": "traces.formats.parquet",
    "philly": "traces.formats.philly",
    "philly-json": "traces.formats.philly_json",
    "sacct": "traces.formats.sacct",
    "swf": "traces.formats.swf",
    "synthetic": "traces.formats.synthetic",
    "synthetic-signal": "traces.formats.synthetic_signal",
    "tiresias": "traces.formats.tiresias",
}
"""Scheme -> module that holds the format as `FORMAT`."""
