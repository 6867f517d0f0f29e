"""Signals of the EIA, of Electricity Maps, of any CSV file, and generated ones."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import traces
from traces.errors import TraceError, TraceURIError, TraceValueError

EM_2021 = """Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO₂eq/kWh (direct),\
Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage,Renewable Percentage,Data Source,Data Estimated,\
Data Estimation Method
2023-01-01 00:00:00,Germany,Germany,DE,300.5,350.0,60.1,55.0,entsoe.eu,False,
2023-01-01 01:00:00,Germany,Germany,DE,310.5,360.0,59.0,54.0,entsoe.eu,True,TIME_SLICER_AVERAGE
2023-01-01 03:00:00,Germany,Germany,DE,290.0,330.0,61.0,56.0,entsoe.eu,False,
"""
EM_2024 = """Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),\
Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),Renewable energy percentage (RE%),\
Data source,Data estimated,Data estimation method
2024-01-01 00:00:00,USA,CAISO,US-CAL-CISO,100,150,60,55,eia.gov,false,
2024-01-01 00:00:00,USA,ERCOT,US-TEX-ERCO,400,450,40,35,eia.gov,false,
2024-01-01 01:00:00,USA,CAISO,US-CAL-CISO,110,160,60,55,eia.gov,false,
"""


def written(tmp_path: Path, text: str, name: str = "f.csv") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


def test_electricity_maps_of_both_releases_give_direct_and_life_cycle_values(tmp_path: Path) -> None:
    old = traces.load_signal(f"electricity-maps:{written(tmp_path, EM_2021)}")
    assert (old.zone, old.values.tolist(), old.basis) == ("DE", [300.5, 310.5, 310.5, 290.0], "average")
    assert old.estimated.tolist() == [False, True, True, False]
    assert (old.quality.gaps_filled, old.quality.estimated) == (1, 2)
    whole = traces.load_signal(f"electricity-maps:{written(tmp_path, EM_2021)}?scope=life-cycle")
    assert whole.values[0] == 350.0
    new = f"electricity-maps:{written(tmp_path, EM_2024, 'new.csv')}"
    assert traces.load_signal(f"{new}?zone=US-CAL-CISO&scope=life-cycle").values.tolist() == [150.0, 160.0]
    with pytest.raises(TraceURIError, match=r"has the zones US-CAL-CISO, US-TEX-ERCO; choose one"):
        traces.load_signal(new)
    with pytest.raises(TraceURIError, match="did you mean 'US-TEX-ERCO'"):
        traces.load_signal(f"{new}?zone=US-TEX-ERCOT")


def test_a_file_without_the_columns_of_electricity_maps_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(TraceValueError, match=r"has no column Datetime \(UTC\)"):
        traces.load_signal(f"electricity-maps:{written(tmp_path, 'a,b' + chr(10) + '1,2' + chr(10))}")


def test_eia_finds_the_zone_by_folder_file_or_option(tmp_path: Path) -> None:
    rows = [("00", "200"), ("01", ""), ("02", "220"), ("03", "230")]
    text = "timestamp,avg_CI\n" + "".join(f"2022-01-01 {hour}:00:00+00:00,{value}\n" for hour, value in rows)
    for zone in ("CISO", "PJM"):
        (tmp_path / f"eia2022_{zone}.csv.gz").write_bytes(gzip.compress(text.encode()))
    folder = traces.load_signal(f"eia:{tmp_path}?zone=PJM")
    file = traces.load_signal(f"eia:{tmp_path}/eia2022_PJM.csv.gz")
    assert np.array_equal(folder.values, file.values)
    assert (file.zone, file.values.tolist(), file.quality.gaps_filled) == ("PJM", [200.0, 200.0, 220.0, 230.0], 1)
    with pytest.raises(TraceURIError, match="did you mean 'PJM'"):
        traces.load_signal(f"eia:{tmp_path}?zone=PJN")
    with pytest.raises(TraceURIError, match="has the zones CISO, PJM"):
        traces.load_signal(f"eia:{tmp_path}")
    with pytest.raises(TraceURIError, match="is the file of zone PJM, not of CISO"):
        traces.load_signal(f"eia:{tmp_path}/eia2022_PJM.csv.gz?zone=CISO")


@pytest.mark.parametrize(("zone", "gaps", "mean"), [("CISO", 3, 256.2), ("ERCO", 0, 347.2), ("PJM", 23, 362.6)])
def test_a_real_year_is_whole_and_its_gaps_are_counted(data_dir: Path, zone: str, gaps: int, mean: float) -> None:
    signal = traces.load_signal(f"eia:{data_dir}/carbon?zone={zone}")
    assert len(signal.values) == 8760
    assert signal.end_seconds - signal.first_seconds == 365 * 86400
    assert signal.quality.gaps_filled == gaps
    assert signal.values.mean() == pytest.approx(mean, abs=0.5)


def test_any_csv_file_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    text = "hour,area,lmp,guess\n1640995200,N,30,0\n1640998800,N,-20,1\n1640995200,S,50,0\n"
    path = written(tmp_path, text)
    options = "quantity=price&unit=USD/MWh&time=hour&value=lmp&zone_column=area&zone=N&estimated=guess"
    price = traces.load_signal(f"csv:{path}?{options}")
    assert price.values.tolist() == [0.03, -0.02]
    assert price.estimated.tolist() == [False, True]
    assert price.uri.startswith("csv-signal:")
    with pytest.raises(TraceURIError, match=r"has the zones N, S; choose one"):
        traces.load_signal(f"csv:{path}?{options.replace('&zone=N', '')}")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("value=v", "average or marginal"),
        ("value=v&basis=average&unit=USD/MWh", "no unit of carbon"),
        ("value=v&basis=avg", "option basis takes"),
        ("value=w&basis=average", "has no column w"),
        ("value=v&basis=average&tmezone=UTC", "did you mean 'timezone'"),
        ("value=neg&basis=marginal", "is negative"),
        ("value=v&basis=average&time=mixed", "seconds and milliseconds"),
    ],
)
def test_bad_options_and_values_are_one_clear_line(tmp_path: Path, options: str, problem: str) -> None:
    path = written(tmp_path, "time,v,neg,mixed\n2022-01-01T00:00,1,-1,1640995200\n2022-01-01T01:00,2,2,1640998800000\n")
    with pytest.raises(TraceError, match=problem) as caught:
        traces.load_signal(f"csv:{path}?{options}")
    assert "\n" not in str(caught.value)


def test_generated_signals_have_a_uri_that_makes_them_again() -> None:
    first = traces.load_signal("synthetic:wind?seed=2&days=30&start=2022-05-01T00:00")
    again = traces.load_signal(first.uri)
    assert first.uri.startswith("synthetic-signal:wind?")
    assert np.array_equal(first.values, again.values)
    with pytest.raises(TraceURIError, match="did you mean 'solar'"):
        traces.load_signal("synthetic:soler")
    with pytest.raises(TraceURIError, match="days is"):
        traces.load_signal("synthetic:solar?days=0")


def test_a_format_of_jobs_is_no_signal_and_the_other_way_round() -> None:
    with pytest.raises(TraceURIError, match=r"format of jobs, not of signal; use traces\.load"):
        traces.load_signal("itp:x.csv")
    with pytest.raises(TraceURIError, match=r"format of signal, not of jobs; use traces\.load_signal"):
        traces.load("eia:x_CISO.csv")
