"""Prints what attacks need and what of it is here: ``python -m rosearch.attack.resources``."""

import sys

from rosearch.attack.resources import status

if __name__ == "__main__":
    sys.stdout.write(f"{status()}\n")
