"""Presets of the generator: published statistics of real GPU clusters, with their sources."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A log-normal distribution of durations.

    Attributes:
        log_mean: mean of the natural logarithm of the duration in seconds.
        log_sigma: standard deviation of that logarithm.
    """

    log_mean: float
    log_sigma: float


@dataclass(frozen=True, slots=True)
class JobClass:
    """Jobs that request the same GPUs.

    Attributes:
        gpu_milli: GPUs of the whole job, thousandths.
        weight: share of the jobs, relative to the other classes.
        durations: mixture of durations: (weight, distribution).
    """

    gpu_milli: int
    weight: float
    durations: tuple[tuple[float, LogNormal], ...]


@dataclass(frozen=True, slots=True)
class Preset:
    """What a synthetic workload looks like.

    Attributes:
        description: one line for humans.
        days: length where nobody says another, days.
        jobs_per_day: expected jobs per day, averaged over whole weeks.
        classes: the mix of jobs.
        hour_weights: relative submissions in each hour of the day, [24]; all equal: no daily rhythm.
        weekend_weight: submissions of a Saturday or Sunday relative to a working day.
        modulation_sigma: standard deviation of the logarithm of a random factor on the arrival rate; 0: Poisson.
        modulation_hours: correlation time of that factor, hours.
        sweep_share: probability that a submission is a sweep, several equal jobs at once.
        sweep_mean_jobs: mean jobs of a sweep before the quota cuts it, >= 2.
        quota_gpus: most GPUs that one sweep requests together (a single job may request more).
        max_duration_hours: time limit at which a job is killed, hours.
        num_users: users; the n-th most active submits in proportion to n ** -`user_exponent`.
        user_exponent: skew of the users.
        num_groups: groups that the users belong to.
    """

    description: str
    days: float
    jobs_per_day: float
    classes: tuple[JobClass, ...]
    hour_weights: tuple[float, ...] = (1.0,) * 24
    weekend_weight: float = 1.0
    modulation_sigma: float = 0.0
    modulation_hours: float = 1.0
    sweep_share: float = 0.0
    sweep_mean_jobs: float = 2.0
    quota_gpus: int = 64
    max_duration_hours: float = 24.0
    num_users: int = 100
    user_exponent: float = 1.2
    num_groups: int = 10


EVALUATION = LogNormal(4.564, 2.023)
"""Source: Hu et al., "Characterization of Large Language Model Development" (NSDI 2024), Seren, Evaluation; our fit."""

SFT = LogNormal(4.948, 1.736)
"""Source: as `EVALUATION`, supervised fine-tuning."""

PRETRAIN = LogNormal(7.167, 2.413)
"""Source: as `EVALUATION`, Kalos, Pretrain."""

PAI = LogNormal(6.239, 2.431)
"""Source: Weng et al., "MLaaS in the Wild" (NSDI 2022), GPU jobs, as drawn in Hu et al. (NSDI 2024); our fit."""

PHILLY = LogNormal(6.655, 2.539)
"""Source: Jeon et al. (ATC 2019), GPU jobs, as drawn in Hu et al. (NSDI 2024); our fit."""

VENUS_HOURS = (
    *(25.4, 18.5, 16.8, 10.6, 7.3, 5.5, 4.9, 6.0, 10.3, 22.5, 36.9, 42.0),
    *(33.1, 37.0, 44.5, 47.3, 49.5, 49.5, 36.5, 37.4, 38.3, 38.9, 32.7, 29.5),
)
"""GPU jobs submitted in each hour of the day.
Source: Hu et al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters"
(SC 2021, Helios), daily pattern of the cluster Venus; read off the figure."""

WEEKEND_WEIGHT = 0.63
"""Source: Philly (ATC 2019), submissions per Saturday or Sunday over submissions per working day, 2017-09 and -10."""

STATUS_SHARES: Mapping[int, tuple[float, float, float]] = {
    1: (66.8, 18.5, 14.7),
    2: (40.5, 32.5, 27.0),
    4: (57.6, 19.4, 23.0),
    8: (55.1, 29.2, 15.7),
    16: (42.8, 46.3, 10.9),
    32: (43.9, 41.1, 15.0),
    64: (21.3, 68.5, 10.2),
}
"""GPUs, at least -> percent of jobs that are completed, cancelled, failed. Source: Helios (SC 2021); off the figure."""

# Shares of jobs by GPUs. Source: Helios (SC 2021), all clusters, cumulative 72.2, 74.7, 80.5, 94.7, 97.7, 99.4, 99.7 %
# at 1, 2, 4, 8, 16, 32, 64 GPUs. Small jobs mix tests with training, gangs mix failed starts with long pretraining.
_SMALL = ((0.6, EVALUATION), (0.4, PAI))
_NODE = ((0.4, SFT), (0.6, PAI))
_GANG = ((0.5, SFT), (0.5, PRETRAIN))
_HELIOS = (
    JobClass(1000, 72.2, _SMALL),
    JobClass(2000, 2.5, _SMALL),
    JobClass(4000, 5.8, _NODE),
    JobClass(8000, 14.2, _NODE),
    JobClass(16000, 3.0, _GANG),
    JobClass(32000, 1.7, _GANG),
    JobClass(64000, 0.3, _GANG),
)

# Shares of pods by GPUs requested. Source: Alibaba GPU cluster 2023 (openb, ATC 2023), GPU pods of the default list;
# shares below 1 % are left out.
_OPENB = tuple(
    JobClass(gpu_milli, weight, ((1.0, PAI),))
    for gpu_milli, weight in (
        *((1000, 55.4), (810, 15.3), (470, 10.6), (320, 4.6), (650, 3.6), (230, 2.0), (460, 1.8), (590, 1.1)),
        *((160, 1.0), (550, 1.0), (8000, 0.6), (2000, 0.2), (4000, 0.2)),
    )
)

PRESETS: Mapping[str, Preset] = {
    "quickstart": Preset(
        description="a team's cluster of 8 to 20 nodes of 8 GPUs at its peak: busy days, quiet nights and weekends",
        days=30,
        jobs_per_day=280,
        classes=_HELIOS[:6],
        hour_weights=VENUS_HOURS,
        weekend_weight=WEEKEND_WEIGHT,
        modulation_sigma=0.4,
        sweep_share=0.12,
        sweep_mean_jobs=6,
        quota_gpus=16,
        max_duration_hours=12,
        num_users=40,
        num_groups=5,
    ),
    "diurnal": Preset(
        description="a strong daily and weekly rhythm, otherwise smooth",
        days=28,
        jobs_per_day=1200,
        classes=_HELIOS,
        hour_weights=VENUS_HOURS,
        weekend_weight=WEEKEND_WEIGHT,
        max_duration_hours=8,
    ),
    "bursty": Preset(
        description="large sweeps and swings of the arrival rate, a weak daily rhythm",
        days=28,
        jobs_per_day=1000,
        classes=_HELIOS[:6],
        hour_weights=tuple(1.0 + weight / 50 for weight in VENUS_HOURS),
        modulation_sigma=0.9,
        modulation_hours=2.0,
        sweep_share=0.3,
        sweep_mean_jobs=20,
    ),
    "fractional": Preset(
        description="pods that share GPUs, from 16 % of one GPU to 8 GPUs",
        days=28,
        jobs_per_day=1000,
        classes=_OPENB,
        hour_weights=VENUS_HOURS,
        modulation_sigma=0.4,
        sweep_share=0.1,
        sweep_mean_jobs=8,
        quota_gpus=32,
    ),
    "steady": Preset(
        description="the same rate at all times (Poisson), with the heavy-tailed durations of Philly",
        days=28,
        jobs_per_day=1000,
        classes=tuple(JobClass(item.gpu_milli, item.weight, ((1.0, PHILLY),)) for item in _HELIOS[:4]),
        max_duration_hours=168,
    ),
}
"""Preset by name."""
