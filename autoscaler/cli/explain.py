"""`autoscaler explain`: why a node is still here, why a job waits, and why a trained policy decides as it does."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, OverridesOption, QuietOption, note, write_json
from autoscaler.cli._explain_run import explain_run, is_run

SCHEMA = "autoscaler.explain/1"


def command(
    target: Annotated[
        str,
        typer.Argument(help="node/NAME, pod/NAMESPACE/NAME or job/NAMESPACE/NAME; or a run, or pretrained:NAME."),
    ],
    kubeconfig: Annotated[
        str | None,
        typer.Option("--kubeconfig", help="Kubeconfig file; else the pod's ServiceAccount, KUBECONFIG, your default."),
    ] = None,
    context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig file.")] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of a pod or Job that names none.")
    ] = "default",
    config: Annotated[
        str | None, typer.Option("--config", help="Live config; else that of the running autoscaler.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Policy; else that of the running autoscaler, where it can be read.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="URI", help="Of a run: other jobs than those of its training.")
    ] = None,
    windows: Annotated[int, typer.Option(min=1, help="Of a run: equal windows of the tested part.")] = 5,
    json_to: JsonOption = None,
    overrides: OverridesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say in plain sentences why a node is still here, why a job or pod waits, or why a policy decides as it does.

    Of a trained run it plays the windows of `autoscaler evaluate` beside reactive-tuned: which features move which
    choice, what is chosen over load and hour, where it differs from the heuristic, and the moments that decided.

    Of an object it looks at the cluster once, decides as the loop would, and changes nothing. Config, policy and memory
    come from the status ConfigMap of the running autoscaler.

    Exits with 0 when it can answer, and with 2 when there is no such object or the cluster cannot be read.
    """
    if is_run(target):
        explain_run(target, trace, overrides or (), windows, json_to, quiet)
        return
    from autoscaler.live.explain.target import parse_target
    from autoscaler.live.inspection import NAMESPACE, choose_decider, inspect, published_config, read_published
    from autoscaler.live.kube.client import connect
    from autoscaler.live.reload import ConfigSource

    wanted = parse_target(target, namespace)
    settings = None if config is None else ConfigSource(config, tuple(overrides or ())).load()
    client = connect(kubeconfig, context)
    published = read_published(client, NAMESPACE if settings is None else settings.leader_election.namespace)
    settings = published_config(published) if settings is None else settings
    decider, caveat = choose_decider(policy, published, settings)
    found = inspect(client, settings, wanted, decider, published)
    if json_to is not None:
        write_json(
            {"schema": SCHEMA, **found.document(), "policy": decider.policy.name, "autoscaler": published.summary},
            json_to,
        )
    if json_to != "-":
        typer.echo(f"{found.target}: {found.state}")
        for sentence in found.sentences:
            typer.echo(f"  {sentence}")
        for words in (published.summary, caveat):
            if words:
                note(words)
