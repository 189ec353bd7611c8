"""What a run was set to: parameters, each written once."""

from __future__ import annotations

from typing import Any, Dict

from modelyard.wire.runs import RunInfo, RunUpdate


class ParameterLog:
    """The parameters of a run. `_update` and `_info` say where they are kept."""

    def _update(self, update: RunUpdate) -> None:
        raise NotImplementedError

    def _info(self, refresh: bool = False) -> RunInfo:
        raise NotImplementedError

    def log_param(self, name: str, value: Any) -> Any:
        """Keep a parameter, as text. The same again is fine; raises Conflict for another value. Answers the value."""
        self.log_params({name: value})
        return value

    def log_params(self, params: Dict[str, Any]) -> None:
        """Keep many parameters at once: all of them, or none when one has another value already."""
        if params:
            self._update(RunUpdate(add_params={str(name): str(value) for name, value in params.items()}))

    @property
    def params(self) -> Dict[str, str]:
        """The parameters, by name."""
        return dict(self._info(refresh=True).params)
