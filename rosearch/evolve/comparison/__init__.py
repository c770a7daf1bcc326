"""Comparison of strategies over many searches."""
