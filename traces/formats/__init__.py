"""Formats of traces: one module each, imported only when a URI names it."""

FORMATS = {
    "csv": "traces.formats.csv_table",
    "itp": "traces.formats.itp",
    "openb": "traces.formats.openb",
    "openb-nodes": "traces.formats.openb_nodes",
    "parquet": "traces.formats.parquet",
    "philly": "traces.formats.philly",
    "synthetic": "traces.formats.synthetic",
}
"""Scheme -> module that holds the format as ``FORMAT``."""
