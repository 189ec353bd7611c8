"""Evaluates an expression over many runs at once, with SQL's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelyard.server.runs.search.columns import Column, Mask, Rows, Truth
from modelyard.server.runs.search.expression import All, AnyOf, Expression, Not
from modelyard.server.runs.search.expression import Column as Name


def matching(expression: Expression, rows: Rows, count: int, column: Callable[[Name], Column]) -> Mask:
    """Of these `count` rows, those of which the expression is true."""
    return _truth(expression, rows, count, column).true


def _truth(expression: Expression, rows: Rows, count: int, column: Callable[[Name], Column]) -> Truth:
    if isinstance(expression, Not):
        truth = _truth(expression.operand, rows, count, column)
        return Truth(truth.false, truth.true)
    if isinstance(expression, All):
        true, false = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
        for operand in expression.operands:
            part = _truth(operand, rows, count, column)
            true, false = true & part.true, false | part.false
        return Truth(true, false)
    if isinstance(expression, AnyOf):
        true, false = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
        for operand in expression.operands:
            part = _truth(operand, rows, count, column)
            true, false = true | part.true, false & part.false
        return Truth(true, false)
    return column(expression.column).test(rows, expression)
