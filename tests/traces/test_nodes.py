"""The inventory of nodes."""

from pathlib import Path

import pytest

import traces

HEADER = "sn,cpu_milli,memory_mib,gpu,model\n"


def test_nodes_are_read(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(HEADER + "a,64000,262144,2,P100\nb,96000,1000,8,T4\n")
    nodes = traces.load_nodes(f"openb-nodes:{tmp_path / 'n.csv'}")
    assert nodes.table.schema.equals(traces.NODE_SCHEMA)
    assert (nodes.num_nodes, nodes.total_gpus) == (2, 10)
    assert nodes.table.to_pylist()[1] == {
        "node_id": "b", "gpu_model": "T4", "gpus": 8, "cpu_milli": 96000, "memory_mib": 1000, "switches": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,64000,262144,0,P100\n", "row 2, column gpu: 0 is not above 0"),
        ("first,64000,262144,1,P100\n", "row 2, column sn: 'first' is already the value of row 1"),
        ("a,64000,262144,1,\n", "row 2, column model: is empty"),
    ],
)
def test_a_bad_node_is_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "n.csv").write_text(HEADER + "first,64000,262144,2,P100\n" + row)
    with pytest.raises(traces.TraceValueError, match=message):
        traces.load_nodes(f"openb-nodes:{tmp_path / 'n.csv'}")
    (tmp_path / "n.csv").write_text(HEADER + "first,64000,262144,2,P100\n" + row + "b,1,1,4,P100\n")
    nodes = traces.load_nodes(f"openb-nodes:{tmp_path / 'n.csv'}?strict=false")
    assert nodes.total_gpus == 6
    assert nodes.bad_rows_text.startswith("1 row left out")


def test_a_file_without_nodes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(HEADER)
    with pytest.raises(traces.TraceValueError, match="no node"):
        traces.load_nodes(f"openb-nodes:{tmp_path / 'n.csv'}")


def test_the_real_cluster_has_1213_nodes_and_6212_gpus(data_dir: Path) -> None:
    nodes = traces.load_nodes(f"openb-nodes:{data_dir}/traces/openb/openb_node_list_gpu_node.csv.gz")
    assert (nodes.num_nodes, nodes.total_gpus) == (1213, 6212)


def test_the_machines_of_philly_have_spaces_in_their_header_and_cells(tmp_path: Path) -> None:
    """The revised list has no memory."""
    (tmp_path / "cluster_machine_list").write_text(
        "machineId, number of GPUs, single GPU mem\nm31,8, 24GB\nm2,2, 12GB\n"
    )
    (tmp_path / "revised_machine_list.csv").write_text("index,machineId,number of GPUs\n0,m31,8\n1,m2,4\n")
    nodes = traces.load_nodes(f"philly-nodes:{tmp_path}/cluster_machine_list")
    assert nodes.table.select(["node_id", "gpu_model", "gpus"]).to_pylist() == [
        {"node_id": "m31", "gpu_model": "24GB", "gpus": 8},
        {"node_id": "m2", "gpu_model": "12GB", "gpus": 2},
    ]
    revised, _ = traces.find_uri(f"{tmp_path}/revised_machine_list.csv")
    assert revised.startswith("philly-nodes:")
    assert traces.load_nodes(revised).total_gpus == 12
