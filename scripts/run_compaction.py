"""`python scripts/run_compaction.py`: the same as `daedalus compact`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["compact", *sys.argv[1:]])
