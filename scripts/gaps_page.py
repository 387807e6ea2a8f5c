"""The generated part of docs/gaps.md: causes and statuses, from the row types."""

from shared.rows import GAP_CAUSES, GAP_STATUSES, LIFECYCLE_CAUSES


def gaps_page() -> str:
    """Tables of every cause and every status."""
    lossless = "no: status is always `filled`"
    causes = [
        f"| `{name}` | {meaning} | {lossless if name in LIFECYCLE_CAUSES else 'yes'} |"
        for name, meaning in GAP_CAUSES.items()
    ]
    statuses = [f"| `{name}` | {meaning} |" for name, meaning in GAP_STATUSES.items()]
    cause_head = ["## Causes", "", "| cause | what happened | can rows be missing? |", "|---|---|---|"]
    status_head = ["", "## Statuses", "", "| status | meaning |", "|---|---|"]
    return "\n".join([*cause_head, *causes, *status_head, *statuses])
