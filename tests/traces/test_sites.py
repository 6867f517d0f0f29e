"""Edge sites, on the map or off it."""

from pathlib import Path

import numpy as np
import pytest

import traces
from autoscaler.cli import main


def sites(tmp_path: Path, *rows: str) -> traces.Sites:
    (tmp_path / "s.csv").write_text("\n".join(["SITE_ID,LATITUDE,LONGITUDE", *rows]))
    return traces.load_sites(f"csv-sites:{tmp_path}/s.csv")


def test_a_site_off_the_map_is_named_with_its_distance(tmp_path: Path) -> None:
    town = traces.load_roads("grid-roads:town")
    some = sites(tmp_path, "near,0.001,0.001", "far,1,0")
    with pytest.raises(traces.TraceValueError, match=r"site far is 109,\d+ m from the nearest road of grid-roads:town"):
        some.check_on(town)
    assert some.within(town).site_id == ("near",)
    some.within(town).check_on(town)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,91,0"], "row 1: site a lies at .91.0, 0.0."),
        (["a,1,0", "a,2,0"], "row 2: site a is in row 1 too"),
        ([], "holds no"),
    ],
)
def test_what_is_no_site_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(traces.TraceError, match=message):
        sites(tmp_path, *rows)


def test_the_sites_of_melbourne_are_on_its_grid(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"csv-sites:{data_dir}/edge/eua/site-optus-melbCBD.csv"
    melbourne = traces.load_sites(uri)
    grid = traces.load_roads("grid-roads:melbourne-cbd")
    assert melbourne.num_sites == 125
    melbourne.check_on(grid, 100.0)
    _, distance = grid.nearest_nodes(*(np.asarray(each) for each in (melbourne.latitude, melbourne.longitude)))
    assert distance.max() < 100
    with pytest.raises(traces.TraceValueError, match="125 of 125 sites are off the map"):
        melbourne.check_on(traces.load_roads(f"json-roads:{data_dir}/edge/roads/downtown_denver_network.json.gz"))
    assert main(["traces", "info", uri]) == 0
    assert "125" in capsys.readouterr().out
