"""Users of the EUA data set: where each is; nothing moves."""

from traces.format import Format, has_columns
from traces.formats import csv_mobility
from traces.formats.csv_sites import EUA_CITATION, EUA_URL
from traces.mobility.paths import Mobility
from traces.options import NoOptions

_COLUMNS = csv_mobility.Options(time="", user="", latitude="Latitude", longitude="Longitude")


def load(path: str, _: NoOptions) -> Mobility:
    """The places of `Latitude,Longitude`, a user each.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    return csv_mobility.load(path, _COLUMNS)


FORMAT = Format(
    name="eua-users",
    kind="mobility",
    description="where the users of the EUA data set are; they stand still",
    options=NoOptions,
    load=load,
    licence="MIT",
    citation=EUA_CITATION,
    example="eua-users:users-melbcbd-generated.csv",
    url=EUA_URL,
    detect=has_columns("Latitude", "Longitude", without=("SITE_ID",)),
)
