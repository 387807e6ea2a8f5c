"""`python scripts/query_parquet.py`: the same as `daedalus query`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["query", *sys.argv[1:]])
