"""The files of a run: outputs, logs and what was uploaded by hand."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from modelyard import errors
from modelyard.runs.scope import Scope
from modelyard.wire.artifacts import FileInfo, FileList, FilesAdd
from modelyard.wire.trees import path_problem


def listed(scope: Scope, run_id: str) -> List[FileInfo]:
    found: FileList = scope.client.request("GET", scope.run_path(run_id, "files"), kind=FileList)
    return found.items


def add(scope: Scope, run_id: str, sources: Sequence[Tuple[str, str]], overwrite: bool = False) -> List[str]:
    """Attach (name in the run, local file) pairs. Raises Conflict for a name the run has already."""
    named = [(_run_file_name(name), source) for name, source in sources]
    for _, source in named:
        if not os.path.isfile(source):
            raise errors.UserErrorException(f"There is no file {source!r} to upload to run {run_id}.")
    from modelyard import snapshot  # hashes and uploads, which a script that only logs never does

    held = snapshot.upload(scope.client, lambda rest: scope.path() + rest, named)
    scope.client.request(
        "POST",
        scope.run_path(run_id, "files"),
        FilesAdd(held.entries, overwrite=overwrite),
        kind=FileList,
        idempotent=True,
    )
    return [name for name, _ in named]


def add_stream(scope: Scope, run_id: str, name: str, stream: Any) -> None:
    """Attach what a readable object gives."""
    import shutil  # both only for streams
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="modelyard-upload-") as file:
        if isinstance(stream, (bytes, bytearray)):
            file.write(stream)
        else:
            first = stream.read()
            file.write(first.encode("utf-8") if isinstance(first, str) else first)
            if not isinstance(first, str):
                shutil.copyfileobj(stream, file)
        file.flush()
        add(scope, run_id, [(name, file.name)])


def folder_files(name: str, folder: str) -> List[Tuple[str, str]]:
    """(name in the run, local file) of every file below `folder`, named under `name`."""
    if not os.path.isdir(folder):
        raise errors.UserErrorException(f"There is no folder {folder!r} to upload.")
    found: List[Tuple[str, str]] = []
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for one in sorted(names):
            local = os.path.join(directory, one)
            relative = os.path.relpath(local, folder).replace(os.sep, "/")
            found.append((f"{name.rstrip('/')}/{relative}" if name else relative, local))
    return found


def download(scope: Scope, run_id: str, name: str, target: Optional[str]) -> str:
    """Download one file; a directory as `target` keeps the file's own name. Answers where it is."""
    wanted = _run_file_name(name)
    local = target or os.path.basename(wanted)
    if os.path.isdir(local) or local.endswith(("/", os.sep)):
        local = os.path.join(local, os.path.basename(wanted))
    try:
        scope.client.download(scope.run_path(run_id, "files", wanted), local)
    except errors.NotFound as error:
        raise errors.UserErrorException(
            f"Run {run_id} has no file {name!r}. run.get_file_names() lists those it has.",
            code=error.code,
            status=error.status,
        ) from None
    return local


def download_many(
    scope: Scope,
    run_id: str,
    prefix: Optional[str],
    directory: Optional[str],
    paths: Optional[Sequence[str]],
    append_prefix: bool,
) -> List[str]:
    """Download all files whose name begins with `prefix`. `append_prefix` False leaves the prefix's folder out."""
    names = [info.path for info in listed(scope, run_id) if info.path.startswith(prefix or "")]
    if paths:
        if len(paths) != len(names):
            raise errors.UserErrorException(
                f"output_paths has {len(paths)} entries for {len(names)} files: {', '.join(names[:10])}."
            )
        targets = [os.path.join(directory or "", one) for one in paths]
    else:
        cut = 0 if append_prefix or not prefix else len(prefix.rstrip("/").rpartition("/")[0])
        if prefix and not append_prefix and prefix.endswith("/"):
            cut = len(prefix)
        targets = [
            os.path.join(directory or ".", *_safe(name[cut:].lstrip("/")).split("/")) for name in names
        ]
    for name, target in zip(names, targets):
        scope.client.download(scope.run_path(run_id, "files", name), target)
    return targets


def entries_since(folder: str, since: float) -> Dict[str, str]:
    """Files below `folder` written since a Unix time: what an interactive run has left in ./outputs."""
    if not os.path.isdir(folder):
        return {}
    return {
        name: local for name, local in folder_files("outputs", folder) if os.path.getmtime(local) >= since
    }


def _run_file_name(name: str) -> str:
    plain = str(name).replace(os.sep, "/")
    while plain.startswith("./"):
        plain = plain[2:]
    problem = path_problem(plain)
    if problem:
        raise errors.UserErrorException(f"{name!r} can't name a file of a run: it {problem}.")
    return plain


def _safe(name: str) -> str:
    problem = path_problem(name)
    if problem:
        raise errors.ServiceException(
            f"The yard names a file {name!r}, which {problem}; it is not written here."
        )
    return name
