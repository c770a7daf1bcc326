"""The engine: runs many searches concurrently and batches their queries."""
