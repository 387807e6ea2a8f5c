"""`python scripts/run_ingestion.py`: the same as `daedalus ingest`."""

import sys

from scripts.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
