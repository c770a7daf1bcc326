"""Adversarial texts and word replacements for training."""
