"""Each operation of the registry, killed at every call that touches the disk and at random times.

Whatever was reached, a new process finds the old registry or the new one, never neither, and can
do the operation again.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bundles import make_version

from models.changes import ChangeError, Changes
from models.registry import ModelRefused, Registry

ROOT = Path(__file__).resolve().parents[2]
CALLS = ("replace", "rename", "fsync", "mkdir")
"""Killed before and after each of these."""
OPERATIONS = ("install", "promote", "rollback", "shadow")


def prepared(folder: Path, what: str) -> tuple[Path, Path]:
    """A models folder in which ``what`` can be done, and the bundle to install."""
    registry = folder / "models"
    source = make_version(folder / "from", "quality", "9.2.0")
    changes = Changes(Registry(registry), "test")
    changes.install(make_version(folder / "from", "quality", "9.0.0"))
    changes.install(make_version(folder / "from", "quality", "9.1.0"))
    if what in ("rollback", "shadow"):
        changes.promote("quality", "9.0.0")
    return registry, source


def operate(folder: Path, source: Path, what: str) -> None:
    """One operation, as a user would ask for it."""
    changes = Changes(Registry(folder), "test")
    if what == "install":
        changes.install(source)
    elif what == "promote":
        changes.promote("quality", "9.0.0")
    elif what == "rollback":
        changes.rollback("quality")
    else:
        changes.shadow("quality", "9.1.0")


def run(folder: Path, source: Path, what: str, die_at: int) -> int:
    """The operation in a process that kills itself at a call; its calls (0: it was killed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        count = die_when_called(die_at)
        try:
            operate(folder, source, what)
            os.write(writing, f"{count()}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    assert said or os.WTERMSIG(status) == signal.SIGKILL
    return int(said or 0)


def die_when_called(die_at: int) -> Callable[[], int]:
    """Have this process kill itself at its ``die_at``-th step to the disk; counts the steps."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def interrupted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            step()
            given = real(*arguments, **named)
            step()
            return given

        return call

    for name in CALLS:
        setattr(os, name, interrupted(getattr(os, name)))
    return lambda: steps


def truth(folder: Path) -> tuple[str, str, tuple[str, ...]]:
    """What a unit that starts now would run, try and have; every bundle must be whole."""
    registry = Registry(folder)
    shadow = registry.shadow("quality")
    bundles = [bundle for bundle in registry.listing() if bundle.name == "quality"]
    assert [bundle.refused for bundle in bundles if bundle.refused] == []
    assert registry.load(registry.in_use("quality")) is not None
    versions = tuple(bundle.version for bundle in bundles)
    return registry.in_use("quality").name, shadow.name if shadow else "", versions


def repeat(folder: Path, source: Path, what: str) -> str:
    """Do it again after the kill; what it said where it was done already."""
    try:
        operate(folder, source, what)
    except (ChangeError, ModelRefused) as already:
        return str(already)
    return ""


@pytest.mark.parametrize("what", OPERATIONS)
def test_killed_at_each_point_leaves_old_or_new(tmp_path: Path, what: str) -> None:
    registry, source = prepared(tmp_path, what)
    kept = tmp_path / "kept"
    shutil.copytree(registry, kept)
    before = truth(registry)
    calls = run(registry, source, what, 0)
    after = truth(registry)
    assert after != before
    assert calls >= 4
    for die_at in range(1, calls + 1):
        shutil.rmtree(registry)
        shutil.copytree(kept, registry)
        assert run(registry, source, what, die_at) == 0
        reached = truth(registry)
        assert reached in (before, after), f"killed at call {die_at}"
        said = repeat(registry, source, what)
        assert (said == "") or reached == after
        assert truth(registry) == after
        installs = [c for c in Registry(registry).selection().changes if c.what == "install"]
        assert {c.after for c in installs} == set(after[2]) - {p.name for p in shipped()}


def shipped() -> list[Path]:
    return Registry().versions("quality")


@pytest.mark.parametrize("what", OPERATIONS)
def test_killed_at_random_moments_leaves_old_or_new(tmp_path: Path, what: str) -> None:
    registry, source = prepared(tmp_path, what)
    kept = tmp_path / "kept"
    shutil.copytree(registry, kept)
    before = truth(registry)
    began = time.monotonic()
    assert command(registry, source, what).wait(120) == 0
    took_s, after = time.monotonic() - began, truth(registry)
    assert after != before
    moments = random.Random(what)
    for _ in range(3):
        shutil.rmtree(registry)
        shutil.copytree(kept, registry)
        process = command(registry, source, what)
        time.sleep(moments.uniform(0.4, 1.0) * took_s)
        process.kill()
        process.wait(10)
        assert truth(registry) in (before, after)


def command(folder: Path, source: Path, what: str) -> subprocess.Popen[bytes]:
    """The operation from the command line."""
    arguments = {
        "install": [str(source)],
        "promote": ["quality", "9.0.0"],
        "rollback": ["quality"],
        "shadow": ["quality", "9.1.0"],
    }[what]
    return subprocess.Popen(
        [sys.executable, "-m", "wardbeat", "models", what, *arguments, "--folder", str(folder)],
        cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
