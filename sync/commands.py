"""What the centre asks of a unit: checked, handed on once, answered or refused with a reason."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from sync.codec import ContractError, decode
from sync.connection import Incoming
from sync.contract import Command, Reply, UnitState
from sync.ids import new_id
from sync.topics import TopicError, check_name

log = logging.getLogger(__name__)

MAX_PAYLOAD = 64 * 1024
WAITING = 32
"""Commands that may wait for the unit; more are refused as busy."""
REMEMBERED = 512
"""Answers kept, so that a repeated command is answered again and not done again."""
HANDLER_TIMEOUT_S = 5.0


class _Sender(msgspec.Struct):
    """As much of a damaged command as an answer needs."""

    id: str


class CommandDesk:
    """Takes commands off the wire and sees that each gets exactly one effect and an answer.

    Args:
        handler: does the command and answers it.
        answer: sends a reply; called on the event loop.
        birth: gives the unit's state, whose boot, seq and time a refusal carries.
        max_age_s: an older command is refused (while the unit's own clock is right).
        clock_synced: whether the unit's clock is right.
        now_ns: UTC, ns.
    """

    def __init__(
        self,
        handler: Callable[[Command], Awaitable[Reply]],
        answer: Callable[[Reply], None],
        birth: Callable[[], UnitState],
        *,
        max_age_s: float,
        clock_synced: Callable[[], bool],
        now_ns: Callable[[], int] = time.time_ns,
        handler_timeout_s: float = HANDLER_TIMEOUT_S,
    ) -> None:
        self._handler = handler
        self._answer = answer
        self._birth = birth
        self._max_age_s = max_age_s
        self._clock_synced = clock_synced
        self._now_ns = now_ns
        self._handler_timeout_s = handler_timeout_s
        self._queue: asyncio.Queue[Command] = asyncio.Queue(WAITING)
        self._answers: OrderedDict[str, Reply | None] = OrderedDict()

    def take(self, incoming: Incoming) -> None:
        """Take a message from ``command/+``; refuse it at once or queue it."""
        try:
            if len(incoming.payload) > MAX_PAYLOAD:
                raise ContractError(f"{incoming.topic}: longer than {MAX_PAYLOAD} bytes")
            command = decode(incoming.topic, incoming.payload)
            if not isinstance(command, Command):
                raise ContractError(f"{incoming.topic}: not a command")
            check_name("command id", command.id)
        except (ContractError, TopicError) as error:
            self._refuse_damaged(incoming, str(error))
            return
        if command.id in self._answers:
            if (reply := self._answers[command.id]) is not None:
                self._answer(reply)
            return
        if reason := self._objection(command, incoming.retained):
            self._refuse(command.id, reason)
            return
        try:
            self._queue.put_nowait(command)
        except asyncio.QueueFull:
            # Not remembered: the same command may come again when there is room.
            self._answer(self._refusal(command.id, "the unit is busy; send it again in a moment"))
            return
        self._remember(command.id, None)

    async def run(self) -> None:
        """Hand the queued commands to the handler, one after the other, until cancelled."""
        while True:
            command = await self._queue.get()
            reply = await self._handle(command)
            self._remember(command.id, reply)
            self._answer(reply)

    async def _handle(self, command: Command) -> Reply:
        try:
            async with asyncio.timeout(self._handler_timeout_s):
                return await self._handler(command)
        except TimeoutError:
            reason = (
                f"no answer in {self._handler_timeout_s:g} s; look at the bed whether it was done"
            )
        except Exception:
            log.exception("command %s for bed %s failed", command.name, command.bed)
            reason = "the unit failed to do it; see the unit's log"
        return self._refusal(command.id, reason)

    def _objection(self, command: Command, retained: bool) -> str:
        if retained:
            return "a command must not be retained; publish it without the retain flag"
        age_s = (self._now_ns() - command.time) / 1e9
        clocks_right = self._clock_synced() and command.clock == "synced"
        if clocks_right and abs(age_s) > self._max_age_s:
            return (
                f"the command is {age_s:.0f} s old by the unit's clock "
                f"(limit {self._max_age_s:g} s); send it again or check the clocks"
            )
        return ""

    def _refuse_damaged(self, incoming: Incoming, reason: str) -> None:
        log.warning("command refused: %s", reason)
        try:
            sender = msgspec.json.decode(incoming.payload[:MAX_PAYLOAD], type=_Sender)
            check_name("command id", sender.id)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TopicError):
            return
        self._refuse(sender.id, reason)

    def _refuse(self, command_id: str, reason: str) -> None:
        reply = self._refusal(command_id, reason)
        self._remember(command_id, reply)
        self._answer(reply)

    def _refusal(self, command_id: str, reason: str) -> Reply:
        unit = self._birth()
        return Reply(
            id=new_id(),
            time=unit.time,
            boot=unit.boot,
            seq=unit.seq,
            clock=unit.clock,
            command_id=command_id,
            accepted=False,
            reason=reason,
        )

    def _remember(self, command_id: str, reply: Reply | None) -> None:
        self._answers[command_id] = reply
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
