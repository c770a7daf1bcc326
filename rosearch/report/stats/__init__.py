"""How architecture and robustness relate."""
