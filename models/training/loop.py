"""The training loop every network shares: one-cycle AdamW, averaged weights, checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast."""

    epochs: int
    steps_per_epoch: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    average: float = 0.998
    """Decay of the averaged weights, which are what is kept."""


def train(
    model: nn.Module,
    plan: Plan,
    batches: Callable[[int], Iterable[tuple[Tensor, ...]]],
    loss: Callable[[nn.Module, tuple[Tensor, ...]], Tensor],
    *,
    checkpoint: Path,
    after_epoch: Callable[[nn.Module, int], str] = lambda _model, _epoch: "",
) -> nn.Module:
    """Train ``model``; gives the averaged one. Goes on from ``checkpoint`` where it exists.

    ``batches(epoch)`` must depend on the epoch alone, so a resumed run sees what it would have.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    total = plan.epochs * plan.steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=plan.learning_rate, total_steps=total + 1, pct_start=0.15
    )
    averaged = copy.deepcopy(model)
    first = 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(kept["model"])
        averaged.load_state_dict(kept["averaged"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        first = kept["epoch"] + 1
    for epoch in range(first, plan.epochs):
        began = time.monotonic()
        losses = 0.0
        model.train()
        for count, batch in enumerate(batches(epoch)):
            if count == plan.steps_per_epoch:
                break
            done = epoch * plan.steps_per_epoch + count
            value = loss(model, batch)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            _follow(averaged, model, min(plan.average, (1 + done) / (10 + done)))
            losses += value.item()
        _keep(checkpoint, model, averaged, optimizer, schedule, epoch)
        averaged.eval()
        note = after_epoch(averaged, epoch)
        took = time.monotonic() - began
        print(
            f"epoch {epoch}: loss {losses / plan.steps_per_epoch:.4f}, {took:.0f} s {note}",
            flush=True,
        )
    averaged.eval()
    return averaged


def _follow(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(
            averaged.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1.0 - decay)
            else:
                kept.copy_(new)


def _keep(
    path: Path,
    model: nn.Module,
    averaged: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epoch: int,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(
        {
            "model": model.state_dict(),
            "averaged": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch,
        },
        part,
    )
    part.replace(path)
