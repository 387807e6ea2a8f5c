"""`python scripts/run_retention.py`: the same as `daedalus retain`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["retain", *sys.argv[1:]])
