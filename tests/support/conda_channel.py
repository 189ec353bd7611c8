"""A conda channel in a directory, with packages made on the spot. Its `python` is the machine's own, linked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.node.environments.interpreters import Interpreter, own

_MACHINE = {"x86_64": "64", "arm64": "arm64", "aarch64": "aarch64"}[platform.machine()]
SUBDIR = ("osx-" if sys.platform == "darwin" else "linux-") + _MACHINE


@dataclass
class CondaChannel:
    directory: Path
    _packages: dict[str, dict[str, Any]] = field(default_factory=dict)  # by file, as the repodata lists them

    def __post_init__(self) -> None:
        for subdir in ("noarch", SUBDIR):
            (self.directory / subdir).mkdir(parents=True)

    @property
    def address(self) -> str:
        return self.directory.as_uri()

    def python(self, version: str = "", interpreter: Interpreter | None = None) -> str:
        """A `python` that runs `interpreter` (the one that runs the tests, if not said) with packages of its own."""
        chosen = interpreter or own()
        program = os.path.realpath(
            chosen.path if interpreter else getattr(sys, "_base_executable", sys.executable)
        )
        home = os.path.dirname(program)
        minor = f"python{chosen.version[0]}.{chosen.version[1]}"
        text = f"home = {home}\ninclude-system-site-packages = false\nversion = {chosen.text}\n"
        files = {"pyvenv.cfg": text.encode(), f"lib/{minor}/site-packages/.here": b"\n"}
        return self.package(
            "python", version or chosen.text, files, links={"bin/python": program, f"bin/{minor}": "python"}
        )

    def module(self, name: str, version: str = "1.0", requires: str = "") -> str:
        """A Python module that says its version, for every Python; and a program of that name."""
        info = f"site-packages/{name}-{version}.dist-info"
        files = {
            f"site-packages/{name}.py": f"version = {version!r}\n".encode(),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/INSTALLER": b"conda\n",
            f"{info}/RECORD": b"",
        }
        depends = ["python >=3.6", *([requires] if requires else [])]
        return self.package(name, version, files, depends=depends, noarch="python")

    def package(
        self,
        name: str,
        version: str,
        files: dict[str, bytes],
        *,
        links: dict[str, str] | None = None,
        depends: list[str] | None = None,
        noarch: str = "",
        build: str = "0",
    ) -> str:
        """The package's file name."""
        subdir = "noarch" if noarch else SUBDIR
        index = {
            "name": name, "version": version, "build": build, "build_number": 0, "depends": depends or [], "subdir": subdir,
            **({"noarch": noarch} if noarch else {}),
        }  # fmt: skip
        paths = [
            {
                "_path": n,
                "path_type": "hardlink",
                "sha256": hashlib.sha256(b).hexdigest(),
                "size_in_bytes": len(b),
            }
            for n, b in files.items()
        ]
        paths += [{"_path": n, "path_type": "softlink", "size_in_bytes": 0} for n in links or {}]
        about = {
            "info/index.json": json.dumps(index),
            "info/paths.json": json.dumps({"paths_version": 1, "paths": paths}),
            "info/files": "\n".join([*files, *(links or {})]),
        }
        if noarch:
            about["info/link.json"] = json.dumps({"noarch": {"type": noarch}, "package_metadata_version": 1})
        file = self.directory / subdir / f"{name}-{version}-{build}.tar.bz2"
        with tarfile.open(file, "w:bz2") as archive:
            for member, content in {**{k: v.encode() for k, v in about.items()}, **files}.items():
                info = tarfile.TarInfo(member)
                info.size, info.mode = len(content), 0o755 if member.startswith("bin/") else 0o644
                archive.addfile(info, io.BytesIO(content))
            for member, target in (links or {}).items():
                info = tarfile.TarInfo(member)
                info.type, info.linkname = tarfile.SYMTYPE, target
                archive.addfile(info)
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        self._packages[file.name] = {**index, "size": len(content), "sha256": digest}
        return file.name

    def index(self) -> None:
        """Writes the channel's repodata anew: what solvers see."""
        for subdir in ("noarch", SUBDIR):
            packages = {file: of for file, of in self._packages.items() if of["subdir"] == subdir}
            repodata = {
                "info": {"subdir": subdir},
                "packages": packages,
                "packages.conda": {},
                "repodata_version": 1,
            }
            (self.directory / subdir / "repodata.json").write_text(json.dumps(repodata))
