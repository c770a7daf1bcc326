"""``python -m rosearch``: the command line."""

import sys

from rosearch.cli import main

if __name__ == "__main__":
    sys.exit(main())
