"""The command's root. Start-up is click and this file; a concept's own file is imported when it is called."""

from __future__ import annotations

import sys

import click

from modelyard.cli.failures import run_and_tell
from modelyard.cli.lazy import LazyGroup
from modelyard.version import VERSION

# name -> (module:attribute, help line). The line is here so that `modelyard --help` imports nothing more.
COMMANDS = {
    "up": ("modelyard.cli.yard:up", "Start the yard."),
    "down": ("modelyard.cli.yard:down", "Stop the yard; runs and services go on."),
    "status": ("modelyard.cli.yard:status", "Tell where the yard runs and how it is."),
    "doctor": ("modelyard.cli.doctor:doctor", "Tell what is installed, what is broken and what to do."),
    "config": ("modelyard.cli.config:config", "Show the settings and where each came from."),
    "quickstart": (
        "modelyard.cli.quickstart:quickstart",
        "Train, register, deploy and score on this machine.",
    ),
    "workspace": ("modelyard.cli.workspace:workspace", "Workspaces."),
    "experiment": ("modelyard.cli.experiment:experiment", "Experiments: named groups of runs."),
    "run": ("modelyard.cli.run:run", "Runs: submit a script, follow it, read what it left."),
    "tensorboard": ("modelyard.cli.tensorboard:tensorboard", "TensorBoard over runs, live ones too."),
    "sync": ("modelyard.cli.sync:sync", "Send runs that were kept offline."),
    "sql": ("modelyard.cli.sql:sql", "Ask everything that a workspace keeps in SQL."),
    "environment": ("modelyard.cli.environment:environment", "Environments and their builds."),
    "compute": ("modelyard.cli.compute:compute", "Compute targets."),
    "datastore": ("modelyard.cli.datastore:datastore", "Datastores: files of a workspace, by path."),
    "model": ("modelyard.cli.model:model", "Registered models."),
    "endpoint": ("modelyard.cli.endpoint:endpoint", "Web services: deploy a model and score with it."),
    "trash": ("modelyard.cli.trash:trash", "The trash: what was deleted and can come back."),
    "retention": ("modelyard.cli.retention:retention", "What becomes of old runs by itself."),
    "receipt": ("modelyard.cli.trash:receipt", "Receipts of what was deleted for good."),
    "gc": ("modelyard.cli.trash:gc", "Remove the bytes of files that nothing refers to."),
    "import": ("modelyard.cli.import_:import_", "Bring in what MLflow kept."),
    "completion": ("modelyard.cli.completion:completion", "Print the completion script of a shell."),
}


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done · 1 the thing failed · 2 wrong usage · 3 not found · 4 refused · "
    "5 no yard answers · 130 interrupted",
)
@click.version_option(VERSION, "--version", prog_name="modelyard")
def cli() -> None:
    """Azure Machine Learning's architecture as one open, self-hosted system."""


def main() -> int:
    return run_and_tell(cli, sys.argv[1:])
