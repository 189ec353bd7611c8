"""modelyard config"""

from __future__ import annotations

import click

from modelyard.cli.lazy import YardGroup
from modelyard.cli.output import print_items, print_json, wants_json


@click.group(cls=YardGroup)
def config() -> None:
    """Settings: flag over environment variable over config.toml over default."""


@config.command()
@click.option("--origin", is_flag=True, help="Show where each came from.")
def show(origin: bool) -> None:
    """Show the settings that `modelyard up` would take here."""
    from modelyard.server.kernel.settings import load

    _, origins = load({})
    if wants_json() and not origin:
        print_json({o.name: _shown(o.name, o.value) for o in origins})
        return
    columns = [("SETTING", lambda o: o.name), ("VALUE", lambda o: _shown(o.name, o.value))]
    if origin:
        columns.append(("ORIGIN", lambda o: o.origin))
    print_items(
        origins, columns, lambda o: {"name": o.name, "value": _shown(o.name, o.value), "origin": o.origin}, ""
    )


def _shown(name: str, value: object) -> object:
    """Passwords in URLs are not shown."""
    if name not in ("database", "blobs") or not isinstance(value, str) or "://" not in value:
        return value
    from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

    parts = urlsplit(value)
    where = parts.netloc
    if parts.password:
        where = where.replace(f":{parts.password}@", ":***@", 1)
    secret = ("key", "secret", "token", "password", "signature")
    query = urlencode(
        [(k, "***" if any(s in k.lower() for s in secret) else v) for k, v in parse_qsl(parts.query)],
        safe="*/:",
    )
    return urlunsplit((parts.scheme, where, parts.path, query, parts.fragment))
