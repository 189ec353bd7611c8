"""What the yard does with experiments."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, NotFound
from modelyard.server.kernel.ids import new_id
from modelyard.server.runs import experiments_store, rules, store, trash, views
from modelyard.wire.experiments import ExperimentCreate, ExperimentInfo, ExperimentUpdate


class Experiments:
    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def get_or_create(self, workspace_id: str, body: ExperimentCreate, actor: str = "") -> ExperimentInfo:
        """The experiment of this name; tags and description count only when it is new. Raises Invalid."""
        rules.check_tags(body.tags)
        rules.check_text("The description", body.description)
        return self._db.write(lambda tx: self.ensure(tx, workspace_id, body, actor))

    def create(self, workspace_id: str, body: ExperimentCreate, actor: str = "") -> ExperimentInfo:
        """A new experiment. Raises Conflict where there is one of this name, Invalid."""
        rules.check_tags(body.tags)
        rules.check_text("The description", body.description)

        def write(tx: Tx) -> ExperimentInfo:
            if experiments_store.by_name(tx, workspace_id, body.name) is not None:
                raise Conflict("experiment_exists", f"Experiment {body.name!r} exists already.")
            return self.ensure(tx, workspace_id, body, actor)

        return self._db.write(write)

    def ensure(self, tx: Tx, workspace_id: str, body: ExperimentCreate, actor: str = "") -> ExperimentInfo:
        """The same inside a transaction."""
        rules.check_experiment_name(body.name)
        row = experiments_store.by_name(tx, workspace_id, body.name)
        if row is not None:
            return experiments_store.info(row)
        now = self._clock.now()
        added = experiments_store.add(
            tx, id=new_id(), workspace_id=workspace_id, name=body.name, tags=body.tags,
            description=body.description, created_at=now, last_number=0, run_count=0,
        )  # fmt: skip
        row = experiments_store.by_name(tx, workspace_id, body.name)
        assert row is not None
        if added:
            self._publish(tx, "experiment.created", workspace_id, row.id, actor, body.name)
        return experiments_store.info(row)

    def list(self, workspace_id: str, view: str, tags: list[str]) -> list[ExperimentInfo]:
        """By name. `tags`: `k` or `k=v`, all of which must hold. Raises Invalid for an unknown view."""
        views.check(view)
        wanted = [rules.parse_label(tag) for tag in tags]
        with self._db.read() as tx:
            rows = experiments_store.every(tx, workspace_id, view)
        return [
            experiments_store.info(row)
            for row in rows
            if all(k in row.tags and v in (None, row.tags[k]) for k, v in wanted)
        ]

    def get(self, workspace_id: str, name_or_id: str) -> ExperimentInfo:
        with self._db.read() as tx:
            return self.find(tx, workspace_id, name_or_id)

    def by_id(self, workspace_id: str, experiment_id: str) -> ExperimentInfo:
        """Also one in the trash. Raises NotFound."""
        row = None
        if rules.is_experiment_name(experiment_id):
            with self._db.read() as tx:
                row = experiments_store.by_id(tx, workspace_id, experiment_id, in_trash=True)
        if row is None:
            raise _no_such_experiment(experiment_id)
        return experiments_store.info(row)

    def by_name(self, workspace_id: str, name: str) -> ExperimentInfo | None:
        if not rules.is_experiment_name(name):
            return None
        with self._db.read() as tx:
            row = experiments_store.by_name(tx, workspace_id, name)
        return None if row is None else experiments_store.info(row)

    def ids(self, workspace_id: str, names_or_ids: Sequence[str]) -> tuple[str, ...]:
        """Raises NotFound for one that there is not."""
        with self._db.read() as tx:
            return tuple(self.find(tx, workspace_id, one).id for one in names_or_ids)

    def find(self, tx: Tx, workspace_id: str, name_or_id: str) -> ExperimentInfo:
        """By name, else by id. Raises NotFound."""
        row = None
        if rules.is_experiment_name(name_or_id):
            row = experiments_store.by_name(tx, workspace_id, name_or_id)
            row = row or experiments_store.by_id(tx, workspace_id, name_or_id)
        if row is None:
            raise _no_such_experiment(name_or_id)
        return experiments_store.info(row)

    def update(
        self, workspace_id: str, name_or_id: str, body: ExperimentUpdate, actor: str = ""
    ) -> ExperimentInfo:
        """Only what is given changes. Raises Conflict when the new name is taken."""
        rules.check_labels("tag", body.set_tags, rules.MAX_TAG_VALUE)
        rules.check_text("The description", body.description or "")
        if body.name is not None:
            rules.check_experiment_name(body.name)

        def write(tx: Tx) -> ExperimentInfo:
            info = self.find(tx, workspace_id, name_or_id)
            changes: dict[str, object] = {}
            if body.name is not None and body.name != info.name:
                if experiments_store.by_name(tx, workspace_id, body.name) is not None:
                    raise Conflict("experiment_exists", f"Experiment {body.name!r} exists already.")
                changes["name"] = body.name
            if body.description is not None:
                changes["description"] = body.description
            if body.archived is not None and body.archived != (info.archived_at is not None):
                changes["archived_at"] = self._clock.now() if body.archived else None
            tags = {k: v for k, v in {**info.tags, **body.set_tags}.items() if k not in body.remove_tags}
            rules.check_count("tags", tags)
            if tags != info.tags:
                changes["tags"] = tags
            if not changes:
                return info
            experiments_store.change(tx, info.id, **changes, updated_at=self._clock.now())
            changed = self.find(tx, workspace_id, info.id)
            self._publish(tx, "experiment.updated", workspace_id, info.id, actor, changed.name)
            return changed

        return self._db.write(write)

    def trash(self, workspace_id: str, name_or_id: str, force: bool, actor: str = "") -> None:
        """Put an empty experiment into the trash, or with `force` one whose runs are all over. Raises Conflict."""

        def write(tx: Tx) -> None:
            info = self.find(tx, workspace_id, name_or_id)
            if info.run_count and not force:
                raise Conflict(
                    "experiment_has_runs",
                    f"Experiment {info.name!r} has {info.run_count} runs. Archive it, or delete it together with its "
                    "runs by force.",
                    run_count=info.run_count,
                )
            active = store.active_in(tx, workspace_id, info.id)
            if active:
                raise Conflict(
                    "experiment_is_active",
                    f"Experiment {info.name!r} has runs that are not over ({', '.join(active[:3])}). Cancel them first.",
                )
            row = experiments_store.by_id(tx, workspace_id, info.id)
            assert row is not None
            trash.put_experiment(tx, row, self._clock.now())
            self._publish(tx, "experiment.deleted", workspace_id, info.id, actor, info.name)

        self._db.write(write)

    def restore(
        self, workspace_id: str, experiment_id: str, name: str = "", actor: str = ""
    ) -> ExperimentInfo:
        """Take it out of the trash, under a new name if one is given. Raises NotFound, Conflict."""
        if name:
            rules.check_experiment_name(name)

        def write(tx: Tx) -> ExperimentInfo:
            row = None
            if rules.is_experiment_name(experiment_id):
                row = experiments_store.by_id(tx, workspace_id, experiment_id, in_trash=True)
            if row is None:
                raise _no_such_experiment(experiment_id)
            trash.restore_experiment(tx, row, name or row.name)
            info = self.find(tx, workspace_id, row.id)
            self._publish(tx, "experiment.restored", workspace_id, info.id, actor, info.name)
            return info

        return self._db.write(write)

    def _publish(self, tx: Tx, kind: str, workspace_id: str, subject: str, actor: str, name: str) -> None:
        at = self._clock.now()
        events.publish(
            tx, at=at, workspace_id=workspace_id, kind=kind, subject=subject, actor=actor, name=name
        )


def _no_such_experiment(name_or_id: str) -> NotFound:
    return NotFound(
        "no_such_experiment",
        f"There is no experiment {name_or_id[:80]!r} here. List them with 'modelyard experiment list'.",
    )
