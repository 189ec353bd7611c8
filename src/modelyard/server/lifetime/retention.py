"""Retention rules: what is old goes by itself, but never what a model stands on or somebody has tagged `keep`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from modelyard.server.kernel import events
from modelyard.server.kernel.auth import Kind, Principal
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.ids import new_id
from modelyard.server.lifetime import retention_store, store
from modelyard.server.models import purge as model_purge
from modelyard.server.runs import expiry, trash
from modelyard.server.runs import purge as run_purge
from modelyard.server.runs import rules as run_rules
from modelyard.server.runs import store as run_store
from modelyard.server.runs.expiry import Old
from modelyard.server.runs.search.expression import All, Attribute, OneOf
from modelyard.server.runs.search.parser import parse
from modelyard.server.runs.search.query import Query, View
from modelyard.server.runs.service import RunService
from modelyard.wire.lifetime import Receipt, RetentionFound, RetentionRule

RETENTION = "retention"  # kind of a receipt
WHAT = ("runs", "outputs", "logs", "snapshots")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DAY_S = 86_400.0
_MOST = 10_000  # runs at a time; the rest follows the next day
_PORTION = 100  # runs in one transaction
_OWNER = Principal(Kind.OWNER)


class Retention:
    def __init__(self, db: Database, clock: Clock, runs: RunService) -> None:
        self._db = db
        self._clock = clock
        self._runs = runs

    def rules(self, workspace_id: str) -> list[RetentionRule]:
        """By name."""
        with self._db.read() as tx:
            return retention_store.every(tx, workspace_id)

    def set(self, workspace_id: str, rule: RetentionRule, actor: str) -> RetentionRule:
        """Keep the rule, in place of one of the same name. Raises Invalid."""
        _check(rule)

        def write(tx: Tx) -> RetentionRule:
            retention_store.put(tx, workspace_id, rule)
            self._publish(tx, workspace_id, "retention.set", rule.name, actor)
            return rule

        return self._db.write(write)

    def remove(self, workspace_id: str, name: str, actor: str) -> None:
        """Raises NotFound."""

        def write(tx: Tx) -> None:
            self._named(tx, workspace_id, [name])
            retention_store.remove(tx, workspace_id, name)
            self._publish(tx, workspace_id, "retention.removed", name, actor)

        self._db.write(write)

    def look(self, workspace_id: str, names: Sequence[str]) -> list[RetentionFound]:
        """What these rules (none named: all) would take away now. Raises NotFound."""
        with self._db.read() as tx:
            rules = self._named(tx, workspace_id, names)
        found = []
        for rule in rules:
            ids = [run_id for some in self._chosen(workspace_id, rule) for run_id in some]
            with self._db.read() as tx:
                if rule.what == "runs":
                    files = [size for going in run_purge.contents(tx, ids) for _, _, size in going.files]
                elif rule.what == "snapshots":
                    files = []
                else:
                    files = [entry.size for entry in expiry.files_of(tx, ids, rule.what)]
            found.append(RetentionFound(rule.name, rule.what, ids, len(files), sum(files)))
        return found

    def apply(self, workspace_id: str, names: Sequence[str], actor: str) -> list[Receipt]:
        """Take away what these rules (none named: all) say; a receipt for each that found something. Raises NotFound."""
        with self._db.read() as tx:
            rules = self._named(tx, workspace_id, names)
        receipts = []
        for rule in rules:
            receipt = new_id()
            for some in self._chosen(workspace_id, rule):
                self._db.write(partial(self._take, workspace_id, rule, some, receipt, actor))
            with self._db.read() as tx:
                if store.exists(tx, receipt):
                    receipts.append(store.info(store.anywhere(tx, receipt)))
        return receipts

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        retention_store.forget_workspace(tx, workspace_id)

    def _chosen(self, workspace_id: str, rule: RetentionRule) -> Iterator[list[str]]:
        """In portions: the runs that the rule is about, with the runs below them where it is not about whole runs."""
        with self._db.read() as tx:
            experiments = expiry.experiment_ids(tx, workspace_id, rule.experiment)
        old = Old(rule.what, self._clock.now() - rule.keep_days * _DAY_S, rule.keep_last)
        left = _MOST
        for experiment_id in experiments:
            with self._db.read() as tx:
                ids = expiry.old_runs(tx, experiment_id, old, left)
            left -= len(ids)
            for start in range(0, len(ids), _PORTION):
                with self._db.read() as tx:
                    some = self._unprotected(tx, workspace_id, ids[start : start + _PORTION])
                some = self._matching(workspace_id, some, rule.filter)
                if some and rule.what != "runs":
                    with self._db.read() as tx:
                        some = [id_ for root in some for id_ in (root, *run_store.descendant_ids(tx, root))]
                if some:
                    yield some
            if not left:
                return

    def _unprotected(self, tx: Tx, workspace_id: str, roots: Sequence[str]) -> list[str]:
        families = {root: [root, *run_store.descendant_ids(tx, root)] for root in roots}
        everyone = [run_id for family in families.values() for run_id in family]
        kept = expiry.kept(tx, everyone) | model_purge.run_ids_with_models(tx, workspace_id, everyone)
        return [root for root, family in families.items() if not kept.intersection(family)]

    def _matching(self, workspace_id: str, ids: Sequence[str], expression: str) -> list[str]:
        if not expression or not ids:
            return list(ids)
        wanted = All((OneOf(Attribute("run_id"), tuple(ids)), parse(expression)))
        page = self._runs.search(workspace_id, _OWNER, Query(filter=wanted, view=View.ALL, limit=len(ids)))
        found = {item.info.id for item in page.items}
        return [run_id for run_id in ids if run_id in found]

    def _take(
        self, workspace_id: str, rule: RetentionRule, run_ids: Sequence[str], receipt: str, actor: str, tx: Tx
    ) -> None:
        now = self._clock.now()
        if not store.exists(tx, receipt):
            store.add(
                tx, id=receipt, workspace_id=workspace_id, kind=RETENTION, actor=actor, requested_at=now, grace_s=0.0,
                reason=f"Retention rule {rule.name!r}: {rule.what}.",
            )  # fmt: skip
            events.publish(
                tx, at=now, workspace_id=workspace_id, kind="receipt.requested", subject=receipt, actor=actor
            )
        if rule.what == "runs":
            self._into_trash(tx, workspace_id, self._unprotected(tx, workspace_id, run_ids), receipt, actor)
            return
        for run_id in run_ids:
            if rule.what == "snapshots":
                snapshot = expiry.remove_snapshot(tx, run_id)
                taken = [{"kind": "snapshot", "run": run_id, "snapshot": snapshot}] if snapshot else []
                store.note(tx, receipt, taken)
                continue
            gone = expiry.remove_files(tx, run_id, rule.what)
            listed = [{"path": e.path, "hash": e.hash, "size": e.size} for e in gone]
            items = [{"kind": rule.what, "run": run_id, "files": listed}] if listed else []
            store.note(tx, receipt, items, files=len(gone), size_bytes=sum(e.size for e in gone))

    def _into_trash(
        self, tx: Tx, workspace_id: str, run_ids: Sequence[str], receipt: str, actor: str
    ) -> None:
        items = []
        for run_id in run_ids:
            row = run_store.by_id(tx, workspace_id, run_id)
            if row is None:
                continue
            try:
                trash.put_run(tx, row, self._clock.now(), actor)
            except Conflict:
                continue  # a run below it is not over
            items.append({"kind": "run", "id": run_id, "experiment": row.experiment, "into": "trash"})
        store.note(tx, receipt, items, runs=len(items))

    def _named(self, tx: Tx, workspace_id: str, names: Sequence[str]) -> list[RetentionRule]:
        rules = {rule.name: rule for rule in retention_store.every(tx, workspace_id)}
        for name in names:
            if name not in rules:
                known = ", ".join(repr(n) for n in rules) or "none"
                raise NotFound(
                    "no_such_rule",
                    f"There is no retention rule {name[:80]!r} in this workspace. There are: {known}.",
                )
        return [rules[name] for name in names] if names else list(rules.values())

    def _publish(self, tx: Tx, workspace_id: str, kind: str, name: str, actor: str) -> None:
        events.publish(
            tx,
            at=self._clock.now(),
            workspace_id=workspace_id,
            kind=kind,
            subject=f"retention:{name}",
            actor=actor,
        )


def _check(rule: RetentionRule) -> None:
    if not _NAME.fullmatch(rule.name):
        raise Invalid(
            "bad_rule_name",
            f"Rule name {rule.name[:80]!r} can't be used: it needs 1 to 100 letters, digits, '.', '-' or '_' and begins "
            "with a letter or digit.",
        )
    if rule.what not in WHAT:
        raise Invalid("bad_rule", f"'what' is one of {', '.join(WHAT)}, not {rule.what[:80]!r}.")
    if rule.experiment:
        run_rules.check_experiment_name(rule.experiment)
    if not 0 <= rule.keep_days < 1e6 or not 0 <= rule.keep_last < 1e9:
        raise Invalid("bad_rule", "keep_days and keep_last must be 0 or more.")
    if not rule.keep_days and not rule.keep_last:
        raise Invalid(
            "bad_rule", f"Rule {rule.name!r} would keep nothing: say keep_days, keep_last, or both."
        )
    run_rules.check_text("The filter", rule.filter, 10_000)
    parse(rule.filter)
