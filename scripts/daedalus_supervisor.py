"""`python scripts/daedalus_supervisor.py`: the same as `daedalus supervise`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["supervise", *sys.argv[1:]])
