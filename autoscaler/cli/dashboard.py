"""`autoscaler dashboard`: a page that shows what a policy does."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import QuietOption, note


def command(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Recordings, run folders, folders of these, audits or event logs."),
    ] = None,
    live: Annotated[
        list[str] | None,
        typer.Option("--live", metavar="URL", help="An autoscaler that runs with http.stream on."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Play the recordings that are part of this package.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8089,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="AUTOSCALER_DASHBOARD_TOKEN", help="Word that every request must carry."),
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--host-name", help="A further name under which this machine is asked.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the default browser.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a policy does, recorded or live, on a page in the browser.

    The page plays recordings (`simulate --record`, `evaluate --record`) follows a run that is trained, and shows an
    autoscaler that runs. It only reads, and asks no other machine for anything.
    """
    from autoscaler.dashboard import serve

    server = serve.prepare(
        paths or [], live=live or [], demo=demo, host=host, port=port, token=token, names=names or [],
        progress=not quiet,
    )  # fmt: skip
    note(f"dashboard: {server.url} (Ctrl-C ends it)")
    if browser:
        import webbrowser

        webbrowser.open(server.url)
    server.run()
