"""`python scripts/etl/run_ticker_features.py`: the same as `daedalus features ticker`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["features", "ticker", *sys.argv[1:]])
