"""Ask again once, report once, then keep trying slowly; what comes at last is news again."""

from ingestion.confirmation import CONFIRM_S, RETRY_S, Confirmations
from ingestion.exchanges.protocol import Subscription

A, B = Subscription("trades", "A-USD", "A-USD"), Subscription("trades", "B-USD", "B-USD")


def walk(confirmations: Confirmations, unconfirmed: set[Subscription], begin_s: int, seconds: int) -> list[str]:
    story = []
    for now_s in range(begin_s, begin_s + seconds):
        due = confirmations.due({A, B}, unconfirmed, now_s)
        story += [f"report {now_s}"] * len(due.report) + [f"ask {now_s}"] * len(due.ask)
        confirmations.asked(due.ask, now_s)
    return story


def test_silence_is_asked_again_once_then_reported_once_then_tried_slowly() -> None:
    confirmations = Confirmations()
    confirmations.asked([A, B], 0)
    story = walk(confirmations, {A}, 0, 700)
    second, third = int(2 * CONFIRM_S), int(2 * CONFIRM_S + RETRY_S)
    assert story == [f"ask {int(CONFIRM_S)}", f"report {second}", f"ask {third}", f"ask {third + int(RETRY_S)}"]
    assert confirmations.confirmed({A, B}, set()) == [A]
    assert confirmations.reported == set()


def test_a_refusal_is_news_once_and_survives_a_new_connection() -> None:
    confirmations = Confirmations()
    confirmations.asked([A, B], 0)
    assert confirmations.refuse(B, 1)
    assert not confirmations.refuse(B, 2)
    after = confirmations.successor()
    assert after.refused == {B}
    assert walk(after, set(), 3, 400) == [f"ask {2 + int(RETRY_S)}"]
    assert after.confirmed({A, B}, set()) == [B]
