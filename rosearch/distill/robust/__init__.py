"""Adversarial training of students."""
