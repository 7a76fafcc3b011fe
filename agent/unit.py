"""The unit: its beds, store, sync and feed, supervised, from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from agent import systemd
from agent.alarms.catalogue import configured
from agent.alarms.engine import Condition
from agent.bed import Bed, Services
from agent.bed_commands import CommandDesk
from agent.bed_messages import model_infos
from agent.clock import UnitClock, boot_id
from agent.config import Config, load
from agent.feed import FeedServer
from agent.model_watch import ModelWatch
from agent.networks import Networks
from agent.networks import load as load_networks
from agent.outlets import Outlets
from agent.shadow import Shadow
from agent.stamps import Stamper
from agent.store import Retention, Store, StoreError, StoreHealth, StoreOptions
from agent.supervisor import supervise
from drivers import catalogue as drivers
from drivers.samples import Driver, DriverError
from sync.contract import BedState, Command, Reply, UnitState
from sync.ids import new_id
from sync.publisher import Publisher
from sync.settings import SettingsError, UnitIdentity
from sync.topics import Kind

log = logging.getLogger(__name__)

HEALTH_S = 10.0
STOP_WITHIN_S = 3.0
"""systemd waits longer; a device that does not answer its stop command must not hold us."""


class UnitError(RuntimeError):
    """The unit cannot start: one line with what, where and what to do."""


def run_unit(path: Path) -> None:
    """Run a unit until SIGTERM or SIGINT; errors in the configuration stop it at once."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = load(path)
    try:
        asyncio.run(Unit(config).run())
    except (StoreError, DriverError, SettingsError) as error:
        raise UnitError(str(error)) from error


class Unit:
    """One unit; the constructor does nothing but take its configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = UnitClock()
        self._beds: dict[str, Bed] = {}
        self._falls: dict[str, int] = {}
        self._loose: set[asyncio.Future[None]] = set()
        """Reports under way that nobody waits for; kept so that none is collected unfinished."""
        self._since_ns = self._clock.utc_ns()
        self._networks = Networks()
        self._shadow: Shadow | None = None
        self._publisher: Publisher | None = None
        self._broker_up = False

    async def run(self) -> None:
        """Start everything, serve until told to stop, stop everything."""
        config = self._config
        self._networks = load_networks(config.registry())
        stamper = Stamper(new_id(), self._clock, new_id, trust_clock=config.unit.trust_clock)
        self._stamper = stamper
        store = self._open_store()
        self._store = store
        try:
            await self._serve(store, stamper)
        finally:
            systemd.notify("STOPPING=1")
            await store.close()

    def _open_store(self) -> Store:
        keep = msgspec.structs.asdict(self._config.store)
        return Store.open(
            Path(self._config.unit.data_dir) / "wardbeat.db",
            boot_id=boot_id(),
            version=version("wardbeat"),
            clock=self._clock,
            options=StoreOptions(Retention(**keep)),
        )

    async def _serve(self, store: Store, stamper: Stamper) -> None:
        unit = self._config.unit
        feed = FeedServer(Path(unit.feed), self._on_command)
        self._outlets = Outlets(unit.site, unit.name, stamper, feed)
        self._make_beds(store)
        made = [(bed, self._driver(bed)) for bed in self._beds.values()]
        self._desk = CommandDesk(self._beds, store, self._outlets, self._clock)
        watch = ModelWatch(
            self._config.registry(), self._networks, self._use_networks, self._try_out
        )
        jobs: dict[str, Callable[[], Awaitable[None]]] = {
            "feed": feed.run,
            "health": self._health,
            "models": watch.run,
        }
        self._add_publisher(store, jobs)
        for bed, driver in made:
            await bed.restore()
            jobs[f"bed {bed.name}"] = bed.work
            jobs[f"device of bed {bed.name}"] = partial(driver.run, bed.emit)
        # What stands now stays: a full collection that walks it all stops every bed for 40 ms.
        gc.collect()
        gc.freeze()
        tasks = [
            asyncio.create_task(supervise(name, job, self._on_fall)) for name, job in jobs.items()
        ]
        await self._report_start()
        systemd.notify(f"READY=1\nSTATUS={len(self._beds)} bed(s)")
        await _told_to_stop()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(tasks, timeout=STOP_WITHIN_S)

    def _make_beds(self, store: Store) -> None:
        alarms = self._config.alarms
        services = Services(
            clock=self._clock,
            store=store,
            outlets=self._outlets,
            networks=self._networks,
            catalogue=configured(alarms.off, alarms.on),
            new_id=new_id,
            audio_pause_max_s=alarms.audio_pause_max_s,
        )
        self._beds = {section.name: Bed(section, services) for section in self._config.bed}

    def _driver(self, bed: Bed) -> Driver:
        section = next(s for s in self._config.bed if s.name == bed.name)
        device = section.device
        return drivers.create(device.driver, device.address, device.options)

    def _add_publisher(self, store: Store, jobs: dict[str, Callable[[], Awaitable[None]]]) -> None:
        if self._config.sync is None:
            return
        unit = self._config.unit
        self._publisher = Publisher(
            self._config.sync,
            UnitIdentity(unit.site, unit.name),
            store.outbox,
            birth=self._state,
            states=self._bed_states,
            on_command=self._on_command,
            on_link=self._on_link,
            clock_synced=lambda: self._stamper.synced,
        )
        self._outlets.uplink = self._publisher
        jobs["publisher"] = self._publisher.run

    async def _report_start(self) -> None:
        for line in self._networks.refused:
            await self._tell_all(Condition("model_refused", True, self._since_ns, detail=line))

    async def _use_networks(self, networks: Networks, by: str) -> None:
        """Let other networks judge from now on; note it, and tell screens and centre."""
        before, self._networks = self._networks, networks
        for bed in self._beds.values():
            bed.use_networks(networks)
        self._outlets.unit(self._state())
        refused = "; ".join(networks.refused)
        condition = Condition("model_refused", bool(refused), self._clock.utc_ns(), detail=refused)
        await self._tell_all(condition)
        await self._store.audit(
            who=by,
            what="models",
            accepted=not refused,
            reason=refused,
            details={
                "before": [str(model) for model in before.in_use],
                "after": [str(model) for model in networks.in_use],
            },
        )

    def _try_out(self, candidates: Networks | None, refused: list[str]) -> None:
        """Begin, change or end the trial of candidates beside the networks in use."""
        for line in refused:
            log.error("not tried in shadow: %s", line)
        if self._shadow is not None:
            if candidates is not None and self._shadow.is_of(candidates, self._networks):
                return
            self._shadow.close()
        self._shadow = None
        if candidates is not None:
            store = self._store
            self._shadow = Shadow(candidates, self._networks, store.disagreement, store.trial)
            log.info("in shadow: %s", self._shadow.candidate)
        for bed in self._beds.values():
            bed.shadow = self._shadow

    async def _on_command(self, command: Command) -> Reply:
        return await self._desk.handle(command)

    def _on_link(self, up: bool, reason: str) -> None:
        log.info("broker: %s", reason or ("connected" if up else "not connected"))
        self._broker_up = up
        self._outlets.unit(self._state())
        condition = Condition("broker_unreachable", not up, self._clock.utc_ns(), detail=reason)
        self._soon(self._tell_all(condition))

    def _on_fall(self, line: str) -> None:
        log.error("%s", line)
        name = line.split(" fell")[0].split(" ended")[0]
        self._falls[name] = self._falls.get(name, 0) + 1

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    async def _tell_all(self, condition: Condition) -> None:
        for bed in self._beds.values():
            await bed.report(condition)

    async def _health(self) -> None:
        """Follow the clock, feed systemd's watchdog, tell of the unit's health."""
        told_ns = 0
        while True:
            systemd.notify("WATCHDOG=1")
            step = self._clock.follow()
            if step is not None:
                log.warning("the wall clock stepped by %.1f s", step.by_ns / 1e9)
                self._store.clock_step(step.by_ns)
            now_ns = self._clock.monotonic_ns()
            if now_ns - told_ns >= HEALTH_S * 1e9:
                told_ns = now_ns
                self._stamper.refresh()
                await self._report_health()
            await asyncio.sleep(min(1.0, systemd.watchdog_period_s()))

    async def _report_health(self) -> None:
        at_ns = self._clock.utc_ns()
        await self._tell_all(Condition("clock_not_set", not self._stamper.synced, at_ns))
        health = self._store.health()
        trouble = next(iter(health.troubles), "")
        full = health.disk_full
        await self._tell_all(Condition("storage_full", full, at_ns, detail=trouble if full else ""))
        await self._tell_all(
            Condition("storage_fault", bool(trouble) and not full, at_ns, detail=trouble)
        )
        self._outlets.unit(self._state())

    def _state(self) -> UnitState:
        health = self._store.health()
        unit = self._config.unit
        return UnitState(
            **self._outlets.stamp(Kind.UNIT),
            unit=unit.name,
            site=unit.site,
            online=True,
            since=self._since_ns,
            version=version("wardbeat"),
            models=model_infos(self._networks),
            beds=tuple(self._beds),
            buffer=health.buffer(),
            health=self._health_figures(health),
        )

    def _health_figures(self, store: StoreHealth) -> dict[str, float]:
        """Numbers a person or a central station may want to watch."""
        figures = {
            "store_lag_s": store.lag_s,
            "dropped_samples": float(store.dropped_samples),
            **{f"falls of {name}": float(count) for name, count in self._falls.items()},
        }
        if self._shadow is not None:
            figures["shadow_runs"] = float(not self._shadow.dropped)
            figures["shadow_disagreements"] = float(self._shadow.disagreements)
        if self._publisher is not None:
            figures["broker_connected"] = float(self._broker_up)
        return figures

    def _bed_states(self) -> Iterable[BedState]:
        return [bed.state() for bed in self._beds.values()]


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()
