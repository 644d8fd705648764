"""`python -m trajectory`: the command line."""

import sys

from trajectory.cli import main

if __name__ == "__main__":
    sys.exit(main())
