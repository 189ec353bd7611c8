"""Compute targets, the nodes behind them, and what nodes are given to do."""
