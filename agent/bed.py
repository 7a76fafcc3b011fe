"""One bed, live: driver events in; stored samples, findings, alarms and messages out.

Samples go to the store before they are analysed; an alarm change is on disk before anybody is
told, and if the disk is gone it is told all the same. Nothing here waits for the network.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.alarms.conditions import of_finding, of_signal
from agent.alarms.engine import AlarmEngine, Condition
from agent.alarms.types import AlarmChange, Definition
from agent.bed_messages import alarm_info, inactivation, model_infos, wave_fields
from agent.bed_status import BedStatus
from agent.chain import Chain, Step
from agent.clock import StreamTime, UnitClock
from agent.config import BedSection
from agent.minute import MINUTE_S, Minute
from agent.networks import Networks
from agent.outlets import Outlets
from agent.presence import Presence
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, Finding, RhythmChange
from agent.rr_rhythm import RrRhythm
from agent.shadow import Heard, Shadow
from agent.signal.types import Rate, SignalState
from agent.store import Store
from agent.strips import StripTaker
from drivers.samples import (
    BatteryReading,
    DeviceAlarms,
    DriverEvent,
    Gap,
    GapCause,
    HeartRateReading,
    LeadState,
    LinkChange,
    NumericReading,
    SampleBlock,
    StreamInfo,
)
from sync.contract import AlarmMessage, BedState, Summary, Wave
from sync.topics import Kind

log = logging.getLogger(__name__)

TICK_S = 0.2
"""Time passes for the bed in these steps when its device is silent."""
QUEUE_LIMIT = 512
"""Driver events waiting for analysis, over 20 s; what comes beyond is stored, not analysed."""
LONG_GAP_S = 120.0
"""After a longer gap the analysis starts afresh: nothing before it says anything of now."""
STATE_EVERY_NS = 10_000_000_000
"""The retained state is renewed this often though nothing changed, so that its age is small."""
SECOND_NS = 1_000_000_000
DISK_WAIT_S = 1.0
"""A disk that takes longer is a fault of its own; the alarm is told without it."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all beds of a unit share."""

    clock: UnitClock
    store: Store
    outlets: Outlets
    networks: Networks
    """Those of the start; ``Bed.use_networks`` brings later ones."""
    catalogue: Mapping[str, Definition]
    new_id: Callable[[], str]
    audio_pause_max_s: float


class Bed:
    """One bed of a unit."""

    def __init__(self, section: BedSection, services: Services) -> None:
        self.name = section.name
        self._services = services
        self._clock = services.clock
        self._store = services.store
        self._outlets = services.outlets
        self._networks = services.networks
        self.shadow: Shadow | None = None
        """Candidates that hear what this bed hears, while there are any."""
        now_ns = self._clock.monotonic_ns()
        self.status = BedStatus(
            unit=self._outlets.unit_name,
            bed=section.name,
            address=section.device.address,
            presence=Presence(now_ns),
            limits=section.limits.for_analysis(),
            patient=section.patient,
        )
        self.alarms = AlarmEngine(
            services.catalogue, services.new_id, audio_pause_max_s=services.audio_pause_max_s
        )
        self._strips = StripTaker(section.name, self._store, self._outlets)
        self._queue: deque[DriverEvent] = deque()
        self._news = asyncio.Event()
        self._alarms_in_order = asyncio.Lock()
        self._chain: Chain | None = None
        self._chains = 0
        self._unfit = ""
        """Why the device's signal cannot be analysed."""
        self._stream = ""
        """Where samples that arrive are stored …"""
        self._begun: deque[str] = deque()
        self._judged = ""
        """… and where what is found in them: the analysis may be a stream behind."""
        self._rr_rhythm = RrRhythm()
        self._time: StreamTime | None = None
        self._minute = Minute()
        self._minute_began_ns = now_ns
        self._vitals_ns = now_ns
        self._state_ns = 0
        self._silent = True
        self._writing: set[asyncio.Future[None]] = set()

    async def restore(self) -> None:
        """Take up what was in force when the unit stopped: alarms, limits, patient."""
        kept = await self._store.settings(self.name)
        if "limits" in kept:
            self.status.limits = RhythmLimits(**kept["limits"])
        if "patient" in kept:
            self.status.patient = kept["patient"]
        self.alarms.restore(await self._store.open_alarms(self.name), self._clock.utc_ns())
        self.publish_state()

    def emit(self, event: DriverEvent) -> None:
        """Take a driver's event: store it now, analyse it when its turn comes. Never waits."""
        match event:
            case StreamInfo():
                now_ns = self._clock.monotonic_ns()
                self._stream = self._store.begin_stream(self.name, event, now_ns)
                self._begun.append(self._stream)
            case SampleBlock():
                self._store.samples(self._stream, event)
                if len(self._queue) >= QUEUE_LIMIT:
                    event = Gap(
                        event.first, len(event.counts), GapCause.ANALYSIS_LATE, event.host_ns
                    )
            case Gap():
                self._store.gap(self._stream, event)
        last = self._queue[-1] if self._queue else None
        if isinstance(event, Gap) and isinstance(last, Gap) and last.end == event.first:
            self._queue[-1] = replace(last, count=last.count + event.count)
        else:
            self._queue.append(event)
        self._news.set()

    async def work(self) -> None:
        """Analyse what the device sends and let time pass, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            while self._queue:
                await self._take(self._queue.popleft())
                await asyncio.sleep(0)
            await self._pass_time()

    async def report(self, condition: Condition) -> None:
        """A condition of the unit that this bed must show (broker, disk, clock, model)."""
        await self._conditions([condition])

    async def record(self, changes: Sequence[AlarmChange]) -> None:
        """Store alarm changes, then tell of them; a store that fails stops no alarm."""
        for change in changes:
            message = AlarmMessage(
                **self._outlets.stamp(Kind.ALARM, self.name) | {"id": change.id},
                unit=self.status.unit,
                bed=self.name,
                phase=change.phase.value,
                inactivation=inactivation(change, self.alarms.audio_paused_until_ns is not None),
                alarm=alarm_info(change.alarm),
                by=change.by,
            )
            outgoing = [self._outlets.for_outbox(message)]
            await self._durably(self._store.alarm_change(change, self.name, outgoing))
            self._outlets.shown(message)
            self._strips.note(change, self._clock.utc_ns())
        if changes:
            self.publish_state()

    def state(self) -> BedState:
        """The whole truth about the bed as it is now."""
        stamp = self._outlets.stamp(Kind.STATE, self.name)
        return self.status.message(stamp, self.alarms.alarms, self.alarms.audio_paused_until_ns)

    def publish_state(self) -> None:
        """Renew the retained state."""
        self._state_ns = self._clock.monotonic_ns()
        self._outlets.state(self.state())

    def set_limits(self, limits: RhythmLimits) -> None:
        """Other alarm limits from now on."""
        self.status.limits = limits
        if self._chain is not None:
            self._chain.set_limits(limits)
        self.publish_state()

    def use_networks(self, networks: Networks) -> None:
        """Other networks judge from the next block on; nothing of the stream is lost."""
        self._networks = networks
        if self._chain is not None and not self._chain.use(networks):
            self._chain = self._new_chain()

    @property
    def networks(self) -> Networks:
        """Those in use."""
        return self._networks

    @property
    def alarm_lock(self) -> asyncio.Lock:
        """Held while alarms change, so that changes are stored in the order they happened."""
        return self._alarms_in_order

    async def _take(self, event: DriverEvent) -> None:
        now_ns = self._clock.monotonic_ns()
        presence = self.status.presence
        match event:
            case StreamInfo():
                self._judged = self._begun.popleft()
                self.status.info = event
                self._chain = self._new_chain()
                self._rr_rhythm = RrRhythm()
                utc_ns = self._clock.utc_ns()
                why = self._unfit
                await self._conditions([Condition("not_analysed", bool(why), utc_ns, detail=why)])
                if not event.leads:
                    # Without samples there is no axis: stream seconds are seconds from here.
                    self._time = StreamTime(1.0, 0, now_ns, 1.0)
                self.publish_state()
            case SampleBlock():
                presence.sampled(now_ns)
                await self._samples(event, now_ns)
            case Gap():
                self._minute.gap(event.count)
                await self._gap(event)
            case LinkChange():
                presence.link_changed(event.state, event.reason, now_ns)
                self.publish_state()
            case HeartRateReading() if self._chain is None:
                presence.sampled(now_ns)
                await self._own_rate(event)
            case HeartRateReading():
                await self._contact(event, now_ns)
            case BatteryReading():
                presence.battery(event.percent)
            case NumericReading():
                self.status.numeric(event)
            case DeviceAlarms():
                self.status.device_alarms = event
                self.publish_state()

    def _new_chain(self) -> Chain | None:
        info, self._unfit = self.status.info, ""
        if info is None or not info.leads:
            return None
        self._chains += 1
        try:
            return Chain(info, self.status.limits, self._networks)
        except ValueError as error:
            log.error("bed %s: not analysed: %s", self.name, error)
            self._unfit = str(error)
            return None

    def _pushed(self, chain: Chain, info: StreamInfo, event: SampleBlock | Gap) -> list[Step]:
        """What the chain makes of an event, overheard by the candidates."""
        steps = chain.push(event)
        if self.shadow is not None:
            end_s = event.end / info.rate_hz
            limits, end_ns = self.status.limits, self._to_utc(end_s)
            self.shadow.offer(
                Heard(self.name, self._chains, info, limits, event, tuple(steps), end_s, end_ns)
            )
        return steps

    async def _samples(self, block: SampleBlock, now_ns: int) -> None:
        info = self.status.info
        if info is None or self._chain is None:
            return
        self._time = StreamTime(info.rate_hz, block.first, block.host_ns, block.true_rate_hz)
        newest_ns = self._time.monotonic_ns(block.end / info.rate_hz)
        self.status.lag_ms = max(now_ns - newest_ns, 0) / 1e6
        self.status.leads = block.leads
        self._silent = False
        await self._steps(self._pushed(self._chain, info, block))

    async def _gap(self, gap: Gap) -> None:
        info = self.status.info
        if info is None or self._chain is None:
            return
        if gap.count / info.rate_hz > LONG_GAP_S:
            self._chain = self._new_chain()
            self.status.silent()
        else:
            await self._steps(self._pushed(self._chain, info, gap))

    async def _steps(self, steps: Sequence[Step]) -> None:
        beats = [event for step in steps for event in step.events if isinstance(event, Beat)]
        if steps:
            self._outlets.live(
                Wave(
                    **self._outlets.stamp(Kind.WAVE, self.name),
                    unit=self.status.unit,
                    bed=self.name,
                    lead=self._lead_name(),
                    **wave_fields([step.hop for step in steps], beats),
                )
            )
        for step in steps:
            before = self.status.state
            self.status.hop(step.hop)
            off = self.status.presence.is_off(self._clock.monotonic_ns())
            if step.hop.state is SignalState.NO_DATA and off:
                self.status.state = SignalState.LEAD_OFF
            state = self.status.state
            self._minute.pulses(len(step.hop.pulses))
            for event in step.events:
                await self._rhythm_event(event)
            if state is not before:
                since_ns = self._to_utc(step.hop.start_s)
                await self._conditions(of_signal(state, since_ns))
            if step.hop.rate is not None:
                self._minute.second(step.hop.rate, self.status.rhythm_now, state)
                self._send_vitals()

    async def _rhythm_event(self, event: Beat | RhythmChange | Finding) -> None:
        match event:
            case Beat():
                self.status.beat(event)
                self._minute.beat(event)
                self._store.beats(self._judged, [event])
            case RhythmChange():
                self.status.rhythm = event
                self._store.rhythm(self._judged, event)
                self.publish_state()
            case Finding():
                self._store.finding(self._judged, event)
                await self._conditions([of_finding(event, self._to_utc)])

    async def _conditions(self, conditions: Sequence[Condition]) -> None:
        async with self._alarms_in_order:
            now_ns = self._clock.utc_ns()
            for condition in conditions:
                await self.record(self.alarms.condition(condition, now_ns))

    async def _pass_time(self) -> None:
        now_ns = self._clock.monotonic_ns()
        presence = self.status.presence
        if not self._silent and presence.is_stale(now_ns):
            self._silent = True
            self.status.silent()
            await self._conditions(self._no_longer_known(SignalState.NO_DATA))
        await self._conditions(presence.conditions(now_ns, self._clock.utc_ns()))
        await self._strips.take_due(self._clock.utc_ns())
        if now_ns - self._vitals_ns >= SECOND_NS + SECOND_NS // 5:
            self._send_vitals()
        if now_ns - self._minute_began_ns >= MINUTE_S * SECOND_NS:
            await self._send_summary(now_ns)
        if now_ns - self._state_ns >= STATE_EVERY_NS:
            self.publish_state()

    def _no_longer_known(self, state: SignalState) -> list[Condition]:
        """Without a heart to hear no finding is known to hold: what latches stays, others end."""
        at_ns = self._clock.utc_ns()
        gone = [
            Condition(alarm.code, present=False, onset_ns=at_ns)
            for alarm in self.alarms.alarms
            if self._services.catalogue[alarm.code].family in ("rate", "ectopy", "rhythm")
        ]
        return gone + of_signal(state, at_ns)

    async def _own_rate(self, reading: HeartRateReading) -> None:
        """A device without a wave tells rate and RR intervals: all there is to judge by."""
        if self._time is None:
            return
        off = reading.contact is LeadState.OFF
        rate_bpm = None if off else reading.rate_bpm
        at_s = (reading.host_ns - self._time.host_ns) / 1e9
        before, self.status.state = self.status.state, SignalState.USABLE
        if off:
            self.status.state = SignalState.LEAD_OFF
        if self._silent:
            self._silent, self._rr_rhythm = False, RrRhythm()
        self.status.own_rate(rate_bpm, reading.rr_ms)
        for event in self._rr_rhythm.push(reading, at_s, self.status.limits):
            await self._rhythm_event(event)
        if off and self.status.state is not before:
            self._rr_rhythm = RrRhythm()
            await self._conditions(self._no_longer_known(SignalState.LEAD_OFF))
        elif self.status.state is not before:
            await self._conditions(of_signal(self.status.state, self._to_utc(at_s)))
        rate = Rate(at_s, rate_bpm, self.status.device_rr_ms)
        self._minute.second(rate, self.status.rhythm_now, self.status.state)
        self._send_vitals()

    async def _contact(self, reading: HeartRateReading, now_ns: int) -> None:
        """A device with a wave tells its contact with the samples; without samples, by itself."""
        if reading.contact is not LeadState.OFF:
            return
        self.status.presence.contact_off(now_ns)
        if self._silent and self.status.state is not SignalState.LEAD_OFF:
            self.status.state = SignalState.LEAD_OFF
            await self._conditions(of_signal(SignalState.LEAD_OFF, self._clock.utc_ns()))

    def _send_vitals(self) -> None:
        self._vitals_ns = self._clock.monotonic_ns()
        vitals = self.status.vitals(self._outlets.stamp(Kind.VITALS, self.name))
        self._store.vitals(vitals)
        self._outlets.live(vitals)

    async def _send_summary(self, now_ns: int) -> None:
        length_ns = now_ns - self._minute_began_ns
        summary = Summary(
            **self._outlets.stamp(Kind.SUMMARY, self.name),
            unit=self.status.unit,
            bed=self.name,
            start=self._clock.utc_ns(self._minute_began_ns),
            duration_s=length_ns / 1e9,
            models=model_infos(self._networks),
            **self._minute.figures(),
        )
        self._minute, self._minute_began_ns = Minute(), now_ns
        self._store.summary(summary)
        await self._durably(self._store.enqueue([self._outlets.for_outbox(summary)]))
        self._outlets.shown(summary)

    async def _durably(self, writing: Coroutine[Any, Any, None]) -> None:
        """Wait for the disk, but no longer than a patient can: the store keeps trying."""
        task = asyncio.ensure_future(writing)
        self._writing.add(task)
        task.add_done_callback(self._written)
        await asyncio.wait([task], timeout=DISK_WAIT_S)

    def _written(self, task: asyncio.Future[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("bed %s: not stored: %s", self.name, error)

    def _to_utc(self, stream_s: float) -> int:
        if self._time is None:
            return self._clock.utc_ns()
        return self._clock.utc_ns(self._time.monotonic_ns(stream_s))

    def _lead_name(self) -> str:
        info = self.status.info
        if info is None or self._chain is None:
            return ""
        return info.leads[self._chain.lead_in_use].name
