"""The classifier under attack."""
