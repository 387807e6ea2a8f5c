"""What follows on a look at a silent stream, whichever way a collector looks."""

from ingestion.exchanges.protocol import Newest
from ingestion.inlet import Inlet
from ingestion.silence import Finding, Key, SilenceWatch
from shared.log import get_log

log = get_log("silence")


def verdict(watch: SilenceWatch, inlet: Inlet, key: Key, theirs: Newest | None) -> Finding | None:
    """The finding where a look proves a stream dead, counted and told as an interruption; its remedy is the caller's.

    `theirs` is what the look showed; None where it failed.
    """
    standing, (table, symbol) = inlet.standing(*key), key
    ours = standing.trade_seq if table == "trades" else None
    finding = watch.looked(key, theirs, ours=ours, count=standing.rows, now_ns=inlet.clock.mono_ns())
    if finding is not None:
        inlet.statistics.silences += 1
        if finding.is_first:
            log.warning("a stream is dead, its market is not", feed=inlet.name, evidence=finding.evidence)
        inlet.expect(table, symbol)  # it may never have had a row
        inlet.interrupt("silence", finding.evidence, symbols=(symbol,), tables=(table,))
    return finding
