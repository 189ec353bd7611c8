"""Who is calling, and what each kind of caller may do. Deny by default: a route names its permission or is not built.

Callers are the owner (the person or machine that holds the owner token), a node, and a run. A run's token is also
its lease: it is good for that run and its descendants alone and is revoked when the run is given to another run host.
"""

from __future__ import annotations

import base64
import hmac
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import sqlalchemy as sa

from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx, insert, metadata
from modelyard.server.kernel.errors import Forbidden, Unauthorized
from modelyard.server.kernel.ids import new_token, token_hash

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),  # run | node
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),  # run id or node name
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Index("tokens_subject", "subject"),
)


class Kind(Enum):
    ANONYMOUS = "anonymous"
    OWNER = "owner"
    NODE = "node"
    RUN = "run"


@dataclass(frozen=True)
class Principal:
    """`workspace_id` is empty for callers that are not bound to one. `subject`: run id or node name."""

    kind: Kind
    workspace_id: str = ""
    subject: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind.value}:{self.subject}" if self.subject else self.kind.value


class Permission(Enum):
    """What a route asks of its caller."""

    PUBLIC = "public"  # no token
    READ = "read"  # look at models, environments, snapshots, experiments of the workspace
    BLOB_WRITE = "blob.write"  # bring bytes
    MODEL_REGISTER = "model.register"
    RUN_CREATE = "run.create"  # a run may only create its own children; the service checks that
    RUN_READ = "run.read"  # a run: itself and its descendants
    RUN_WRITE = "run.write"  # the same
    QUERY = "query"  # ask anything of the whole workspace at once
    CONTRIBUTE = "contribute"  # change anything else in the workspace
    NODE = "node"  # what only nodes do
    ADMIN = "admin"  # the yard itself: workspaces, settings


_P = Permission
ALLOWED: dict[Kind, frozenset[Permission]] = {
    Kind.ANONYMOUS: frozenset({_P.PUBLIC}),
    Kind.OWNER: frozenset(Permission),
    Kind.NODE: frozenset({_P.PUBLIC, _P.READ, _P.BLOB_WRITE, _P.NODE}),
    Kind.RUN: frozenset(
        {_P.PUBLIC, _P.READ, _P.BLOB_WRITE, _P.MODEL_REGISTER, _P.RUN_CREATE, _P.RUN_READ, _P.RUN_WRITE}
    ),
}


_TOPIC = "tokens"
_REMEMBERED_S = 1.0  # how long at most another process's revocation of a token stays unseen here
_REMEMBERED = 10_000  # tokens at most


@dataclass(frozen=True)
class _Known:
    principal: Principal
    expires_at: float | None
    until: float  # of the monotonic clock


class Identity:
    """Resolves bearer tokens and decides.

    A token that was good is remembered for a second, so that who speaks often costs no look at the database. What
    this process revokes or lets expire is forgotten with the commit, before anybody is told of it.
    """

    def __init__(self, db: Database, clock: Clock, owner_token: str) -> None:
        self._db = db
        self._clock = clock
        self._owner_hash = token_hash(owner_token)
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._forgotten = 0  # how often `_known` was emptied
        db.listen(self._notice)
        # Set by the runs slice at start: (ancestor run, run) -> is the second the first or below it?
        self.run_is_within: Callable[[str, str, str], bool] = lambda workspace_id, ancestor, run: (
            ancestor == run
        )

    def resolve(self, authorization: str | None) -> Principal:
        """The caller behind an `Authorization` header. Raises Unauthorized for a token that opens nothing."""
        if not authorization:
            return _ANONYMOUS
        digest = _digest(authorization)
        known = self._remembered(digest)
        if known is not None:
            return known
        forgotten = self._forgotten
        with self._db.read() as tx:
            row = tx.execute(sa.select(tokens).where(tokens.c.hash == digest)).first()
        if row is None or (row.expires_at is not None and row.expires_at < self._clock.now()):
            raise Unauthorized(
                "unknown_token",
                "This token opens nothing here: it is wrong, revoked, or its run has ended or was given to another run host.",
            )
        principal = Principal(Kind(row.kind), row.workspace_id, row.subject)
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            if self._forgotten == forgotten:  # else what was read may be what has just been revoked
                until = self._clock.monotonic() + _REMEMBERED_S
                self._known[digest] = _Known(principal, row.expires_at, until)
        return principal

    def known(self, authorization: str | None) -> Principal | None:
        """The caller, where that can be told without a look at the database. Raises Unauthorized for no bearer token."""
        return self._remembered(_digest(authorization)) if authorization else _ANONYMOUS

    def _remembered(self, digest: str) -> Principal | None:
        if hmac.compare_digest(digest, self._owner_hash):
            return _OWNER
        known = self._known.get(digest)
        if known is None or self._clock.monotonic() >= known.until:
            return None
        is_over = known.expires_at is not None and known.expires_at < self._clock.now()
        return None if is_over else known.principal

    def _notice(self, topics: set[str]) -> None:
        if _TOPIC in topics:
            with self._lock:
                self._known.clear()
                self._forgotten += 1

    def require(self, principal: Principal, permission: Permission) -> None:
        """Raises Unauthorized for an anonymous caller, Forbidden for a known one that may not."""
        if permission in ALLOWED[principal.kind]:
            return
        if principal.kind is Kind.ANONYMOUS:
            raise Unauthorized(
                "token_required",
                "This needs a token. On the yard's own machine it is in owner.token in the yard's home.",
            )
        raise Forbidden("not_allowed", f"{principal.name} may not do this: it needs {permission.value!r}.")

    def require_workspace(self, principal: Principal, workspace_id: str) -> None:
        if principal.workspace_id and principal.workspace_id != workspace_id:
            raise Forbidden("other_workspace", f"{principal.name} belongs to another workspace.")

    def is_own_run(self, principal: Principal, run_id: str) -> bool:
        """Whether `require_run` need not look at the database."""
        return principal.kind is not Kind.RUN or principal.subject == run_id

    def require_run(self, principal: Principal, workspace_id: str, run_id: str) -> None:
        if principal.kind is Kind.RUN and not self.run_is_within(workspace_id, principal.subject, run_id):
            raise Forbidden(
                "other_run", f"{principal.name} may touch only itself and its child runs, not {run_id!r}."
            )


def _password(credentials: str) -> str:
    """The token of a client that can send only a user and a password, as some do with http://user:TOKEN@yard."""
    try:
        return base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        raise Unauthorized(
            "bad_authorization", "Send 'Authorization: Basic BASE64', of any user, ':' and the token."
        ) from None


_ANONYMOUS = Principal(Kind.ANONYMOUS)
_OWNER = Principal(Kind.OWNER)


def _digest(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "basic":
        token = _password(token)
    elif scheme.lower() != "bearer":
        raise Unauthorized("bad_authorization", "Send 'Authorization: Bearer TOKEN'.")
    return token_hash(token.strip())


def issue(
    tx: Tx,
    *,
    kind: Kind,
    workspace_id: str,
    subject: str,
    now: float,
    token: str = "",
    expires_at: float | None = None,
) -> str:
    """A new token for a node or a run; kept only as a hash. `token` given: that one is made good (a node's own file)."""
    token = token or new_token(kind.value)
    row = {
        "hash": token_hash(token),
        "kind": kind.value,
        "workspace_id": workspace_id,
        "subject": subject,
        "created_at": now,
        "expires_at": expires_at,
    }
    tx.execute(insert(tx, tokens).values(**row).on_conflict_do_nothing())
    return token


def revoke(tx: Tx, *, kind: Kind, subject: str) -> None:
    """Every token of this subject stops working with this transaction."""
    revoke_all(tx, kind=kind, subjects=[subject])


def revoke_all(tx: Tx, *, kind: Kind, subjects: Sequence[str]) -> None:
    """The same for some hundreds of subjects."""
    tx.execute(sa.delete(tokens).where(tokens.c.kind == kind.value, tokens.c.subject.in_(subjects)))
    tx.info["topics"].add(_TOPIC)


_EXPIRE = (
    sa.update(tokens)
    .where(tokens.c.kind == sa.bindparam("of_kind"), tokens.c.subject == sa.bindparam("of_subject"))
    .values(expires_at=sa.bindparam("at"))
)


def expire(tx: Tx, *, kind: Kind, subject: str, at: float) -> None:
    """The subject's tokens stop working at `at`; a run's last files may still come in until then."""
    done = tx.execute(_EXPIRE, {"of_kind": kind.value, "of_subject": subject, "at": at})
    if done.rowcount:  # a run that its own client tells of has none
        tx.info["topics"].add(_TOPIC)
