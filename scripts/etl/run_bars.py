"""`python scripts/etl/run_bars.py`: the same as `daedalus bars build`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["bars", "build", *sys.argv[1:]])
