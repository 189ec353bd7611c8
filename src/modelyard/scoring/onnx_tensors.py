"""Tensors as v1's deployment of an ONNX model without an entry script speaks them: protobuf's JSON of a TensorProto.

`{"dims": ["1", "3"], "dataType": 1, "rawData": "<base64, little-endian>"}`; in place of rawData also `floatData`,
`int32Data`, `int64Data`, `doubleData`, `uint64Data` or `stringData` (base64 each). numpy is the user's.
"""

from __future__ import annotations

import base64
import importlib
from typing import Any, Dict

# TensorProto.DataType -> numpy's name of the element.
_KINDS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "object", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
_NAMES = {
    "FLOAT": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7, "STRING": 8, "BOOL": 9,
    "FLOAT16": 10, "DOUBLE": 11, "UINT32": 12, "UINT64": 13,
}  # fmt: skip
_LISTS = ("floatData", "int32Data", "int64Data", "doubleData", "uint64Data")


def is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and "dims" in value and "dataType" in value


def decode(tensor: Dict[str, Any]) -> Any:
    """The tensor as a numpy array. Raises ValueError or TypeError for one that does not fit together."""
    numpy = importlib.import_module("numpy")
    kind = tensor["dataType"]
    kind = _KINDS.get(_NAMES.get(kind, 0) if isinstance(kind, str) else kind)
    if kind is None:
        raise ValueError(f"dataType {tensor['dataType']!r} is not known")
    shape = [int(size) for size in tensor["dims"]]
    if kind == "object":
        texts = [base64.b64decode(text).decode("utf-8") for text in tensor.get("stringData", ())]
        return numpy.array(texts, dtype=object).reshape(shape)
    if "rawData" in tensor:
        element = numpy.dtype(kind).newbyteorder("<")
        return (
            numpy.frombuffer(base64.b64decode(tensor["rawData"]), dtype=element).astype(kind).reshape(shape)
        )
    given = next((tensor[name] for name in _LISTS if name in tensor), ())
    return numpy.array([float(x) if kind.startswith("float") else int(x) for x in given], dtype=kind).reshape(
        shape
    )


def encode(array: Any) -> Dict[str, Any]:
    """A numpy array as a tensor."""
    numpy = importlib.import_module("numpy")
    array = numpy.asarray(array)
    dims = [str(size) for size in array.shape]
    number = next((number for number, kind in _KINDS.items() if kind == array.dtype.name), 8)
    if number == 8:
        texts = [base64.b64encode(str(text).encode("utf-8")).decode("ascii") for text in array.ravel()]
        return {"dims": dims, "dataType": number, "stringData": texts}
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"dims": dims, "dataType": number, "rawData": base64.b64encode(raw).decode("ascii")}
