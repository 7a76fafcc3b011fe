"""What was trained on whole recordings is what streams second by second."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from models.training.networks import (  # noqa: E402
    LethalTrunk,
    RhythmTrunk,
    StreamingRhythm,
    normalise,
    with_context,
)


@torch.no_grad()
def test_seconds_one_by_one_give_what_the_whole_recording_gives() -> None:
    torch.manual_seed(5)
    calm, lethal = RhythmTrunk(), LethalTrunk()
    streaming = StreamingRhythm(calm, lethal).eval()
    signal = torch.randn(1, 12 * 250) * 200
    squeezed, levels = normalise(signal)
    slow, _ = calm(with_context(squeezed, calm.context), torch.zeros(1, 1, calm.hidden))
    quick = torch.softmax(lethal(with_context(squeezed, lethal.context), levels)[0], 1)
    whole = torch.cat([torch.softmax(slow[0], 1) * quick[:, :1], quick[:, 1:]], 1)
    states = list(streaming.states().values())
    for t in range(12):
        p, *states = streaming(signal[:, t * 250 : (t + 1) * 250], *states)
        torch.testing.assert_close(p[0], whole[t], atol=1e-5, rtol=0)


def test_normalised_signal_does_not_know_its_gain() -> None:
    signal = torch.randn(2, 5 * 250) * 300
    squeezed, _ = normalise(signal)
    louder, _ = normalise(signal * 3)
    torch.testing.assert_close(squeezed, louder, atol=1e-4, rtol=1e-4)
