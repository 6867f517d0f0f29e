"""What importers of nodes share."""

from dataclasses import dataclass, field

from traces.nodes import NODE_RULES, Nodes
from traces.rows import Rows
from traces.tables import TextOptions


@dataclass(frozen=True, slots=True)
class NodeOptions(TextOptions):
    """Options of lists of nodes: strict unless told otherwise, as a missing node is a smaller cluster in silence."""

    strict: bool = field(
        default=True, metadata={"help": "a row that cannot be used is an error, else it is left out and counted"}
    )


def nodes_of(rows: Rows, source: str, licence: str) -> Nodes:
    """The nodes of rows, without those that break a rule.

    Args:
        rows: with the columns of `NODE_SCHEMA`, those that may be null where they are known.
        source: the data set, for humans.
        licence: licence of the data.

    Raises:
        TraceValueError: a row breaks a rule and `strict` is on, or too many do.
    """
    for rules in NODE_RULES:
        rows.check(rules(rows.table, rows.origin))
    rows.finish()
    return Nodes.from_table(rows.table, origin=rows.origin, source=source, licence=licence, bad_rows=rows.bad)
