"""Loaded last by the process that children are copies of; see ``start_method``."""

import gc

# A collection in a child would write to every object, and so copy the memory that they share.
gc.collect()
gc.freeze()
