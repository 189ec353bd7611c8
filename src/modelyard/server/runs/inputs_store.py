"""What runs read and make, in the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.runs.tables import run_datasets, run_models, runs

_MANY = 500
CONTEXT = "mlflow.data.context"  # the tag that says what a data set was read for


@dataclass(frozen=True)
class Dataset:
    """As MLflow describes a data set; `schema` and `profile` are JSON texts, `tags` belong to the run's use of it."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelOutput:
    model_id: str
    step: int


@dataclass
class Inputs:
    """Of one run: what it read, and the models it made."""

    datasets: list[Dataset] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    outputs: list[ModelOutput] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetUse:
    run_id: str
    experiment_id: str
    name: str
    digest: str
    context: str | None


def of_runs(tx: Tx, run_ids: Sequence[str]) -> dict[str, Inputs]:
    """Of those runs that have any."""
    found: dict[str, Inputs] = {}
    for start in range(0, len(run_ids), _MANY):
        some = run_ids[start : start + _MANY]
        query = sa.select(run_datasets).where(run_datasets.c.run_id.in_(some))
        for row in tx.execute(query.order_by(run_datasets.c.position)):
            one = Dataset(
                row.name, row.digest, row.source_type, row.source, row.schema, row.profile, row.tags
            )
            found.setdefault(row.run_id, Inputs()).datasets.append(one)
        query = sa.select(run_models).where(run_models.c.run_id.in_(some))
        for row in tx.execute(query.order_by(run_models.c.position)):
            inputs = found.setdefault(row.run_id, Inputs())
            if row.direction == "input":
                inputs.models.append(row.model_id)
            else:
                inputs.outputs.append(ModelOutput(row.model_id, row.step))
    return found


def add_datasets(tx: Tx, run_id: str, given: Sequence[Dataset]) -> None:
    """Those that the run has not; the first description of a data set stays."""
    taken = sa.select(sa.func.count()).where(run_datasets.c.run_id == run_id)
    position = tx.execute(taken).scalar_one()
    for one in given:
        row = {**one.__dict__, "run_id": run_id, "position": position}
        position += tx.execute(insert(tx, run_datasets).values(**row).on_conflict_do_nothing()).rowcount


def add_models(tx: Tx, run_id: str, direction: str, given: Sequence[ModelOutput]) -> None:
    mine = sa.and_(run_models.c.run_id == run_id, run_models.c.direction == direction)
    position = tx.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
    rows = [
        {"run_id": run_id, "direction": direction, "position": position + i, "model_id": m.model_id, "step": m.step}
        for i, m in enumerate(given)
    ]  # fmt: skip
    if rows:
        tx.execute(sa.insert(run_models), rows)


def uses(tx: Tx, workspace_id: str, experiment_ids: Sequence[str]) -> Iterator[DatasetUse]:
    """Which runs of these experiments read which data sets."""
    columns = (
        run_datasets.c.run_id,
        runs.c.experiment_id,
        run_datasets.c.name,
        run_datasets.c.digest,
        run_datasets.c.tags,
    )
    query = sa.select(*columns).join(runs, runs.c.id == run_datasets.c.run_id)
    for start in range(0, len(experiment_ids), _MANY):
        some = runs.c.experiment_id.in_(experiment_ids[start : start + _MANY])
        for row in tx.execute(query.where(runs.c.workspace_id == workspace_id, some)):
            yield DatasetUse(row.run_id, row.experiment_id, row.name, row.digest, row.tags.get(CONTEXT))
