"""How long the things of a workspace stay."""

from __future__ import annotations

from typing import Any


class LifetimeWorkspace:
    """The trash, retention rules and receipts of a workspace."""

    @property
    def trash(self) -> Any:
        """What was deleted and can come back: `list`, `restore`, `preview`, and `empty` for good."""
        from modelyard.trash import Trash  # few programs delete

        return Trash(self)

    @property
    def retention(self) -> Any:
        """The rules by which old runs go by themselves: `set`, `preview`, `apply`, `remove`."""
        from modelyard.retention import Retention  # few programs delete

        return Retention(self)

    @property
    def receipts(self) -> Any:
        """Receipts of what was deleted for good."""
        from modelyard.trash import Receipts  # few programs delete

        return Receipts(self)
