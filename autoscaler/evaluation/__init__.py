"""Evaluation: replay policies over windows of a trace, measure them, compare them with intervals, report.

Nothing is imported here, so that a subcommand pays only for the parts that it uses.
"""
