"""The HTML report of a comparison: one file that opens offline."""

from autoscaler.evaluation.report.page import render
from autoscaler.evaluation.report.picture import write_picture

__all__ = ["render", "write_picture"]
