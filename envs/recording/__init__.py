"""Recordings: what an environment or a cluster did, as the dashboard plays it; docs/dashboard.md has the schema."""

from envs.recording.reader import Batch, Recording, read_head
from envs.recording.schema import (
    JOB_EVENTS,
    NODE_STATES,
    SHARED,
    TABLES,
    Head,
    RecordingError,
    Track,
    check_columns,
)
from envs.recording.writer import RecordingWriter, check_folder

__all__ = [
    "JOB_EVENTS",
    "NODE_STATES",
    "SHARED",
    "TABLES",
    "Batch",
    "Head",
    "Recording",
    "RecordingError",
    "RecordingWriter",
    "Track",
    "check_columns",
    "check_folder",
    "read_head",
]
