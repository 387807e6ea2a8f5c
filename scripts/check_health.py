"""`python scripts/check_health.py`: the same as `daedalus status`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["status", *sys.argv[1:]])
