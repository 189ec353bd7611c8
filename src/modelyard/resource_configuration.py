"""How much of a machine a registered model wants; recorded with it."""

from __future__ import annotations

from typing import Any, Dict, Optional

from modelyard.errors import UserErrorException


class ResourceConfiguration:
    """`cpu` cores, `memory_in_gb` and `gpu` count, each None where not said."""

    def __init__(
        self, cpu: Optional[float] = None, memory_in_gb: Optional[float] = None, gpu: Optional[int] = None
    ) -> None:
        for name, value in (("cpu", cpu), ("memory_in_gb", memory_in_gb), ("gpu", gpu)):
            if value is not None and not _is_amount(value):
                raise UserErrorException(
                    f"ResourceConfiguration: {name} must be a number from 0, not {value!r}."
                )
        self.cpu = cpu
        self.memory_in_gb = memory_in_gb
        self.gpu = gpu

    def serialize(self) -> Dict[str, Any]:
        return {"cpu": self.cpu, "memoryInGB": self.memory_in_gb, "gpu": self.gpu}

    @staticmethod
    def deserialize(payload_obj: Optional[Dict[str, Any]]) -> Optional[ResourceConfiguration]:
        if not payload_obj:
            return None
        return ResourceConfiguration(
            cpu=payload_obj.get("cpu"), memory_in_gb=payload_obj.get("memoryInGB"), gpu=payload_obj.get("gpu")
        )

    def __repr__(self) -> str:
        return f"ResourceConfiguration(cpu={self.cpu}, memory_in_gb={self.memory_in_gb}, gpu={self.gpu})"


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
