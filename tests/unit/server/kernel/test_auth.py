"""Tokens are remembered for a moment; what is revoked is forgotten at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.kernel import auth
from modelyard.server.kernel.auth import Identity, Kind, Principal
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.db import Database, metadata
from modelyard.server.kernel.errors import Unauthorized

HEADER = "Bearer t"
RUN = Principal(Kind.RUN, "w", "r")


class Yard:
    """One database and two processes on it, as it were."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.db = Database(f"sqlite:///{path}")
        self.other = Database(f"sqlite:///{path}")
        metadata.create_all(self.db.engine)
        self.identity = Identity(self.db, self.clock, "owner")
        self.db.write(
            lambda tx: auth.issue(tx, kind=Kind.RUN, workspace_id="w", subject="r", now=0, token="t")
        )


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path / "x.db")
    yield made
    made.db.close()
    made.other.close()


def test_a_token_is_known_once_it_was_looked_up_and_only_for_a_second(yard: Yard) -> None:
    assert yard.identity.known(HEADER) is None
    assert yard.identity.resolve(HEADER) == RUN
    assert yard.identity.known(HEADER) == RUN
    yard.clock.advance(1.1)
    assert yard.identity.known(HEADER) is None


def test_the_owner_and_nobody_are_always_known(yard: Yard) -> None:
    assert yard.identity.known("Bearer owner") == Principal(Kind.OWNER)
    assert yard.identity.known(None) == Principal(Kind.ANONYMOUS)


def test_a_revoked_token_opens_nothing_from_the_commit_on(yard: Yard) -> None:
    yard.identity.resolve(HEADER)
    yard.db.write(lambda tx: auth.revoke(tx, kind=Kind.RUN, subject="r"))
    assert yard.identity.known(HEADER) is None
    with pytest.raises(Unauthorized):
        yard.identity.resolve(HEADER)


def test_a_token_ends_when_it_expires(yard: Yard) -> None:
    at = yard.clock.now() + 0.5
    yard.db.write(lambda tx: auth.expire(tx, kind=Kind.RUN, subject="r", at=at))
    assert yard.identity.resolve(HEADER) == RUN
    yard.clock.advance(0.6)
    assert yard.identity.known(HEADER) is None
    with pytest.raises(Unauthorized):
        yard.identity.resolve(HEADER)


def test_what_another_process_revokes_is_seen_within_a_second(yard: Yard) -> None:
    yard.identity.resolve(HEADER)
    yard.other.write(lambda tx: auth.revoke(tx, kind=Kind.RUN, subject="r"))
    yard.clock.advance(1.1)
    with pytest.raises(Unauthorized):
        yard.identity.resolve(HEADER)
