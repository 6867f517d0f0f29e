"""Edge sites in any CSV file; the names of its columns are options, those of the EUA data set by default."""

from dataclasses import dataclass, field

import pyarrow as pa

from traces.arrow import to_numpy
from traces.format import Format, has_columns
from traces.sites import Sites
from traces.tables import read_csv

EUA_CITATION = "Lai et al., Optimal Edge User Allocation in Edge Computing, ICSOC 2018"
EUA_URL = "https://github.com/swinedge/eua-dataset"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of csv-sites."""

    site: str = field(default="SITE_ID", metadata={"help": "column of the names"})
    latitude: str = field(default="LATITUDE", metadata={"help": "column of the latitudes, degrees"})
    longitude: str = field(default="LONGITUDE", metadata={"help": "column of the longitudes, degrees"})


def load(path: str, options: Options) -> Sites:
    """The sites of a CSV file.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    columns = {options.site: pa.string(), options.latitude: pa.float64(), options.longitude: pa.float64()}
    table = read_csv(path, columns)
    names = [str(name) for name in table.column(options.site).to_pylist()]
    latitude, longitude = (to_numpy(table.column(name)) for name in (options.latitude, options.longitude))
    return Sites.from_places(names, latitude, longitude, source=path, licence=FORMAT.licence)


FORMAT = Format(
    name="csv-sites",
    kind="sites",
    description="edge sites in any CSV file, as those of the EUA data set",
    options=Options,
    load=load,
    licence="MIT (EUA data set; site list of the ACMA), else as the file",
    citation=EUA_CITATION,
    example="csv-sites:site-optus-melbCBD.csv",
    url=EUA_URL,
    detect=has_columns("SITE_ID", "LATITUDE", "LONGITUDE"),
)
