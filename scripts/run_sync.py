"""`python scripts/run_sync.py`: the same as `daedalus sync`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["sync", *sys.argv[1:]])
