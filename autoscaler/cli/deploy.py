"""`autoscaler deploy`: the same policy on a real cluster."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from autoscaler.cli._common import OverridesOption, note
from autoscaler.cli._names import PolicyOption


def command(
    config: Annotated[str, typer.Option("--config", help="Live config: a file, or a preset such as live/kwok.")],
    policy: PolicyOption = "reactive",
    kubeconfig: Annotated[
        str | None,
        typer.Option("--kubeconfig", help="Kubeconfig file; else the pod's ServiceAccount, KUBECONFIG, your default."),
    ] = None,
    context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig file.")] = None,
    dry_run: Annotated[
        bool | None,
        typer.Option("--dry-run/--no-dry-run", help="Change nothing; the default, unless the config says otherwise."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Decide once, then end.")] = False,
    audit: Annotated[
        str | None, typer.Option("--audit", metavar="PATH", help="Append every decision to this file.")
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option("--log-level", help="Least level of the log.")
    ] = "info",
    overrides: OverridesOption = None,
) -> None:
    """Run a policy on a Kubernetes cluster.

    It watches the cluster, decides at most once a minute, and places pods, orders and removes nodes within the
    guardrails. As a dry run, which is the default, it only explains in its log what it would do.

    Exits with 0 after SIGTERM, 1 when it lost its Lease, 2 when something must be fixed before it can run.
    """
    from autoscaler.live.collector import tune_collector
    from autoscaler.live.kube.client import connect
    from autoscaler.live.policy.decide import make_decider
    from autoscaler.live.preflight import check_cluster
    from autoscaler.live.process import EXIT_SECONDS, Options, Process, obey_signals
    from autoscaler.live.providers.cluster_api.node_group import with_node_groups
    from autoscaler.live.reload import ConfigSource
    from autoscaler.live.telemetry.logs import log_json

    source = ConfigSource(config, tuple(overrides or ()), dry_run, audit)
    settings = source.load()
    log_json(log_level.upper())
    tune_collector()
    decider = make_decider(policy, settings.codec)
    client = connect(kubeconfig, context, settings.api.request_timeout_seconds)
    version = check_cluster(client, settings)
    settings = with_node_groups(settings, client)
    mode = "dry run, nothing is changed" if settings.dry_run else "changes the cluster"
    note(f"{decider.policy.name} on {client.server} ({version}): {mode}")
    process = Process(settings, client, decider, Options(policy, 1 if once else None, source, EXIT_SECONDS))
    with obey_signals(process):
        status = process.run()
    raise typer.Exit(status)
