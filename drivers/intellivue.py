"""Philips IntelliVue over UDP or RS-232 (MIB): ECG, numerics and its own alarms, read only.

Nothing but polls, the wave priority list and the answers the protocol wants is ever sent. The
monitor's relative time tells what is missing; one that was switched off begins it anew.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

from drivers import raw_tap
from drivers.axis import Missing, Part, StreamAxis, runs
from drivers.clock import StreamClock
from drivers.continuity import DeviceTime, Step
from drivers.decoders import intellivue_session as session_messages
from drivers.decoders.intellivue_messages import (
    ALARM_GROUP,
    ALL_GROUPS,
    CreateEvent,
    PollAnswer,
    Polled,
    Refusal,
    WaveList,
    create_result,
    decode,
    extended_poll,
    get_wave_list,
    set_wave_list,
)
from drivers.decoders.intellivue_names import HEART_RATE, LEADS
from drivers.decoders.intellivue_session import Kind, kind
from drivers.decoders.intellivue_values import MonitorAlarm, Numeric, Values
from drivers.decoders.intellivue_wire import TICK_NS, IntelliVueError
from drivers.intellivue_ecg import EcgBlock, EcgBlocks, EcgSetup
from drivers.intellivue_link import ANY, MonitorLink, on_network, on_serial_port, where_is
from drivers.reconnect import Backoff, Link, supervise
from drivers.samples import (
    DeviceAlarm,
    DeviceAlarms,
    DriverError,
    Emit,
    GapCause,
    HeartRateReading,
    LinkHealth,
    NumericReading,
    StreamInfo,
)
from drivers.serial_link import SerialAddress

BAUD = 115200

ANSWER_S = 1.0
"""A monitor that just ended another association answers the second or third request only."""
REQUESTS = 3
RENEW_S = 5.0
POLL_S = 15.0
"""How long a poll is asked for: two renewals may be lost before the monitor falls silent."""
ASK_S = 1.25
"""Waves come in bursts, one a second. Where one is missing the monitor is asked again at once …"""
SILENCE_S = 1.75
"""… and is lost when it doesn't answer: one burst lost on the way is no alarm, a cut cable is one
within 2 s."""
FIRST_S = 2.5
"""The first answers to the polls may take longer."""
NO_WAVE_S = 3.0
FAILURES = 20
"""After so many attempts a monitor that announced itself may have another address by now."""
LONGEST_DELAY_S = 1.0
"""Asking costs a datagram, and a monitor that is back must be seen in 5 s."""
WANTED = session_messages.NUMERICS_1S | session_messages.WAVES | session_messages.PRIORITY_LIST
COMPOUND_ECG = 0x00020100


class IntelliVue:
    """Driver of one monitor.

    ``address`` is ``HOST`` or ``HOST:PORT`` on the network, ``any`` for the first monitor that
    announces itself, or the path of a serial port (MIB). ``leads`` names the ECG leads; without it
    they are those the monitor shows. ``bind`` is the address of this machine to listen on.
    """

    def __init__(
        self,
        address: str,
        *,
        leads: Sequence[str] = (),
        bind: str = "0.0.0.0",  # noqa: S104 - all interfaces unless configured
        baud: int = BAUD,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        unknown = [name for name in leads if name not in LEADS.values()]
        if unknown:
            known = ", ".join(LEADS.values())
            raise DriverError(
                f"the monitor has no lead {unknown[0]!r}",
                address,
                f"choose of {known}",
                transient=False,
            )
        self.health = LinkHealth()
        self.address = address
        self._wanted = tuple(leads)
        self._bind = bind
        self._place = SerialAddress(address) if address.startswith("/") else None
        self._baud = baud
        self._now_ns = now_ns
        self._ecg = EcgBlocks(self._wanted)
        self._values = Values()
        self._stream: _EcgStream | None = None
        self._told: StreamInfo | None = None
        self._alarms: tuple[DeviceAlarm, ...] | None = None
        self._model = ""
        self._has_waves = self._listed = False
        self._invoke = 0
        self._known: tuple[str, int] | None = None
        self._failures = 0
        self._frames = self._bytes_before = self._damaged = self._damaged_before = 0

    async def run(self, emit: Emit) -> None:
        """Associate, stream and associate again until cancelled; then release the association."""
        absent = self._place.absent if self._place else None
        link = Link(emit, where=self.address, now_ns=self._now_ns)
        backoff = Backoff(random=random.random, longest_s=LONGEST_DELAY_S)

        async def session(link: Link) -> None:
            link.connecting()
            place = await self._find()
            async with self._opened(place) as monitor:
                try:
                    await self._associate(monitor)
                    link.waiting_for_data()
                    await self._receive(monitor, link, emit)
                finally:
                    if self._stream is not None:
                        self._stream.relinked = True
                    self._bytes_before += monitor.bytes_read
                    self._damaged_before += monitor.damaged
                    with suppress(DriverError):
                        await monitor.send(session_messages.RELEASE_REQUEST)

        await supervise(session, link, backoff=backoff, absent=absent)

    async def _find(self) -> tuple[str, int]:
        """Where on the network it is; one that announced itself is looked for there again."""
        if self._place is not None or raw_tap.PLAYER.get() is not None:
            return self.address, 0
        known, self._known = self._known, None
        if known is None or self._failures >= FAILURES or self.address != ANY:
            known = await where_is(self.address, self._bind, self._now_ns)
            self._failures = 0
        self._known = known
        self._failures += 1
        return known

    def _opened(self, place: tuple[str, int]) -> AbstractAsyncContextManager[MonitorLink]:
        if self._place is not None:
            return on_serial_port(self._place, self._baud, self._now_ns)
        return on_network(self.address, place, self._bind, self._now_ns)

    async def _associate(self, monitor: MonitorLink) -> None:
        """Ask until the monitor accepts; what an old association still sends is passed over."""
        self._values.reset()
        self._ecg.reset()
        self._alarms = None
        await monitor.send(session_messages.RELEASE_REQUEST)
        heard = False
        for _ in range(REQUESTS):
            await monitor.send(session_messages.association_request(WANTED))
            async for message in self._messages(monitor, ANSWER_S):
                heard = True
                match kind(message):
                    case Kind.ACCEPT:
                        self._accepted(message)
                        return
                    case Kind.REFUSE:
                        raise DriverError(
                            "refuses the association",
                            self.address,
                            "does another program read this monitor? it is tried again",
                        )
                    case Kind.DATA:
                        await monitor.send(session_messages.ABORT)
                        await monitor.send(session_messages.RELEASE_REQUEST)
        raise DriverError(
            "sends, but accepts no association" if heard else "does not answer",
            self.address,
            "is the monitor on, and its data export enabled?",
        )

    def _accepted(self, message: bytes) -> None:
        try:
            granted = session_messages.decode_accept(message)
        except IntelliVueError as fault:
            raise DriverError(
                f"its answer can't be read ({fault})", self.address, "it is tried again"
            ) from fault
        self._has_waves = bool(granted.options & session_messages.WAVES)
        self._failures = 0

    async def _messages(self, monitor: MonitorLink, timeout_s: float) -> AsyncIterator[bytes]:
        """Messages of the next ``timeout_s``."""
        end_ns = self._now_ns() + round(timeout_s * 1e9)
        while (left_s := (end_ns - self._now_ns()) / 1e9) > 0:
            if message := await monitor.receive(left_s):
                yield message

    async def _receive(self, monitor: MonitorLink, link: Link, emit: Emit) -> None:
        """Poll, take what comes, and renew the polls, until the monitor ends it or is silent."""
        self._invoke = 0
        self._listed = False
        if self._has_waves:
            await monitor.send(get_wave_list(self._next_invoke()))
        renewed_ns = ecg_ns = self._now_ns()
        heard_ns = renewed_ns + round((FIRST_S - SILENCE_S) * 1e9)
        await self._poll(monitor)
        while True:
            silent_s = (self._now_ns() - heard_ns) / 1e9
            left_s = SILENCE_S - silent_s
            if left_s <= 0:
                raise DriverError(
                    f"no message in {SILENCE_S:g} s",
                    self.address,
                    "is the monitor on and the cable in?",
                )
            asked = renewed_ns - heard_ns >= ASK_S * 1e9
            message = await monitor.receive(left_s if asked else max(ASK_S - silent_s, 0.0))
            if message:
                heard_ns = monitor.arrived_ns
                if await self._take(message, monitor, emit):
                    ecg_ns = heard_ns
                    link.streaming()
                elif (heard_ns - ecg_ns) / 1e9 > NO_WAVE_S:
                    link.waiting_for_data(self._no_wave())
                self._note_health(monitor, link)
            overdue = not message and not asked
            if overdue or self._now_ns() - renewed_ns >= RENEW_S * 1e9:
                renewed_ns = self._now_ns()
                await self._poll(monitor)

    def _no_wave(self) -> str:
        what = f"lead {' or '.join(self._wanted)}" if self._wanted else "ECG wave"
        return f"{self.address}: the monitor sends no {what}; electrodes on, not in stand-by?"

    async def _poll(self, monitor: MonitorLink) -> None:
        polls = [(Polled.NUMERICS, ALL_GROUPS), (Polled.ALARMS, ALARM_GROUP)]
        if self._has_waves:
            polls.insert(0, (Polled.WAVES, ALL_GROUPS))
        for polled, group in polls:
            invoke = self._next_invoke()
            await monitor.send(extended_poll(invoke, polled, polled, POLL_S, group))

    def _next_invoke(self) -> int:
        self._invoke = self._invoke % 0xFFFF + 1
        return self._invoke

    async def _take(self, message: bytes, monitor: MonitorLink, emit: Emit) -> bool:
        """One message; whether it brought what the bed is there for."""
        match kind(message):
            case Kind.ABORT | Kind.RELEASE | Kind.RELEASED | Kind.REFUSE:
                raise DriverError(
                    "the monitor ended the association", self.address, "it is made again"
                )
            case Kind.DATA:
                pass
            case _:
                return False
        try:
            decoded = decode(message)
        except IntelliVueError:
            self._damaged += 1
            return False
        self._frames += 1
        match decoded:
            case CreateEvent():
                self._model = f"{decoded.maker} {decoded.model}".strip()
                await monitor.send(create_result(decoded.invoke))
            case WaveList() if not self._listed:
                self._listed = True
                if wanted := self._waves_of(decoded.text_ids):
                    await monitor.send(set_wave_list(self._next_invoke(), wanted))
            case PollAnswer():
                return self._answer(decoded, monitor.arrived_ns, emit)
            case Refusal() if self._has_waves and not self._listed:
                self._listed = True  # no priority list here: the monitor sends what it likes
            case _:
                pass
        return False

    def _waves_of(self, offered: tuple[int, ...]) -> tuple[int, ...]:
        """The waves to ask for: the wanted leads, or the compound wave of all that are shown."""
        names = {text_id: LEADS[text_id & 0xFFFF] for text_id in offered
                 if text_id >> 16 == 2 and text_id & 0xFFFF in LEADS}  # fmt: skip
        if not self._wanted:
            compound = tuple(text_id for text_id in names if text_id == COMPOUND_ECG)
            return compound or tuple(names)[:1]
        by_name = {name: text_id for text_id, name in names.items()}
        return tuple(by_name[name] for name in self._wanted if name in by_name)

    def _answer(self, answer: PollAnswer, host_ns: int, emit: Emit) -> bool:
        blocks = self._ecg.feed(self._values.waves(answer))
        for block in blocks:
            self._lay(block, host_ns, emit)
        taken = bool(blocks)
        for numeric in self._values.numerics(answer):
            taken |= self._numeric(numeric, host_ns, emit)
        self._own_alarms(self._values.alarms(answer), host_ns, emit)
        return taken

    def _lay(self, block: EcgBlock, host_ns: int, emit: Emit) -> None:
        if self._stream is None or self._stream.setup != block.setup:
            self._stream = _EcgStream(block.setup, emit)
            self._tell(block.setup, emit, demo=block.demo)
        self._stream.take(block, host_ns)

    def _tell(self, setup: EcgSetup | None, emit: Emit, *, demo: bool) -> None:
        name = self._model or "Philips IntelliVue"
        info = StreamInfo(
            f"{name} (demo)" if demo else name,
            self.address,
            setup.rate_hz if setup else 0.0,
            setup.leads if setup else (),
        )
        self._told = info
        emit(info)

    def _numeric(self, numeric: Numeric, host_ns: int, emit: Emit) -> bool:
        """Give a value; where the monitor sends no waves, its heart rate is what the bed shows."""
        emit(
            NumericReading(
                host_ns,
                numeric.name,
                numeric.value,
                numeric.unit,
                numeric.physio,
                numeric.label,
                numeric.usable,
                numeric.demo,
            )
        )
        if self._has_waves or numeric.physio != HEART_RATE:
            return False
        if self._told is None or self._told.leads:
            self._stream = None
            self._tell(None, emit, demo=numeric.demo)
        rate = round(numeric.value) if numeric.usable and numeric.value else None
        emit(HeartRateReading(host_ns, rate))
        return True

    def _own_alarms(self, alarms: Sequence[MonitorAlarm] | None, host_ns: int, emit: Emit) -> None:
        if alarms is None:
            return
        present = tuple(
            DeviceAlarm(
                alarm.code,
                alarm.source,
                alarm.technical,
                alarm.priority,
                alarm.text,
                alarm.silenced,
                alarm.latched,
                alarm.suspended,
            )
            for alarm in alarms
        )
        if present != self._alarms:
            self._alarms = present
            emit(DeviceAlarms(host_ns, present))

    def _note_health(self, monitor: MonitorLink, link: Link) -> None:
        axis = self._stream.axis if self._stream else None
        damaged = self._damaged + self._values.damaged + self._damaged_before + monitor.damaged
        self.health = LinkHealth(
            bytes_read=self._bytes_before + monitor.bytes_read,
            frames=self._frames,
            damaged=damaged,
            lost_samples=axis.lost_samples if axis else 0,
            reconnects=link.reconnects,
            lag_ms=axis.clock.lag_ms if axis and axis.clock.started else 0.0,
        )


class _EcgStream:
    """One setup's rows on an axis, losses told by the monitor's relative time."""

    def __init__(self, setup: EcgSetup, emit: Emit) -> None:
        self.setup = setup
        self.axis = StreamAxis(emit, StreamClock(setup.rate_hz, device_clock=True))
        self.relinked = False
        self._time = DeviceTime(setup.rate_hz)
        self._ticks: int | None = None

    def take(self, block: EcgBlock, host_ns: int) -> None:
        """One block's rows; one that came before is passed over."""
        count = len(block.counts)
        last_ns = (self._unwrapped(block.ticks) + (count - 1) * block.period_ticks) * TICK_NS
        judged = self._time.judge(last_ns, count, host_ns, relinked=self.relinked)
        if judged.step is Step.REPEATED:
            return
        cause = GapCause.LINK_LOST if self.relinked else GapCause.LOST_PACKETS
        self.relinked = False
        parts: list[Part] = runs(block.counts, block.sampled)
        if judged.step is Step.RESTARTED:
            self.axis.rejoin(
                parts, host_ns, GapCause.DEVICE_RESTART, device_ns=last_ns, leads=block.states
            )
            return
        if judged.missing:
            parts = [Missing(judged.missing, cause), *parts]
        self.axis.arrive(parts, host_ns, device_ns=last_ns, leads=block.states)

    def _unwrapped(self, ticks: int) -> int:
        """Relative time without its turns of 6.2 days."""
        if self._ticks is None:
            self._ticks = ticks
        self._ticks += (ticks - self._ticks + 2**31) % 2**32 - 2**31
        return self._ticks
