"""Which version of MQTT a broker speaks: 5.0 first, then 3.1.1, remembered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from sync.connection import Protocol
from sync.faults import Fault, LinkError

ASK_AGAIN_S = 3600.0
"""A broker that was merely silent on 5.0 may have been restarting: it is asked again then."""
DOUBTFUL_AFTER = 3
"""So many connections without CONNACK, and the broker may be another one than it was."""
BY_VERSION = frozenset({Fault.VERSION, Fault.CLOSED_EARLY, Fault.UNANSWERED})
"""What may come of a version the broker does not know."""

T = TypeVar("T")


class ProtocolChoice:
    """Tries and remembers. Time: s of any steady clock."""

    def __init__(self, setting: Literal["auto", "5", "3.1.1"]) -> None:
        self._fixed = setting
        self._known: Protocol | None = None
        self._known_until = float("inf")
        self._unanswered = 0

    def candidates(self, now: float) -> tuple[Protocol, ...]:
        """Return the versions to try, in order."""
        if self._fixed != "auto":
            return (self._fixed,)
        if self._known is None or now >= self._known_until:
            return ("5", "3.1.1")
        return (self._known,)

    async def first_that_works(self, attempt: Callable[[Protocol], Awaitable[T]], now: float) -> T:
        """Return what ``attempt`` gives for the first version that the broker accepts.

        Raises:
            LinkError: of the last version tried, or at once where the version is not the cause.
        """
        first_fault: Fault | None = None
        for protocol in (candidates := self.candidates(now)):
            try:
                result = await attempt(protocol)
            except LinkError as error:
                self._failed(error.fault)
                first_fault = error.fault
                if error.fault not in BY_VERSION or protocol == candidates[-1]:
                    raise
            else:
                self._worked(protocol, first_fault, now)
                return result
        raise AssertionError("there is always a version to try")

    def _worked(self, protocol: Protocol, refusal_of_other: Fault | None, now: float) -> None:
        self._unanswered = 0
        if protocol != self._known or refusal_of_other is not None:
            certain = refusal_of_other in (None, Fault.VERSION)
            self._known_until = float("inf") if certain else now + ASK_AGAIN_S
        self._known = protocol

    def _failed(self, fault: Fault) -> None:
        doubtful = fault in (Fault.CLOSED_EARLY, Fault.UNANSWERED)
        self._unanswered = self._unanswered + 1 if doubtful else 0
        if fault is Fault.VERSION or self._unanswered >= DOUBTFUL_AFTER:
            self._known = None
