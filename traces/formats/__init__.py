"""Formats of traces: one module each, imported only when a URI names it."""

FORMATS = {
    "acme": "traces.formats.acme",
    "csv": "traces.formats.csv_table",
    "csv-signal": "traces.formats.csv_signal",
    "eia": "traces.formats.eia",
    "electricity-maps": "traces.formats.electricity_maps",
    "helios": "traces.formats.helios",
    "itp": "traces.formats.itp",
    "kubernetes": "traces.formats.kubernetes",
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
}
"""Scheme -> module that holds the format as `FORMAT`."""
