import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.writers.frames import HEAD_BYTES, MAGIC, Damage, Frame, encode, scan

PAYLOADS = st.lists(st.binary(max_size=60) | st.just(MAGIC * 3), max_size=8)


def journal(payloads: list[bytes]) -> tuple[bytes, list[int]]:
    frames = [encode("trades", len(payload), number, payload) for number, payload in enumerate(payloads)]
    ends = [sum(map(len, frames[: k + 1])) for k in range(len(frames))]
    return b"".join(frames), ends


def payloads_of(data: bytes) -> list[bytes]:
    return [bytes(item.payload) for item in scan(data) if isinstance(item, Frame)]


@given(PAYLOADS)
def test_what_was_encoded_is_read_back(payloads: list[bytes]) -> None:
    assert payloads_of(journal(payloads)[0]) == payloads


@given(PAYLOADS, st.data())
def test_a_journal_cut_anywhere_gives_every_whole_frame_and_the_torn_bytes(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole, ends = journal(payloads)
    cut = data.draw(st.integers(0, len(whole)))
    items = list(scan(whole[:cut]))
    kept = [end for end in ends if end <= cut]
    assert [bytes(item.payload) for item in items if isinstance(item, Frame)] == payloads[: len(kept)]
    torn = [item for item in items if isinstance(item, Damage)]
    assert sum(item.end - item.start for item in torn) == cut - (kept[-1] if kept else 0)


@given(PAYLOADS.filter(bool), st.data())
def test_one_flipped_bit_costs_one_frame_and_is_reported(payloads: list[bytes], data: st.DataObject) -> None:
    whole, ends = journal(payloads)
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = bytearray(whole)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    hit = next(k for k, end in enumerate(ends) if at < end)
    items = list(scan(bytes(bad)))
    assert [bytes(i.payload) for i in items if isinstance(i, Frame)] == payloads[:hit] + payloads[hit + 1 :]
    damage = [item for item in items if isinstance(item, Damage)]
    assert [(d.start, d.end) for d in damage] == [(ends[hit] - HEAD_BYTES - len(payloads[hit]), ends[hit])]


@pytest.mark.parametrize("tail", [b"\0" * 5000, MAGIC, b"garbage", MAGIC + b"\xff" * 40])
def test_a_tail_that_is_no_frame_is_damage_at_the_end(tail: bytes) -> None:
    whole, _ = journal([b"a", b"b"])
    *frames, damage = scan(whole + tail)
    assert len(frames) == 2
    assert damage == Damage(len(whole), len(whole + tail), zeroes_only=not tail.strip(b"\0"))


def test_every_table_planned_fits_into_the_head_and_a_longer_name_is_refused() -> None:
    (frame,) = scan(encode("open_interest", 1, 0, b"x"))
    assert isinstance(frame, Frame)
    assert frame.table == "open_interest"
    with pytest.raises(AssertionError, match="does not fit"):
        encode("a_name_of_many_letters", 1, 0, b"x")
