"""The teacher and its cached outputs."""
