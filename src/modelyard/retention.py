"""The retention rules of a workspace: what becomes of old runs by itself."""

from __future__ import annotations

from typing import Any, Iterator, List

from modelyard.wire.lifetime import (
    Receipt,
    ReceiptList,
    RetentionFound,
    RetentionPreview,
    RetentionQuery,
    RetentionRule,
    RetentionRules,
)


class Retention:
    """Rules that the yard applies once a day. They leave alone what is tagged `keep` or what a registered model came from."""

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace

    def __iter__(self) -> Iterator[RetentionRule]:
        return iter(self.list())

    def list(self) -> List[RetentionRule]:
        """By name."""
        found: RetentionRules = self._ask("GET", RetentionRules)
        return found.items

    def set(
        self,
        name: str,
        what: str = "runs",
        experiment: str = "",
        keep_days: float = 0.0,
        keep_last: int = 0,
        filter: str = "",
    ) -> RetentionRule:
        """Make a rule, or put it in place of the one of this name.

        what: "runs" go into the trash; "outputs", "logs" and "snapshots" of runs go for good, and the runs stay.
        keep_days, keep_last: runs younger than this, and so many newest ones of each experiment, are left alone.
        filter: in the language of run search; other runs are left alone.
        """
        rule = RetentionRule(name, what, experiment, float(keep_days), keep_last, filter)
        kept: RetentionRule = self._ask("PUT", RetentionRule, "rules", name, body=rule)
        return kept

    def remove(self, name: str) -> None:
        self._ask("DELETE", None, "rules", name)

    def preview(self, *names: str) -> List[RetentionFound]:
        """What these rules, or without names all, would take away now."""
        told: RetentionPreview = self._ask("POST", RetentionPreview, "preview", body=RetentionQuery([*names]))
        return told.items

    def apply(self, *names: str) -> List[Receipt]:
        """Apply these rules, or without names all, now; a receipt for each that found something."""
        done: ReceiptList = self._ask("POST", ReceiptList, "apply", body=RetentionQuery([*names]))
        return done.items

    def _ask(self, method: str, kind: Any, *parts: str, body: Any = None) -> Any:
        path = self._workspace._path("retention", *parts)
        return self._workspace._client.request(method, path, body, kind=kind)
