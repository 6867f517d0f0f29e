"""`autoscaler knative`: keep-alive and pre-warming of Knative Services by a policy."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import note


def command(
    policy: Annotated[str, typer.Option("--policy", help="A keep-alive rule, or a run on Serverless-v0.")] = "hazard",
    arrivals: Annotated[
        str | None, typer.Option("--arrivals", metavar="URI", help="History: invocations that end now.")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", metavar="URL", help="Else from this Prometheus.")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", metavar="PROMQL", help="Requests of a minute, by namespace and Service.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=180.0, help="How long Prometheus is asked back.")] = 24.0,
    run_seconds: Annotated[float, typer.Option(min=0.001, help="How long a request runs, with Prometheus.")] = 1.0,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Prices, images and nodes, as of Serverless-v0.")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", help="Of the Services; else all.")] = None,
    kubeconfig: Annotated[
        str | None,
        typer.Option("--kubeconfig", help="Kubeconfig file; else the pod's ServiceAccount, KUBECONFIG, your default."),
    ] = None,
    context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run/--no-dry-run", help="Change nothing; the default.")] = True,
    every: Annotated[
        float | None, typer.Option("--every", min=10.0, metavar="SECONDS", help="Again and again; else once.")
    ] = None,
    least_seconds: Annotated[float, typer.Option(min=0.0, help="Between two writes on one Revision.")] = 60.0,
) -> None:
    """Write the policy's keep-alive and pre-warming as annotations of Knative Revisions.

    The history of each Service is played in the simulator up to now. Its last keep-alive becomes the retention period,
    and min-scale is 1 while the policy pre-warms. A dry run, which is the default, only prints what it would write.
    """
    import time
    from functools import partial

    from autoscaler.knative.arrivals import QUERY, from_file, from_prometheus
    from autoscaler.knative.run import KnativeSettings, one_pass
    from autoscaler.knative.services import check_knative
    from autoscaler.live.kube.client import connect
    from envs.serverless.arguments import serverless_config

    if (arrivals is None) == (prometheus is None):
        raise typer.BadParameter("give the history: either --arrivals or --prometheus")
    settings = KnativeSettings(policy, serverless_config(config), namespace, dry_run, least_seconds)
    client = connect(kubeconfig, context)
    check_knative(client)
    note("dry run, nothing is changed" if dry_run else "changes annotations of Revisions")
    while True:
        history = partial(from_file, arrivals or "")
        if prometheus is not None:
            history = partial(
                from_prometheus, prometheus, query or QUERY, hours=hours, run_seconds=run_seconds, now=time.time()
            )
        for change in one_pass(client, settings, history):
            values = ", ".join(f"{name}={value}" for name, value in change.annotations.items())
            typer.echo(f"{change.service.key}: revision {change.service.revision}: {values} ({change.why})")
        if every is None:
            return
        time.sleep(every)
