"""Subscriptions that are not confirmed, or refused: asked for again once, then reported and tried slowly. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ingestion.exchanges.protocol import Subscription

CONFIRM_S = 10.0  # an exchange confirms in well under a second
RETRY_S = 300.0  # how often what was reported is tried again


class Due(NamedTuple):
    """What is to be done now."""

    ask: list[Subscription]
    report: list[Subscription]  # not confirmed although asked twice


@dataclass
class Confirmations:
    """One connection's open questions. Times are seconds of any steady clock."""

    reported: set[Subscription] = field(default_factory=set)  # shared with the connections before and after
    _asked: dict[Subscription, tuple[int, float]] = field(default_factory=dict)  # how often, and when last
    refused: set[Subscription] = field(default_factory=set)

    def successor(self) -> "Confirmations":
        """Those of the next connection: what was refused or reported stays so, until it is confirmed."""
        refused = {each: self._asked[each] for each in self.refused}
        return Confirmations(self.reported, refused, set(self.refused))

    def asked(self, subscriptions: Iterable[Subscription], now_s: float) -> None:
        """These were just asked for."""
        for each in subscriptions:
            times, _ = self._asked.get(each, (0, 0.0))
            self._asked[each] = times + 1, now_s
            self.refused.discard(each)

    def refuse(self, subscription: Subscription, now_s: float) -> bool:
        """The exchange said no to this one; whether that is news."""
        self._asked[subscription] = 2, now_s
        self.refused.add(subscription)
        is_news = subscription not in self.reported
        self.reported.add(subscription)
        return is_news

    def confirmed(self, wanted: Collection[Subscription], unconfirmed: Collection[Subscription]) -> list[Subscription]:
        """What had been reported, and has been confirmed since."""
        settled = [
            each
            for each in self.reported
            if each in wanted and each not in unconfirmed and each not in self.refused and each in self._asked
        ]
        self.reported.difference_update(settled)
        return settled

    def due(self, wanted: Collection[Subscription], unconfirmed: Collection[Subscription], now_s: float) -> Due:
        """What to ask for again, and what to report. Call `asked` for what was asked."""
        due = Due([], [])
        open_now = (self.refused | set(unconfirmed)) & set(wanted)
        for gone in set(self._asked) - open_now - self.reported:
            del self._asked[gone]
        for each in sorted(open_now):
            times, at_s = self._asked.setdefault(each, (1, now_s))
            if now_s - at_s < (CONFIRM_S if times < 3 and each not in self.refused else RETRY_S):
                continue
            if times == 2 and each not in self.reported:
                due.report.append(each)
                self.reported.add(each)
                self._asked[each] = 3, now_s
            else:
                due.ask.append(each)
        return due


def named_in(reason: str, subscriptions: Iterable[Subscription]) -> list[Subscription]:
    """The subscriptions whose symbol, as the exchange writes it, stands as a word in its refusal.

    >>> wanted = [Subscription("trades", "ETH-X", "ETH-X"), Subscription("trades", "ETH", "ETH")]
    >>> named_in("ETH-X is not a valid product", wanted)
    [Subscription(table='trades', symbol='ETH-X', raw_symbol='ETH-X')]
    """
    words = set(re.findall(r"[A-Za-z0-9][A-Za-z0-9/:_.-]*", reason))
    words |= {word.rstrip(".:") for word in words}
    return sorted(each for each in subscriptions if each.raw_symbol in words)
