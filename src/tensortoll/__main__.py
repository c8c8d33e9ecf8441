"""`python -m tensortoll` is `tensortoll`."""

import sys

from tensortoll.cli import main

if __name__ == "__main__":
    sys.exit(main())
