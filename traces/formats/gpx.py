"""Tracks of GPS devices: GPX 1.0 and 1.1."""

import xml.etree.ElementTree as ET

import numpy as np

from traces.errors import TraceFileError, TraceValueError
from traces.format import Format
from traces.formats.csv_mobility import relative_seconds
from traces.inputs import Input, damaged, only_input
from traces.mobility.paths import Mobility
from traces.options import NoOptions


def load(path: str, _: NoOptions) -> Mobility:
    """The tracks of a GPX file, a user each; the segments of a track follow each other.

    Source: www.topografix.com/GPX/1/1.

    Raises:
        TraceError: the file cannot be read, a point has no time, or the times of a track go backwards.
    """
    source = only_input(path)
    try:
        users, texts, places = _read(source)
    except TraceFileError:
        raise
    except (OSError, ET.ParseError) as error:
        raise damaged(str(source), error, " or not GPX") from error
    if not texts:
        raise TraceValueError(f"{source}: holds no point of a track; check that it is the right file")
    seconds, start = relative_seconds(texts, str(source), row="track point")
    table = np.array(places, np.float64).reshape(-1, 2)
    return Mobility.from_points(
        users,
        seconds,
        table[:, 0],
        table[:, 1],
        source=str(source),
        licence=FORMAT.licence,
        start_time=start,
        row="track point",
    )


def _read(source: Input) -> tuple[list[str], list[str], list[tuple[float, float]]]:
    """Names, times, and latitude and longitude of each point of a track."""
    users: list[str] = []
    texts: list[str] = []
    places: list[tuple[float, float]] = []
    track = 0
    with source.open() as stream:
        # expat since 2.4.1 refuses entities that grow beyond reason, and external ones are never read.
        for _, element in ET.iterparse(stream):  # noqa: S314
            if element.tag.rpartition("}")[2] != "trk":
                continue
            name, track = f"track-{track}", track + 1
            for each in element:
                name = f"{each.text}-{track - 1}" if each.tag.rpartition("}")[2] == "name" and each.text else name
            for point in element.iter():
                if point.tag.rpartition("}")[2] != "trkpt":
                    continue
                where = f"{source}: track point {len(users) + 1}"
                found = [each.text for each in point if each.tag.rpartition("}")[2] == "time"]
                if not found or not found[0]:
                    raise TraceValueError(f"{where} has no time; record the track with times")
                try:
                    places.append((float(point.get("lat", "")), float(point.get("lon", ""))))
                except ValueError as error:
                    raise TraceValueError(f"{where} has no numbers lat and lon ({error}); fix or remove it") from error
                users.append(name)
                texts.append(found[0])
            element.clear()
    return users, texts, places


FORMAT = Format(
    name="gpx",
    kind="mobility",
    description="tracks of GPS devices (GPX)",
    options=NoOptions,
    load=load,
    licence="as the file",
    citation="",
    example="gpx:ride.gpx",
    url="https://www.topografix.com/GPX/1/1/",
)
