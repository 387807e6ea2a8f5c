"""`python scripts/etl/run_orderbook_features.py`: the same as `daedalus features orderbook`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["features", "orderbook", *sys.argv[1:]])
