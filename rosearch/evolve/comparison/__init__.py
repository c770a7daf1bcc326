"""Strategies compared on one problem."""
