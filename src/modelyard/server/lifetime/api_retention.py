"""The routes of retention rules."""

from __future__ import annotations

import dataclasses

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.lifetime.retention import Retention
from modelyard.wire.lifetime import (
    ReceiptList,
    RetentionPreview,
    RetentionQuery,
    RetentionRule,
    RetentionRules,
)


def add(r: Routes, retention: Retention) -> None:
    @r.get(f"{WORKSPACE}/retention", Permission.CONTRIBUTE)
    def rules(call: Call) -> RetentionRules:
        """List retention rules by name."""
        return RetentionRules(retention.rules(call.workspace_id))

    @r.put(f"{WORKSPACE}/retention/rules/{{rule}}", Permission.CONTRIBUTE)
    def set_rule(call: Call, body: RetentionRule) -> RetentionRule:
        """Make a retention rule, or put it in place of the one of this name."""
        rule = dataclasses.replace(body, name=call.path["rule"])
        return retention.set(call.workspace_id, rule, call.principal.name)

    @r.delete(f"{WORKSPACE}/retention/rules/{{rule}}", Permission.CONTRIBUTE)
    def remove(call: Call) -> None:
        """Remove a retention rule."""
        retention.remove(call.workspace_id, call.path["rule"], call.principal.name)

    @r.post(f"{WORKSPACE}/retention/preview", Permission.CONTRIBUTE)
    def preview(call: Call, body: RetentionQuery) -> RetentionPreview:
        """Tell what retention rules would take away now."""
        return RetentionPreview(retention.look(call.workspace_id, body.names))

    @r.post(f"{WORKSPACE}/retention/apply", Permission.CONTRIBUTE)
    def apply(call: Call, body: RetentionQuery) -> ReceiptList:
        """Apply retention rules now; the yard does it once a day."""
        return ReceiptList(retention.apply(call.workspace_id, body.names, call.principal.name))
