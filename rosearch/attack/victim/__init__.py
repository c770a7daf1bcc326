"""Victims: the classifiers under attack."""
