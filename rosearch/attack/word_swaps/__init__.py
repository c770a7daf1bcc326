"""Attacks that replace words: a substitution, constraints and a search."""
