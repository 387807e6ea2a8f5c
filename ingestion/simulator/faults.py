"""Faults as values: what goes wrong on a connection, and when. Nothing here touches a socket.

A fault happens once, on the first connection of its venue that reaches it; one with `every` happens again and again,
on each connection.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import msgspec

from ingestion.simulator.lies import LIES
from ingestion.simulator.session import Frame

Kind = Literal[
    "close",
    "abort",
    "stall",
    "drop",
    "duplicate",
    "reorder",
    "malformed",
    "bad_price",
    "oversized",
    "refuse",
    "mute",
    "half_frame",
    "half_utf8",
    "huge",
    "floats",
    "strings",
    "exponents",
    "digits",
    "bad_checksum",
    "crossed",
]
KINDS: tuple[str, ...] = get_args(Kind)
# These change frames on their way; the others are commands to the connection or the server.
_ON_FRAMES = frozenset({"drop", "duplicate", "reorder", "malformed", *LIES})


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that goes wrong.

    close      close the WebSocket with `code`
    abort      cut the TCP connection without a word
    stall      send nothing for `duration_s`, then everything held back (pings are still answered)
    drop       use the sequence number of `count` frames but do not send them
    duplicate  send a frame twice
    reorder    swap a frame with the one behind it
    malformed  send the first half of a frame in its place
    bad_price  send one more trade frame, trade_id 0, with `price`; that trade never happened
    oversized  make the next `count` level2 snapshots larger than 10 MiB
    refuse     refuse new connections with HTTP 503 for `duration_s`
    mute       say nothing of the next `count` moments of `symbol` ("" is all, heartbeats too); no number is used
    half_frame write half of a WebSocket frame, nothing for `duration_s`, then cut the connection
    half_utf8  end a frame in the middle of a UTF-8 character
    huge       pad a frame to 20 MiB with a field that nobody knows
    floats     write a frame's numbers as JSON numbers where they are texts
    strings    write a frame's numbers as texts where they are JSON numbers
    exponents  write a frame's numbers with an exponent
    digits     write a frame's numbers with 20 significant digits; the last ones are invented
    bad_checksum  send a book frame with a checksum that is wrong by one
    crossed    send a book frame whose first level is a bid above every ask
    """

    kind: Kind
    at: int = 0  # frames of one connection; a fault on frames strikes the at-th, a command follows it
    at_s: float = 0.0  # seconds a connection must have been open
    venue: str = ""  # "" is any
    channel: str = ""  # strikes only frames of this channel; "" is any
    symbol: str = ""  # BTC-USD; of a mute
    every: int = 0  # strikes again after so many frames, on every connection; 0: once
    duration_s: float = 3.0
    count: int = 1
    code: int = 1012
    price: str = "-1"


_TEXT = re.compile(
    r"(?:(?P<venue>coinbase|kraken):)?(?P<kind>[a-z_]+)(?:@(?P<at>\d+(?:\.\d+)?)(?P<unit>s?))?"
    r"(?::(?P<value>[^#*]+))?(?:#(?P<channel>\w+))?(?:\*(?P<every>\d+))?"
)


def parse_fault(text: str) -> Fault:
    """The fault that `[venue:]kind[@frames|@seconds's'][:value][#channel][*every]` describes.

    The value is what the kind is tuned by: seconds for stall, half_frame and refuse, the close code, the count of
    dropped frames or oversized snapshots, the bad price, the symbol of a mute.

    >>> msgspec.structs.asdict(parse_fault("kraken:stall@2000:3s")) | {"code": 0}  # doctest: +ELLIPSIS
    {'kind': 'stall', 'at': 2000, 'at_s': 0.0, 'venue': 'kraken', ..., 'duration_s': 3.0, ...}
    >>> parse_fault("close@5s:1000").code, parse_fault("drop@7#market_trades*900").every
    (1000, 900)

    Raises:
        ValueError: the text is not a fault.
    """
    match = _TEXT.fullmatch(text.strip())
    kind = match["kind"] if match else ""
    if match is None or kind not in KINDS:
        raise ValueError(f"{text!r} is not a fault; write kind@frames[:value], kinds: {', '.join(KINDS)}")
    fields: dict[str, object] = {"kind": kind, "venue": match["venue"] or "", "channel": match["channel"] or ""}
    if match["at"]:
        fields["at_s" if match["unit"] else "at"] = float(match["at"]) if match["unit"] else int(float(match["at"]))
    if match["every"]:
        fields["every"] = int(match["every"])
    value = match["value"]
    try:
        if value and kind in ("stall", "refuse", "half_frame"):
            fields["duration_s"] = float(value.removesuffix("s"))
        elif value and kind in ("drop", "oversized"):
            fields["count"] = int(value)
        elif value and kind == "mute":
            fields["symbol"] = value
        elif value and kind == "close":
            fields["code"] = int(value)
        elif value and kind == "bad_price":
            fields["price"] = value
        elif value:
            raise ValueError("takes no value")
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    return msgspec.convert(fields, Fault)


class FaultPlan:
    """The faults still to come, in the order they were given."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self.pending: list[Fault] = list(faults)

    def add(self, fault: Fault) -> None:
        """Plan one more."""
        self.pending.append(fault)

    def take(self, gate: "Gate", *, elapsed_s: float, frame: Frame | None) -> Iterator[Fault]:
        """Hand out what is due: faults on frames where a frame is given, commands where not."""
        for fault in list(self.pending):
            if (fault.kind in _ON_FRAMES) is not (frame is not None):
                continue
            if fault.venue not in ("", gate.venue) or elapsed_s < fault.at_s:
                continue
            if gate.seen < gate.again_at.get(fault, fault.at):
                continue
            if frame is not None and fault.channel not in ("", frame.channel):
                continue
            if fault.every:
                gate.again_at[fault] = gate.seen + fault.every
            else:
                self.pending.remove(fault)
            yield fault


class Altered(NamedTuple):
    """A frame that was not sent as it should have been; `sent` is empty where nothing was sent for it."""

    kind: str
    channel: str
    true: bytes
    sent: bytes


class Admitted(NamedTuple):
    """What passes a gate in place of one frame."""

    frames: list[Frame]
    struck: list[Fault]
    altered: list[Altered]


class Gate:
    """The last thing a connection's frames pass: it applies the faults that strike frames."""

    def __init__(self, plan: FaultPlan, venue: str) -> None:
        self._plan, self.venue = plan, venue
        self._dropping: Fault | None = None
        self._dropped = 0
        self._held: list[Frame] = []
        self.seen = 0
        self.again_at: dict[Fault, int] = {}

    @property
    def quiet(self) -> bool:
        """Whether frames may pass unseen but counted."""
        return not self._plan.pending and self._dropping is None and not self._held

    def admit(self, frame: Frame, *, elapsed_s: float) -> Admitted:
        """The frames to send in place of `frame`, the faults that struck it, and what they made of it."""
        self.seen += 1
        held, self._held = self._held, []
        out, altered = [frame], []
        struck = list(self._plan.take(self, elapsed_s=elapsed_s, frame=frame))
        for fault in struck:
            if fault.kind == "drop":
                self._dropping, self._dropped = fault, 0
            elif fault.kind == "duplicate":
                out = out * 2
            elif fault.kind == "reorder":
                self._held, out = out, []
            else:
                sent = _half(frame.data) if fault.kind == "malformed" else LIES[fault.kind](frame.data)
                altered.append(Altered(fault.kind, frame.channel, frame.data, sent))
                out = [Frame(frame.channel, sent)]
        if self._dropping is not None and self._dropping.channel in ("", frame.channel):
            out, self._held = [], []
            altered = [Altered("drop", frame.channel, frame.data, b"")]
            self._dropped += 1
            if self._dropped >= self._dropping.count:
                self._dropping = None
        return Admitted(out + held, struck, altered)

    def commands(self, *, elapsed_s: float) -> list[Fault]:
        """The commands that are due now."""
        if not self._plan.pending:
            return []
        return list(self._plan.take(self, elapsed_s=elapsed_s, frame=None))


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]
