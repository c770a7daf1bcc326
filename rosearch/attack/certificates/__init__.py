"""Certificates: texts whose answer no combination of an attack's substitutions changes."""
