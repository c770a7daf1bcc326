"""Confirmation: the best candidates trained again with new seeds and attacked on unseen texts."""
