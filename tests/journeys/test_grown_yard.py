"""The whole job on PostgreSQL and an object store, as on SQLite and files; and what `up` says of wrong ones."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from services import free_port, wait_until

TRAIN = """
import os
from modelyard import Run

run = Run.get_context()
for step in range(5):
    run.log("loss", 1 / (step + 1), step=step)
child = run.child_run(name="fold")
child.log("fold_loss", 0.5)
child.complete()
print("trained it")
os.makedirs("outputs/model", exist_ok=True)
for name in ("a.txt", "b.txt"):
    with open(f"outputs/model/{name}", "w") as file:
        file.write(name * 3)
with open("outputs/large.bin", "wb") as file:
    file.write(os.urandom(3 << 20))
"""
SCORE = """
import json, os

def init():
    global words
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "a.txt")) as file:
        words = file.read()

def run(data):
    return {"words": words, "got": json.loads(data)}
"""


def fresh_database(url: str, name: str) -> str:
    """A database of this test alone in the running cluster."""
    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.rpartition("/")[0] + f"/{name}"


@pytest.fixture(params=["sqlite+files", "postgresql+moto", "postgresql+azurite"])
def grown(request: pytest.FixtureRequest, service: Callable[[str], str], own_yard: Any) -> Iterator[Any]:
    """A yard on each pair of stores. Its flags are in config.toml, so that every `up` finds them."""
    database, blobs = request.param.split("+")
    flags = []
    if database == "postgresql":
        flags += ["--database", fresh_database(service("postgresql"), f"grown_{blobs}")]
        flags += ["--blobs", service(blobs)]
    start = own_yard.up
    own_yard.up = lambda *more: start(*flags, *more)
    yield own_yard
    if database == "postgresql":  # nothing of what people keep may lie on this machine
        assert not (own_yard.home / "yard.db").exists()
        assert not (own_yard.home / "blobs").exists()
        assert list((own_yard.home / "staging").iterdir()) == []


def answer(yard: Any, *args: str) -> Any:
    return json.loads(yard.cli(*args, "-o", "json").stdout)


@pytest.mark.timeout(300)
def test_the_main_job_survives_a_restart(grown: Any, tmp_path: Path) -> None:
    grown.up()
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(TRAIN)
    (source / "score.py").write_text(SCORE)
    command = ["run", "submit", str(source / "train.py"), "--tag", "kind=grown"]
    run_id = grown.cli(*command, "--experiment", "grown").stdout.strip()
    wait_until(
        lambda: answer(grown, "run", "show", run_id)["status"] in ("Completed", "Failed"), "the run", 90
    )
    check_run(grown, run_id, tmp_path / "before")
    grown.cli("model", "register", "-n", "grown", "--run", run_id, "--run-path", "outputs/model")
    deploy = ["endpoint", "deploy", "grown", "-m", "grown", "--entry-script", str(source / "score.py")]
    deployed = grown.cli(*deploy, "--python", sys.executable, check=False)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    uri = answer(grown, "endpoint", "show", "grown")["scoring_uri"]
    assert score(uri) == {"words": "a.txta.txta.txt", "got": [1, 2]}

    grown.cli("down")
    assert score(uri)["got"] == [1, 2]
    grown.up()
    check_run(grown, run_id, tmp_path / "after")
    assert answer(grown, "model", "show", "grown:1")["run_id"] == run_id
    grown.cli("model", "download", "grown:1", "-d", str(tmp_path / "model"))
    assert {p.name for p in (tmp_path / "model").rglob("*.txt")} == {"a.txt", "b.txt"}
    wait_until(lambda: answer(grown, "endpoint", "show", "grown")["state"] == "Healthy", "health", 30)
    assert score(uri)["got"] == [1, 2]

    assert "grown" in grown.cli("model", "delete", "grown:1", "--yes", check=False).stderr
    grown.cli("endpoint", "delete", "grown", "--yes")
    grown.cli("model", "delete", "grown:1", "--yes")
    grown.cli("run", "delete", run_id, "--yes")
    assert grown.cli("run", "show", run_id, check=False).returncode != 0
    assert answer(grown, "model", "list") == []


def check_run(yard: Any, run_id: str, into: Path) -> None:
    shown = answer(yard, "run", "show", run_id)
    assert shown["status"] == "Completed", shown
    assert shown["tags"]["kind"] == "grown"
    assert shown["child_count"] == 1
    assert "trained it" in yard.cli("run", "logs", run_id).stdout
    metrics = yard.cli("run", "metrics", run_id, "-o", "json").stdout
    assert re.search(r'"loss".*1\.0.*0\.2', metrics, re.DOTALL)
    yard.cli("run", "download", run_id, "-d", str(into))
    assert (into / "outputs" / "model" / "b.txt").read_text() == "b.txt" * 3
    assert (into / "outputs" / "large.bin").stat().st_size == 3 << 20


def score(uri: str) -> Any:
    request = urllib.request.Request(uri, data=b"[1, 2]", headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


WRONG_DATABASES = {
    "nobody listens": ("postgresql://yard:s3cret@127.0.0.1:{port}/x", "does not answer"),
    "no such database": ("{base}/nowhere", "nowhere"),
    "no such user": ("postgresql://nobody:s3cret@{server}/postgres", "nobody"),
    "an unescaped @": ("postgresql://yard:s3cret@more@host:port/x", "can't be understood"),
    "another kind": ("mysql://root:s3cret@host/x", "not supported"),
    "no URL at all": ("yard.db", "not supported"),
}
WRONG_BLOBS = {
    "nobody listens": (
        "s3://bucket/x?endpoint=http://127.0.0.1:{port}&region=us-east-1&access_key_id=AK&secret_access_key=s3cret",
        "can't be used",
    ),
    "no such bucket": ("{s3_elsewhere}", "does not exist"),
    "no account": ("az://container", "Account"),
    "an unknown option": ("s3://bucket?secret_access_key=s3cret&colour=blue", "colour"),
    "another kind": ("ftp://user:s3cret@host/x", "not supported"),
    "a directory that can't be": ("file:///proc/nowhere", "can't be used"),
    "a path without a scheme": ("relative/path", "not supported"),
}


def refused(yard: Any, *flags: str) -> str:
    for detach in (["--detach"], []):
        done = yard.cli("up", "--port", "0", *detach, *flags, check=False, timeout_s=60)
        said = str(done.stderr).strip()
        assert done.returncode in (1, 2), said
        assert "Traceback" not in said
        assert "s3cret" not in said
        assert len(said.splitlines()) == 1, said
    for log in (yard.home / "logs").glob("*"):
        assert "s3cret" not in log.read_text()
    assert not (yard.home / "yard.json").exists()
    return said


@pytest.mark.parametrize("case", WRONG_DATABASES)
def test_a_wrong_database_is_said_in_a_line(own_yard: Any, service: Callable[[str], str], case: str) -> None:
    url, words = WRONG_DATABASES[case]
    base = service("postgresql").rpartition("/")[0]
    url = url.format(port=free_port(), base=base, server=base.rpartition("@")[2])
    assert words in refused(own_yard, "--database", url)


@pytest.mark.parametrize("case", WRONG_BLOBS)
def test_a_wrong_blob_store_is_said_in_a_line(
    own_yard: Any, service: Callable[[str], str], case: str
) -> None:
    url, words = WRONG_BLOBS[case]
    elsewhere = service("moto").replace("yard-bucket", "no-bucket") if "{s3_elsewhere}" in url else ""
    assert words in refused(own_yard, "--blobs", url.format(port=free_port(), s3_elsewhere=elsewhere))


def test_wrong_azure_keys_are_said_in_a_line(own_yard: Any, service: Callable[[str], str]) -> None:
    url = re.sub(r"account_key=[^&]*", "account_key=czNjcmV0czNjcmV0", service("azurite"))
    assert "can't be used" in refused(own_yard, "--blobs", url)
