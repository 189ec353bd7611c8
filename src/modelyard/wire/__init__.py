"""The wire types: everything that crosses a process boundary, as frozen dataclasses.

One file per concept. These are the only wire types there are: the SDK's codec, the server's
validation and `openapi.json` come from them. Rules: add a field only with a default, never reuse a
name, never change a type; `typing.Optional`/`List`/`Dict` and no newer syntax, because Python 3.7
reads these annotations at run time. Imports nothing of ours outside this package.
"""
