"""`python scripts/etl/run_trades_features.py`: the same as `daedalus features trades`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["features", "trades", *sys.argv[1:]])
