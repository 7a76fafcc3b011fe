"""What a screen or the centre may ask of a bed; every request is answered and audited."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from agent.bed import Bed
from agent.bed_messages import model_infos
from agent.bed_status import from_contract
from agent.clock import UnitClock
from agent.outlets import Outlets
from agent.store import Store, judgements
from agent.strips import AFTER_NS, BEFORE_NS, strip_of
from sync.contract import Command, Feedback, Reply
from sync.topics import Kind

NOTE_LENGTH = 500
WAVE_LEASE_MAX_S = 300.0
"""A forgotten subscriber costs a unit's uplink no longer than this."""


class CommandRefusedError(Exception):
    """The request is not allowed or makes no sense; the text goes back to who asked."""


class CommandDesk:
    """Takes the commands for all beds of a unit."""

    def __init__(
        self, beds: dict[str, Bed], store: Store, outlets: Outlets, clock: UnitClock
    ) -> None:
        self._beds = beds
        self._store = store
        self._outlets = outlets
        self._clock = clock

    async def handle(self, command: Command) -> Reply:
        """Do what is asked, or say why not."""
        reason = ""
        try:
            bed = self._beds.get(command.bed)
            if bed is None:
                raise CommandRefusedError(
                    f"this unit has no bed {command.bed!r}; it has {list(self._beds)}"
                )
            await self._do(bed, command)
        except (CommandRefusedError, ValueError) as refusal:
            reason = str(refusal)
        await self._store.audit(
            who=command.by,
            what=command.name,
            bed=command.bed,
            accepted=not reason,
            reason=reason,
            details=_asked(command),
        )
        return Reply(
            **self._outlets.stamp(Kind.REPLY),
            command_id=command.id,
            accepted=not reason,
            reason=reason,
        )

    async def _do(self, bed: Bed, command: Command) -> None:
        now_ns = self._clock.utc_ns()
        match command.name:
            case "acknowledge":
                async with bed.alarm_lock:
                    changes, why_not = bed.alarms.acknowledge(command.alarm_ids, command.by, now_ns)
                    await bed.record(changes)
                if why_not:
                    raise CommandRefusedError(why_not)
            case "pause_audio":
                bed.alarms.pause_audio(command.seconds, now_ns)
                bed.publish_state()
            case "resume_audio":
                bed.alarms.resume_audio()
                bed.publish_state()
            case "set_limits":
                await self._set_limits(bed, command)
            case "admit" | "discharge":
                await self._set_patient(bed, command)
            case "judge":
                await self._judge(bed, command)
            case "wave_lease":
                length_s = min(command.seconds or 0.0, WAVE_LEASE_MAX_S)
                self._outlets.lease_wave(bed.name, now_ns + round(length_s * 1e9))

    async def _set_limits(self, bed: Bed, command: Command) -> None:
        if command.limits is None:
            raise CommandRefusedError("set_limits needs limits")
        limits = from_contract(command.limits)
        await self._store.set_settings(bed.name, {"limits": asdict(limits)}, who=command.by)
        bed.set_limits(limits)

    async def _judge(self, bed: Bed, command: Command) -> None:
        """Keep what a person thinks of an alarm, with the ECG it is about."""
        if len(command.alarm_ids) != 1 or command.judgement is None:
            raise CommandRefusedError("judge needs one alarm id and a judgement")
        if len(command.note) > NOTE_LENGTH:
            raise CommandRefusedError(f"the note is longer than {NOTE_LENGTH} characters")
        (alarm_id,) = command.alarm_ids
        alarm = await self._store.read(lambda reader: judgements.alarm(reader, bed.name, alarm_id))
        if alarm is None:
            raise CommandRefusedError(f"bed {bed.name} never had an alarm {alarm_id!r}")
        stamp = self._outlets.stamp(Kind.FEEDBACK, bed.name)
        feedback = Feedback(
            **stamp,
            unit=bed.status.unit,
            bed=bed.name,
            alarm_id=alarm_id,
            code=alarm.code,
            judgement=command.judgement,
            rhythm=command.rhythm,
            note=command.note,
            by=command.by,
            judged_by=alarm.judged_by,
            models=model_infos(bed.networks),
        )
        cut = await self._store.strip(
            bed.name, alarm.raised_ns - BEFORE_NS, alarm.raised_ns + AFTER_NS
        )
        strip = None if cut is None else strip_of(cut, stamp, feedback.unit, bed.name, alarm_id)
        await self._store.feedback(feedback, strip, [self._outlets.for_outbox(feedback)])
        self._outlets.shown(feedback)

    async def _set_patient(self, bed: Bed, command: Command) -> None:
        if command.name == "admit" and not command.patient:
            raise CommandRefusedError("admit needs a patient (a pseudonym)")
        patient = command.patient if command.name == "admit" else None
        await self._store.set_settings(bed.name, {"patient": patient}, who=command.by)
        bed.status.patient = patient
        bed.publish_state()


def _asked(command: Command) -> dict[str, Any]:
    """What the audit keeps of a command beside who, what and where."""
    limits = command.limits
    asked = {
        "alarm_ids": list(command.alarm_ids) or None,
        "seconds": command.seconds,
        "limits": msgspec.to_builtins(limits) if limits is not None else None,
        "patient": command.patient,
        "judgement": command.judgement,
        "rhythm": command.rhythm,
        "note": command.note or None,
    }
    return {name: value for name, value in asked.items() if value is not None}
