"""modelyard import"""

from __future__ import annotations

import contextlib
import os

import click

from modelyard.cli.connection import open_workspace
from modelyard.cli.failures import FAILED, Failure
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import workspace_option
from modelyard.cli.output import print_items, print_json, say, waiting, wants_json

_NAMED = 20


@click.group("import", cls=YardGroup)
def import_() -> None:
    """Bring in what another system kept."""


@import_.command()
@click.argument("source")
@click.option(
    "--experiment", "experiments", multiple=True, help="Only this one, by name or id; may be repeated."
)
@click.option(
    "--artifacts",
    type=click.Path(exists=True, file_okay=False),
    help="The directory of the server's artifacts.",
)
@click.option("--deleted", is_flag=True, help="Bring what MLflow has deleted too; it goes to the trash.")
@click.option(
    "--merge",
    type=click.Choice(["skip", "replace", "fail", "rename"]),
    default="skip",
    show_default=True,
    help="What becomes of a run or model that is there with other content.",
)
@workspace_option
def mlflow(
    source: str,
    experiments: tuple[str, ...],
    artifacts: str | None,
    deleted: bool,
    merge: str,
    workspace: str | None,
) -> None:
    """Import from MLflow. SOURCE is a server's address, an mlruns folder, or sqlite:///FILE.

    Run ids, histories of metrics, times and lifecycle are kept. May be done again: it brings what is new.
    """
    from modelyard.importing.mlflow_import import MlflowImport, Wanted
    from modelyard.importing.mlflow_records import SourceError

    opened = open_workspace(workspace)
    opened._info()
    wanted = Wanted(experiments, deleted, merge)
    try:
        with contextlib.closing(_open(source, artifacts)) as from_, waiting(f"Importing {source}") as tell:
            outcome = MlflowImport(from_, opened._client, opened.name, wanted, tell).run()
    except SourceError as error:
        raise Failure(str(error), FAILED) from error
    if wants_json():
        print_json(
            {
                "counts": {kind: dict(counts) for kind, counts in outcome.counts.items()},
                "known": outcome.known,
                "others": outcome.others,
                "broken": [{"name": name, "why": why} for name, why in outcome.broken],
            }
        )
        return
    kinds = ("added", "same", "skipped", "replaced", "renamed")
    columns = [("KIND", lambda c: c[0]), *((k.upper(), lambda c, k=k: c[1][k]) for k in kinds)]
    print_items(list(outcome.counts.items()), columns, lambda c: c, "Nothing new.")
    if outcome.known:
        say(f"{outcome.known} runs were here already.")
    if outcome.others:
        say(f"Here with other content: {', '.join(outcome.others[:_NAMED])}")
    for name, why in outcome.broken:
        say(f"Passed over {name}: {why}")


def _open(source: str, artifacts: str | None):  # type: ignore[no-untyped-def]  # a Source; its module is not for --help
    from modelyard.importing import mlflow_files, mlflow_rest, mlflow_sql

    if source.startswith(("http://", "https://")):
        names = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        return mlflow_rest.RestSource(source, *(os.environ.get(name, "") for name in names))
    if source.startswith("sqlite:///"):
        return mlflow_sql.SqlSource(source.removeprefix("sqlite:///"), artifacts)
    path = source.removeprefix("file://")
    if os.path.isfile(path):
        return mlflow_sql.SqlSource(path, artifacts)
    return mlflow_files.FileSource(path, artifacts)
