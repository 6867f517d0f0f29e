"""Conversions between Arrow and numpy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.arrow import from_numpy, is_null, labels, strings, to_numpy


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(1, 3))
def test_numbers_survive_both_ways(values: list[int], step: int) -> None:
    array = np.array(values, dtype=np.int64)[::step]
    assert to_numpy(pa.chunked_array([from_numpy(array)])).tolist() == array.tolist()
    halves = pa.chunked_array([from_numpy(array[:1]), from_numpy(array[1:])])
    assert to_numpy(halves).tolist() == array.tolist()


def test_views_of_a_table_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        to_numpy(pa.chunked_array([from_numpy(np.zeros(3))]))[0] = 1


@given(st.lists(st.text()))
def test_strings_are_those_of_arrow(values: list[str]) -> None:
    assert strings(values).equals(pa.array(values, pa.string()))


def test_labels_and_nulls() -> None:
    assert labels("job-", np.array([3, 1])).to_pylist() == ["job-3", "job-1"]
    assert labels("job-", np.array([3, 1] * 9)).to_pylist() == ["job-3", "job-1"] * 9  # each text made once
    assert is_null(pa.chunked_array([[1, None], [None]])).tolist() == [False, True, True]


@pytest.mark.parametrize("pattern", ["itp:{}.csv", "{}.parquet", "synthetic:steady?days=1&seed=0"])
def test_loading_does_not_import_pandas(tmp_path: Path, pattern: str) -> None:
    name = tmp_path / "x"
    name.with_suffix(".csv").write_text("job_id,submission_time,duration,num_gpu\nb,500,600,8\n")
    code = (
        f"import sys, traces; traces.load('itp:{name}.csv').to_parquet('{name}.parquet'); "
        f"traces.load('{pattern.format(name)}'); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
