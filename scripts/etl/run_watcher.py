"""`python scripts/etl/run_watcher.py`: the same as `daedalus watch`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["watch", *sys.argv[1:]])
