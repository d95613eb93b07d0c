"""The benchmark's baseline computes the same thing as the engine, and the command reports what it measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from smalti.bench.baseline import posterior_mean
from smalti.bench.measure import EXPLAINED, SIDE, SIZES, Case, measure
from smalti.engine import native
from smalti.engine.posterior import mean_of


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "time"), SIZES.items())
def test_baseline_and_engine_agree(channels: int, size: int, time: float) -> None:
    # The baseline works in float32: a logit of size m is off by about m 2^-24 times the square root of the number of
    # terms, and logits before the maximum is taken away reach (a / s^2) P^2 C, some thousands here, so weights are off
    # by a few thousandths at worst and so are means, which lie in [-1, 1].
    case = Case(12, channels, size, time)
    state, corpus, patch, signal, noise = case.floats()
    half = size // 2
    inner = mean_of(native.sums(case.query()))[0, half : SIDE - half, half : SIDE - half].reshape(-1, channels)
    for block, threads in ((5, 1), (2, 3)):
        plain = posterior_mean(state, corpus, patch, signal, noise, block=block, threads=threads)
        np.testing.assert_allclose(plain, inner, atol=5e-3)


def test_measure_compares_every_case_and_counts_up() -> None:
    found = measure(items=4, counts=(4, 8), repeats=1)
    assert [(m.case.channels, m.case.patch_size) for m in found.compared] == [(c, p) for c in (1, 3) for p in SIZES]
    assert all(m.engine > 0 and (m.plain or 0) > 0 and (m.shared or 0) > 0 for m in found.compared)
    assert [m.case.items for m in found.grown] == [4, 8]
    assert all(m.plain is None for m in found.grown)
    assert [(e.case.channels, e.case.patch_size, e.case.time) for e in found.explained] == list(EXPLAINED)
    assert all(min(e.seconds, e.weights, e.pixels) > 0 for e in found.explained)


def test_command_prints_json_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    import smalti.bench
    from smalti.cli import app

    found = measure(items=2, counts=(2,), repeats=1)
    monkeypatch.setattr(smalti.bench, "measure", lambda **_: found)
    runner = CliRunner()
    table = runner.invoke(app, ["bench"])
    assert table.exit_code == 0
    assert "ratio" in table.stdout
    assert "sums and weights" in table.stdout
    data = json.loads(runner.invoke(app, ["bench", "--json"]).stdout)
    assert len(data["compared"]) == 2 * len(SIZES)
    assert len(data["explained"]) == len(EXPLAINED)
