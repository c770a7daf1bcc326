"""Where candidates are evaluated: executors, child processes, Ray."""
