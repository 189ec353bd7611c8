from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from modelyard.server.environments.service import EnvironmentService
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.events import Hub, events
from modelyard.server.migrations.schema import whole
from modelyard.wire.environment_hash import content_hash
from modelyard.wire.environments import BuildReport, BuildStatus, EnvironmentSpec, PythonSpec

WS = "w1"
HASH = "ab" * 32


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'yard.db'}")
    whole().create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def service(db: Database, clock: ManualClock) -> EnvironmentService:
    return EnvironmentService(db, clock, Hub())


def _spec(*requirements: str, name: str = "mine", **fields: Any) -> EnvironmentSpec:
    return EnvironmentSpec(name=name, python=PythonSpec(requirements=list(requirements)), **fields)


def _version(service: EnvironmentService, spec: EnvironmentSpec) -> str:
    return service.register(WS, spec).spec.version


def test_versions_count_up_and_equal_content_keeps_its_version(service: EnvironmentService) -> None:
    assert _version(service, _spec("six")) == "1"
    assert _version(service, _spec("six")) == "1"
    assert _version(service, _spec("six", variables={"A": "b"})) == "2"
    assert _version(service, _spec("pytz")) == "3"
    assert _version(service, _spec("six")) == "4"
    assert _version(service, _spec("six", name="other")) == "1"


def test_a_version_of_ones_own_is_kept_and_never_changes(service: EnvironmentService) -> None:
    assert _version(service, _spec("six", version="2021-a")) == "2021-a"
    assert _version(service, _spec("six", version="2021-a")) == "2021-a"
    with pytest.raises(Conflict, match="2021-a is there with other content"):
        service.register(WS, _spec("pytz", version="2021-a"))
    assert _version(service, _spec("pytz", version="7")) == "7"
    assert _version(service, _spec("wrapt")) == "8"


def test_get_answers_the_latest_or_the_version_named(service: EnvironmentService) -> None:
    service.register(WS, _spec("six"))
    service.register(WS, _spec("pytz"))
    assert service.get(WS, "mine").spec.python.requirements == ["pytz"]
    assert service.get(WS, "mine", "latest").spec.version == "2"
    info = service.get(WS, "mine", "1")
    assert (info.spec.python.requirements, info.content_hash) == (["six"], content_hash(_spec("six")))
    with pytest.raises(NotFound, match="It has 1, 2"):
        service.get(WS, "mine", "3")
    with pytest.raises(NotFound, match="modelyard environment list"):
        service.get(WS, "yours")
    with pytest.raises(NotFound):
        service.get("w2", "mine")
    with pytest.raises(NotFound):
        service.get(WS, "mine\x00")


def test_the_list_shows_the_latest_of_each_and_the_curated_ones(service: EnvironmentService) -> None:
    for spec in (_spec("six"), _spec("pytz"), _spec("six", name="a")):
        service.register(WS, spec)
    listed = [(i.spec.name, i.spec.version) for i in service.list(WS)]
    assert listed[:2] == [("a", "1"), ("mine", "2")]
    assert ("AzureML-Minimal", "1") in listed
    assert [i.spec.version for i in service.list(WS, "mine")] == ["1", "2"]


@pytest.mark.parametrize(
    "name",
    ["AzureML-Minimal", "AzureML-Tutorial", "AzureML-Scikit-learn-0.20.3", "AzureML-TensorFlow-2.2-CPU", "azureml-sklearn-1.5",
     "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu", "AzureML-PyTorch-1.6-GPU", "AzureML-XGBoost-0.9-Vw-8"],
)  # fmt: skip
def test_curated_names_are_found(service: EnvironmentService, name: str) -> None:
    spec = service.resolve(WS, EnvironmentSpec(name=name))
    assert spec.python.conda is not None
    assert spec.name == name
    assert ("notices" in spec.recorded) == any(c.isdigit() for c in name.split("-", 1)[1])


def test_curated_names_cannot_be_registered(service: EnvironmentService) -> None:
    with pytest.raises(Invalid, match="clone"):
        service.register(WS, _spec("six", name="AzureML-Mine"))


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "a\nb", "x" * 300, "a ", "ü"])
def test_a_name_that_would_not_fit_an_address_is_refused(service: EnvironmentService, name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        service.register(WS, _spec("six", name=name))


@pytest.mark.parametrize(
    "spec",
    [_spec("six\n--index-url x"), _spec("six --index-url https://evil"), _spec("--index-url https://evil"),
     EnvironmentSpec(name="mine", python=PythonSpec(conda={"dependencies": ["x; id"]})),
     _spec("six", variables={"A=B": "c"}), _spec("six", variables={"A": "\x00"}), _spec("six", version="../1")],
)  # fmt: skip
def test_hostile_content_is_refused_at_registration_and_at_submit(
    service: EnvironmentService, spec: EnvironmentSpec
) -> None:
    with pytest.raises(Invalid):
        service.register(WS, spec)
    if not spec.version:
        with pytest.raises(Invalid):
            service.resolve(WS, spec)


def test_a_spec_that_only_names_an_environment_is_filled(service: EnvironmentService) -> None:
    service.register(WS, _spec("six", variables={"A": "1", "B": "2"}))
    service.register(WS, _spec("pytz"))
    filled = service.resolve(WS, EnvironmentSpec(name="mine", version="1", variables={"B": "3"}))
    assert filled.python.requirements == ["six"]
    assert filled.variables == {"A": "1", "B": "3"}
    assert service.resolve(WS, EnvironmentSpec(name="mine")).version == "2"
    with pytest.raises(NotFound):
        service.resolve(WS, EnvironmentSpec(name="none"))
    for whole_ in (_spec("wrapt"), EnvironmentSpec()):
        assert service.resolve(WS, whole_) == whole_


def test_registering_is_an_event(service: EnvironmentService, db: Database) -> None:
    service.register(WS, _spec("six"), "owner")
    service.register(WS, _spec("six"), "owner")
    with db.read() as tx:
        rows = tx.execute(sa.select(events).where(events.c.kind == "environment.registered")).all()
    assert [(r.subject, r.actor, r.data) for r in rows] == [("mine", "owner", {"version": "1"})]


def test_a_workspace_takes_its_environments_with_it(service: EnvironmentService, db: Database) -> None:
    service.register(WS, _spec("six"))
    db.write(lambda tx: service.forget_workspace(tx, WS))
    with pytest.raises(NotFound):
        service.get(WS, "mine")


def _read(service: EnvironmentService, offset: int = 0) -> tuple[bytes, bool]:
    return asyncio.run(service.wait_for_log(HASH, offset, 0))


def test_a_build_is_told_from_its_begin_to_its_end(service: EnvironmentService, clock: ManualClock) -> None:
    service.report("local", HASH, BuildReport(BuildStatus.BUILDING))
    begun = clock.now()
    assert service.append_log("local", HASH, 0, b"one\n").offset == 4
    assert service.append_log("local", HASH, 0, b"one\ntwo\n").offset == 8
    assert service.append_log("local", HASH, 0, b"one\n").offset == 8
    with pytest.raises(Conflict) as caught:
        service.append_log("local", HASH, 9, b"x")
    assert caught.value.extra == {"offset": 8}
    assert _read(service, 4) == (b"two\n", False)
    clock.advance(3)
    service.report("local", HASH, BuildReport(BuildStatus.SUCCEEDED, "3.11.7", ["six==1.0"], "", 2.5))
    info = service.build(HASH)
    assert (info.status, info.started_at, info.finished_at) == (BuildStatus.SUCCEEDED, begun, begun + 3)
    assert info.lock == ["six==1.0"]
    assert _read(service) == (b"one\ntwo\n", True)
    assert _read(service, 8) == (b"", True)


def test_a_build_that_begins_again_begins_its_log_again(service: EnvironmentService) -> None:
    service.report("local", HASH, BuildReport(BuildStatus.BUILDING))
    service.append_log("local", HASH, 0, b"first\n")
    service.report("local", HASH, BuildReport(BuildStatus.FAILED, error="no such package"))
    assert service.build(HASH).error == "no such package"
    service.report("local", HASH, BuildReport(BuildStatus.BUILDING))
    assert service.append_log("local", HASH, 0, b"2\n").offset == 2
    assert _read(service) == (b"2\n", False)
    assert len(service.builds()) == 1


def test_a_build_nobody_told_of_is_not_there(service: EnvironmentService) -> None:
    with pytest.raises(NotFound):
        service.build(HASH)
    with pytest.raises(NotFound):
        _read(service)
    with pytest.raises(NotFound):
        service.append_log("local", HASH, 0, b"x")
    with pytest.raises(Invalid):
        service.report("local", "../x", BuildReport(BuildStatus.BUILDING))
