"""A conda specification whose channel answers, from `run submit` to a scored web service. No network is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conda_channel import CondaChannel

TRAIN = """
import json, os, shutil, alpha, beta
print(json.dumps([beta.version, os.environ["CONDA_PREFIX"], os.environ["PATH"].split(":")[0], shutil.which("tool")]))
"""
SCORE = """
import os, beta
def init(): pass
def run(data): return [beta.version, os.environ["CONDA_PREFIX"], os.environ["PATH"].split(":")[0]]
"""


def test_a_run_its_repetition_and_a_web_service_use_what_the_channel_has(
    own_yard: Any, tmp_path: Path
) -> None:
    channel = CondaChannel(tmp_path / "channel")
    channel.python()
    channel.module("beta", "1.5")
    channel.module("alpha", requires="beta >=1")
    channel.package("tool", "1.0", {"bin/tool": b"#!/bin/sh\n"})
    channel.index()
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(TRAIN)
    (source / "score.py").write_text(SCORE)
    specification = {"channels": [str(channel.directory)], "dependencies": ["alpha", "tool"]}
    (tmp_path / "conda.yml").write_text(json.dumps(specification))
    conda = ("--conda-file", str(tmp_path / "conda.yml"))
    own_yard.env["RATTLER_CACHE_DIR"] = str(tmp_path / "rattler-cache")
    own_yard.up()

    def run(*arguments: str) -> tuple[dict[str, Any], list[str]]:
        done = own_yard.cli(*arguments, "--follow", cwd=source, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith("["))
        run_id = json.loads(own_yard.cli("run", "list", "--output", "json").stdout)[0]["id"]
        return json.loads(own_yard.cli("run", "show", run_id, "--output", "json").stdout), json.loads(line)

    first, said = run("run", "submit", "train.py", *conda)
    prefix = own_yard.home / "node" / "environments" / first["environment_hash"]
    assert said == ["1.5", str(prefix), f"{prefix}/bin", f"{prefix}/bin/tool"]
    assert any(line.startswith(f"{channel.address}/noarch/beta-1.5-0") for line in first["environment_lock"])
    log = own_yard.cli(
        "run", "logs", first["id"], "--file", "azureml-logs/20_image_build_log.txt", check=False
    )
    assert "Solving for alpha, tool" in log.stdout, log.stderr

    channel.module("beta", "1.6")
    channel.index()
    again, said = run("run", "rerun", first["id"])
    assert said[0] == "1.5"
    assert again["environment_lock"] == first["environment_lock"]

    deployed = own_yard.cli(
        "endpoint", "deploy", "channelled", "--entry-script", "score.py", *conda, cwd=source, check=False
    )
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    scored = own_yard.cli("endpoint", "score", "channelled", "--data", "1").stdout
    assert json.loads(scored) == ["1.5", str(prefix), f"{prefix}/bin"]
