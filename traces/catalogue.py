"""Public releases of traces: where they are, and what their publishers allow."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from configs.errors import did_you_mean
from traces.errors import TraceURIError

NO_LICENCE = "the publisher states no licence"
"""What `Release.licence` says where nobody allowed anything: ask before you publish what you derive."""

_RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a release.

    Attributes:
        url: its address.
        name: under which it is kept.
        sha256: of its content, lower-case hexadecimal; None: not known here, so the first download decides, and each
            later one must be the same.
    """

    url: str
    name: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A public release.

    Attributes:
        name: for `autoscaler traces download NAME`.
        description: one line.
        licence: of the data, as the publisher says.
        citation: what to cite.
        files: its files.
        uri: how to read it, where `{folder}` stands for the folder of its files.
        megabytes: about how much is fetched.
    """

    name: str
    description: str
    licence: str
    citation: str
    files: tuple[File, ...]
    uri: str
    megabytes: float

    def at(self, mirror: str) -> "Release":
        """The same release, whose files are fetched from `MIRROR/NAME/FILE`."""
        base = f"{mirror.rstrip('/')}/{self.name}"
        return replace(self, files=tuple(replace(file, url=f"{base}/{file.name}") for file in self.files))


def _github(repository: str, branch: str, *paths: str) -> tuple[File, ...]:
    return tuple(File(f"{_RAW}/{repository}/{branch}/{path}", path.rpartition("/")[2]) for path in paths)


_OPENB = "cluster-trace-gpu-v2023/csv"
_SPOT = "cluster-trace-v2026-spot-gpu"
_ACME = "https://github.com/InternLM/AcmeTrace/raw/main/data/job_trace"
_PAI = "https://aliopentrace.oss-cn-beijing.aliyuncs.com/v2020GPUTraces"
_PAI_TABLES = {
    "pai_task_table": "cd1d6dc3215d2a8607ccf6b6dd952b5db776df86926c73259fea7c1499ac40e5",
    "pai_job_table": "5aad7f7caac501136d14ed6a48e40546f825d7b0617a3a4f337e2348fe0a6cb0",
    "pai_group_tag_table": "722fef30b7fb7aa50dabd79155614b5423a9d65cf45a9b26c590d57725423a14",
    "pai_instance_table": "1bf1e423a7ce3f8d086699801c362fd56a7182abdb234139e5ebbed97995ca06",
}
"""Tables of PAI that are read -> the checksums that its publisher states."""

CATALOGUE: Mapping[str, Release] = {
    release.name: release
    for release in (
        Release(
            "itp",
            "Microsoft ITP: seven production clusters, 60 days of 2021",
            "MIT",
            "Gu et al., ElasticFlow, ASPLOS 2023",
            _github("microsoft/elasticflow-traces", "main", "data/elasticflow-traces.tar.gz"),
            "itp:{folder}/elasticflow-traces.tar.gz",
            1,
        ),
        Release(
            "philly",
            "Microsoft Philly: the whole release, jobs and utilisation",
            "CC BY 4.0",
            "Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters, ATC 2019",
            (
                File(
                    "https://github.com/msr-fiddle/philly-traces/raw/master/trace-data.tar.gz",
                    "trace-data.tar.gz",
                    "2037ccf63a725a02be718b0e1aeee6142c90b7f62d0d849295120e9f6ba13d2c",  # of its pointer of Git LFS
                ),
            ),
            "philly-json:{folder}/trace-data.tar.gz",
            1056,
        ),
        Release(
            "helios",
            "SenseTime Helios: Earth, Saturn, Uranus and Venus, six months of 2020",
            "CC BY 4.0",
            "Hu et al., Characterization and Prediction of Deep Learning Workloads in GPU Datacenters, SC 2021",
            (File("https://github.com/S-Lab-System-Group/HeliosData/raw/master/data.zip", "data.zip"),),
            "helios:{folder}/data.zip?cluster=Venus",
            36,
        ),
        Release(
            "pai",
            "Alibaba PAI 2020: jobs, tasks, instances and groups",
            "CC BY 4.0",
            "Weng et al., MLaaS in the Wild, NSDI 2022",
            tuple(File(f"{_PAI}/{name}.tar.gz", f"{name}.tar.gz", sha256) for name, sha256 in _PAI_TABLES.items()),
            "pai:{folder}",
            810,
        ),
        Release(
            "acme",
            "Acme: jobs of the clusters Seren and Kalos, six months of 2023",
            "CC BY 4.0",
            "Hu et al., Characterization of Large Language Model Development in the Datacenter, NSDI 2024",
            tuple(File(f"{_ACME}/trace_{name}.csv", f"trace_{name}.csv") for name in ("seren", "kalos")),
            "acme:{folder}?files=trace_*",
            109,
        ),
        Release(
            "openb",
            "Alibaba GPU cluster of 2023: pods that share GPUs, and the nodes",
            "research and study use (Alibaba clusterdata)",
            "Weng et al., Beware of Fragmentation, ATC 2023",
            _github(
                "alibaba/clusterdata",
                "master",
                f"{_OPENB}/openb_pod_list_default.csv",
                f"{_OPENB}/openb_node_list_gpu_node.csv",
            ),
            "openb:{folder}/openb_pod_list_default.csv",
            1,
        ),
        Release(
            "alibaba-spot",
            "Alibaba's GPU cluster of 2026: high-priority and spot jobs, and the nodes",
            "research and study use (Alibaba clusterdata)",
            "Alibaba clusterdata, GPU trace of 2026 with spot jobs",
            _github("alibaba/clusterdata", "master", f"{_SPOT}/job_info_df.csv", f"{_SPOT}/node_info_df.csv"),
            "alibaba-spot:{folder}/job_info_df.csv",
            25,
        ),
        Release(
            "lingjun",
            "Alibaba Lingjun 2023: trainings of language models, and the switches between hosts",
            "Apache-2.0",
            "Cao et al., Crux: GPU-Efficient Communication Scheduling for Deep Learning Training, SIGCOMM 2024",
            _github("alibaba/alibaba-lingjun-dataset-2023", "main", "data/job.csv", "data/worker.csv", "data/topo.csv"),
            "lingjun:{folder}",
            10,
        ),
        Release(
            "burstgpt",
            "BurstGPT: requests to language models of a campus",
            "CC BY 4.0",
            "Wang et al., BurstGPT: A Real-World Workload Dataset to Optimize LLM Serving Systems, KDD 2025",
            _github("HPMLL/BurstGPT", "main", "data/BurstGPT_1.csv"),
            "burstgpt:{folder}/BurstGPT_1.csv",
            50,
        ),
        Release(
            "azure-llm",
            "Azure LLM inference 2023: tokens of each request, conversations and code",
            "CC BY 4.0",
            "Patel et al., Splitwise: Efficient Generative LLM Inference Using Phase Splitting, ISCA 2024",
            _github(
                "Azure/AzurePublicDataset",
                "master",
                "data/AzureLLMInferenceTrace_conv.csv",
                "data/AzureLLMInferenceTrace_code.csv",
            ),
            "azure-llm:{folder}/AzureLLMInferenceTrace_conv.csv",
            2,
        ),
        Release(
            "infinitehbd",
            "faults of 400 GPU servers over 348 days (StepFun, 2025)",
            "Apache-2.0",
            "InfiniteHBD: Building Datacenter-Scale High-Bandwidth Domain for LLM, SIGCOMM 2025",
            _github("stepfun-ai/InfiniteHBD-Trace", "main", "fault_trace.json"),
            "infinitehbd:{folder}/fault_trace.json",
            1,
        ),
    )
}
"""Release by name. A branch may move: the pin of the first download then says that the data changed."""


def find_release(name: str) -> Release:
    """The release of that name.

    Raises:
        TraceURIError: there is none; the nearest name is proposed.
    """
    if name not in CATALOGUE:
        raise TraceURIError(f"there is no release {name!r}{did_you_mean(name, CATALOGUE)}; has {', '.join(CATALOGUE)}")
    return CATALOGUE[name]
