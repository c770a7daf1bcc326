"""Runs many attacks side by side and pools their queries."""
