"""Series as an Arrow stream. Needs numpy and arro3, so import it late."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import arro3.core as arrow
import arro3.io
import numpy as np

from modelyard.server.runs.arrays import Arrays

_TEXT = arrow.DataType.string()
_SCHEMA = arrow.Schema(
    [
        arrow.Field("run_id", _TEXT, nullable=False),
        arrow.Field("name", _TEXT, nullable=False),
        arrow.Field("step", arrow.DataType.int64(), nullable=True),
        arrow.Field("time_ms", arrow.DataType.int64(), nullable=False),
        arrow.Field("value", arrow.DataType.float64(), nullable=False),
    ]
)


def stream(series: Iterable[tuple[str, str, Arrays]]) -> bytes:
    """(run id, name, points): one batch each."""
    file = io.BytesIO()
    batches = arrow.RecordBatchReader.from_batches(_SCHEMA, list(_batches(series)))
    arro3.io.write_ipc_stream(batches, file, compression=None)
    return file.getvalue()


def _batches(series: Iterable[tuple[str, str, Arrays]]) -> Iterator[arrow.RecordBatch]:
    for run_id, name, points in series:
        which = arrow.Array.from_numpy(np.zeros(len(points), np.uint32))
        columns = [
            arrow.Array([run_id], _TEXT).take(which),
            arrow.Array([name], _TEXT).take(which),
            _steps(points),
            arrow.Array.from_numpy(np.ascontiguousarray(points.times_ms)),
            arrow.Array.from_numpy(np.ascontiguousarray(points.values)),
        ]
        yield arrow.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _steps(points: Arrays) -> arrow.Array:
    if points.stepped.all():
        return arrow.Array.from_numpy(np.ascontiguousarray(points.steps))
    steps = zip(points.steps.tolist(), points.stepped, strict=True)
    return arrow.Array([step if known else None for step, known in steps], arrow.DataType.int64())
