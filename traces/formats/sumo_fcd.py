"""Floating car data of SUMO: `sumo --fcd-output FILE --fcd-output.geo`."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np

from configs.checks import check_number
from traces.errors import TraceFileError, TraceURIError, TraceValueError
from traces.format import Format
from traces.geography import Numbers, Projection, outside
from traces.inputs import Input, damaged, only_input
from traces.mobility.paths import Mobility


@dataclass(frozen=True, slots=True)
class Options:
    """Options of sumo-fcd."""

    latitude: float | None = field(
        default=None, metadata={"help": "of x=0, y=0, where the file has metres instead of degrees"}
    )
    longitude: float | None = field(default=None, metadata={"help": "likewise"})

    def __post_init__(self) -> None:
        check_number("latitude", self.latitude, TraceURIError, low=-85, high=85)
        check_number("longitude", self.longitude, TraceURIError, low=-180, high=180)


def load(path: str, options: Options) -> Mobility:
    """The positions of vehicles and persons. A user is there from the first time step that has it to the last.

    Source: sumo.dlr.de/docs/Simulation/Output/FCDOutput.html.

    Raises:
        TraceError: the file cannot be read, a time step goes backwards, or x and y are metres of an unknown place.
    """
    source = only_input(path)
    try:
        users, rows = _read(source)
    except TraceFileError:
        raise
    except (OSError, ET.ParseError) as error:
        raise damaged(str(source), error, " or not XML") from error
    table = np.array(rows, np.float64).reshape(-1, 3)
    longitude, latitude = table[:, 1], table[:, 2]
    if options.latitude is not None and options.longitude is not None:
        latitude, longitude = Projection(options.latitude, options.longitude).to_degrees(table[:, 1:])
    elif outside(latitude, longitude).any():
        raise TraceValueError(
            f"{source}: x and y are metres, not degrees; run sumo with --fcd-output.geo, or add the options "
            "latitude and longitude of x=0, y=0"
        )
    return _mobility(source, users, table[:, 0], latitude, longitude)


def _mobility(source: Input, users: list[str], seconds: Numbers, latitude: Numbers, longitude: Numbers) -> Mobility:
    return Mobility.from_points(
        users, seconds, latitude, longitude, source=str(source), licence=FORMAT.licence, row="position"
    )


def _read(source: Input) -> tuple[list[str], list[tuple[float, float, float]]]:
    """Names; and seconds, x and y of each position."""
    users: list[str] = []
    rows: list[tuple[float, float, float]] = []
    last, step = -np.inf, 0
    with source.open() as stream:
        # expat since 2.4.1 refuses entities that grow beyond reason, and external ones are never read.
        for _, element in ET.iterparse(stream):  # noqa: S314
            if element.tag != "timestep":
                continue
            step += 1
            try:
                now = float(element.get("time", ""))
                for each in element:
                    if each.tag in ("vehicle", "person"):
                        users.append(each.get("id", ""))
                        rows.append((now, float(each.get("x", "")), float(each.get("y", ""))))
            except ValueError as error:
                problem = f"{source}: timestep {step}: time, x and y must be numbers ({error})"
                raise TraceValueError(f"{problem}; write the file again with sumo --fcd-output") from error
            if now < last:
                raise TraceValueError(
                    f"{source}: timestep {step} is at {now:g} s, after one at {last:g} s: time must not go backwards; "
                    "sort the time steps"
                )
            last = now
            element.clear()
    return users, rows


FORMAT = Format(
    name="sumo-fcd",
    kind="mobility",
    description="floating car data of the traffic simulator SUMO",
    options=Options,
    load=load,
    licence="as the file",
    citation="Lopez et al., Microscopic Traffic Simulation using SUMO, ITSC 2018",
    example="sumo-fcd:fcd.xml.gz",
    url="https://sumo.dlr.de/docs/Simulation/Output/FCDOutput.html",
)
