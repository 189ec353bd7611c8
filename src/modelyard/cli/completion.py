"""modelyard completion"""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  eval "$(modelyard completion bash)"  in ~/.bashrc
    zsh:   eval "$(modelyard completion zsh)"  in ~/.zshrc
    fish:  modelyard completion fish > ~/.config/fish/completions/modelyard.fish
    """
    from click.shell_completion import get_completion_class

    from modelyard.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(cli, {}, "modelyard", "_MODELYARD_COMPLETE")
    # Not .source(): for bash that runs bash to learn its version, which is not ours to need.
    click.echo(made.source_template % made.source_vars())
