"""Do the intervals of background temperature cover the truth? A simulation of systems, repeats and prompts.

    .venv/bin/python bench/studies/temperature_coverage.py [FOLDER [REPLICATIONS [PROCESSES]]]

A simulated system has, after every prefix, four likely next tokens: the second lies Exp(3 nats) below the first and
the others Exp(1) below that, all times a factor of the prompt (log-normal, 0.5). Answers have 32 tokens. Each cell has
200 replications: new prompts, new answers, a new estimate. Noise:

    gumbel      T g on every logit of every run: softmax at T
    gaussian    normal of sd T / 0.82 instead
    bounded     uniform with that sd
    configs     normal with that sd, fixed for a prefix and one of 8 configurations; a run meets one of them by chance

With noise that is no temperature the truth is what endless data would give: the estimate from all replications
together. Systems report the log-probabilities of the model, or ("reported") each run's own, with the noise that it
met. References of the matched protocol have the system's law of gaps ("like"), or gaps 0.5, 0.8 and 2 times as
large ("unlike"). The published protocol is run at its own size: 30 prompts, 100 runs, 32 of each reference.

Every (noise, T) is kept in FOLDER, out/temperature-coverage by default, and not computed again. Prints the tables of
docs/concepts/temperature.md and those of smalti.temperature.trust. About half an hour on four cores; 40 replications
instead of 200 take a fifth of that.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from smalti.sampling.files import write_file
from smalti.temperature import likelihood, matched, published
from smalti.temperature.metrics import Forms

NOISES = ("gumbel", "gaussian", "bounded", "configs")
TEMPERATURES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SIZES = (10, 30, 100)
LENGTH, TOKENS, CONFIGURATIONS = 32, 4, 8
LIKE, UNLIKE = (1.0,) * 3, (0.5, 0.8, 2.0)
POOL = 1000  # prompts of a reference from which replications take theirs
DRAWS = 500
TRUTHS = {
    "likelihood": "likelihood",
    "likelihood, reported": "likelihood",
    "matched, like": "matched",
    "matched, unlike": "matched",
    "one reference, like": "matched",
    "one reference, unlike": "matched",
}
PROTOCOLS = tuple(TRUTHS)
BATCH = 10  # replications whose answers are in memory together
WORDS = 50

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]


def mixed(values: Hashes, salt: int) -> Hashes:
    """A hash of hashes (the finaliser of splitmix64)."""
    x = values + np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def share(values: Hashes) -> Floats:
    """Hashes as numbers inside (0, 1)."""
    return ((values >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(values: Hashes, salt: int) -> Floats:
    """Hashes as standard normal numbers."""
    radius = np.sqrt(-2 * np.log(share(mixed(values, salt))))
    return radius * np.cos(2 * np.pi * share(mixed(values, salt + 1)))


def gaps(prefix: Hashes, sharpness: Floats) -> Floats:
    """How far the tokens after prefixes lie below the first. Shape (..., TOKENS)."""
    steps = [np.zeros(prefix.shape)]
    for token, mean in enumerate((3.0, 1.0, 1.0)):
        steps.append(steps[-1] - np.log(share(mixed(prefix, token))) * mean)
    return np.stack(steps, axis=-1) * sharpness[..., None]


@dataclass
class Drawn:
    """Prefixes that runs reached (R, P, M, L), where each left the greedy path (R, P, M), its gaps (R, P, L, K), and
    the logits that runs met, with their noise (R, P, M, L, K), and the configuration that each is of, if any (R, P, M).

    A prefix's last token is its hash modulo WORDS.
    """

    prefix: Hashes
    left: NDArray[np.int64]
    gaps: Floats
    met: Floats
    configuration: NDArray[np.uint64] | None


def draw(
    generator: np.random.Generator,
    replications: int,
    prompts: int,
    runs: int,
    noise: str,
    temperature: float,
    scale: float,
) -> Drawn:
    """Answers of a system."""
    beginning = generator.integers(0, 2**64, (replications, prompts), np.uint64)
    sharpness = scale * np.exp(0.5 * normal(beginning, 90))
    shape = (replications, prompts, runs)
    here = np.broadcast_to(beginning[..., None], shape)
    greedy = beginning
    configuration = generator.integers(0, CONFIGURATIONS, shape).astype(np.uint64)
    deviation = temperature / 0.82
    prefix, left, path = [], np.full(shape, LENGTH), []
    logits = np.empty((*shape, LENGTH, TOKENS))
    for place in range(LENGTH):
        z = -gaps(here, np.broadcast_to(sharpness[..., None], shape))
        path.append(gaps(greedy, sharpness))
        if noise == "gumbel":
            z += temperature * generator.gumbel(size=z.shape)
        elif noise == "gaussian":
            z += deviation * generator.standard_normal(z.shape)
        elif noise == "bounded":
            z += deviation * generator.uniform(-(3**0.5), 3**0.5, z.shape)
        else:
            met = mixed(here ^ mixed(configuration, 50), 51)
            z += deviation * np.stack([normal(met, 60 + 2 * token) for token in range(TOKENS)], axis=-1)
        logits[..., place, :] = z
        token = z.argmax(axis=-1)
        left = np.where((left == LENGTH) & (token > 0), place, left)
        here = mixed(here ^ token.astype(np.uint64), 70)
        greedy = mixed(greedy, 70)
        prefix.append(here)
    return Drawn(
        np.stack(prefix, axis=-1), left, np.stack(path, axis=2), logits, configuration if noise == "configs" else None
    )


def measured(prefix: Hashes) -> tuple[Floats, Floats]:
    """(behind, varied) of the runs of each prompt: pairs agree as long as their prefixes do. Shapes (R, P)."""
    runs = prefix.shape[2]
    agreeing = np.zeros(prefix.shape[:2])
    for place in range(LENGTH):
        ordered = np.sort(prefix[..., place], axis=2)
        new = np.ones(ordered.shape, bool)
        new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        start = np.maximum.accumulate(np.where(new, np.arange(runs), 0), axis=2)
        agreeing += (np.arange(runs) - start).sum(axis=2)  # pairs with an earlier run of the same group
    behind = 1 - agreeing / (LENGTH * runs * (runs - 1) / 2)
    return behind, (prefix[..., -1] != prefix[..., :1, -1]).any(axis=2).astype(np.float64)


def sites_of(drawn: Drawn, replication: int, prompts: int, runs: int) -> likelihood.Sites:
    """The sites of the first prompts and runs of a replication; all alternatives are known."""
    left = drawn.left[replication, :prompts, :runs, None]
    places = np.arange(LENGTH)
    came, gone = (left >= places).sum(axis=1), (left == places).sum(axis=1)
    return likelihood.Sites(
        np.repeat(np.arange(prompts), LENGTH),
        np.tile(places, prompts),
        drawn.gaps[replication, :prompts, :, 1:].reshape(prompts * LENGTH, TOKENS - 1),
        np.zeros(prompts * LENGTH),
        np.zeros(prompts * LENGTH),
        came.reshape(-1, 1),
        gone.reshape(-1, 1),
    )


def reported_sites_of(drawn: Drawn, replication: int, prompts: int, runs: int) -> likelihood.Sites:
    """The same where each run reports the logits that it met: as `likelihood.sites` makes them of a recording."""
    met = drawn.met[replication, :prompts, :runs]
    configuration = None if drawn.configuration is None else drawn.configuration[replication, :prompts, :runs]
    on = np.ones((prompts, runs), bool)
    rows = []
    for place in range(LENGTH):
        here, came = met[:, :, place], on.sum(axis=1)
        mean = (here * on[..., None]).sum(axis=1) / np.maximum(came, 1)[:, None]
        greedy = mean.argmax(axis=1)
        gone = on & (here.argmax(axis=2) != greedy[:, None])
        behind = np.sort(mean.max(axis=1, keepdims=True) - mean, axis=1)[:, 1:]
        several = np.flatnonzero(came > 1)
        alike = 1.0 / np.maximum(came, 1)
        if configuration is not None:  # runs of the same one report the same
            each = (on[..., None] & (configuration[..., None] == np.arange(CONFIGURATIONS))).sum(axis=1)
            alike = (each**2).sum(axis=1) / np.maximum(came, 1) ** 2
        shrunk = np.where(alike < 1, np.sqrt(1.0 - np.minimum(alike, 1.0)), 1.0)[several]
        rows.append((several, np.full_like(several, place), behind[several] / shrunk[:, None]))
        rows[-1] += (came[several], gone.sum(axis=1)[several])
        on &= ~gone
    prompt, place, behind, came, left = (np.concatenate(column) for column in zip(*rows, strict=True))
    nothing = np.zeros(len(prompt))
    return likelihood.Sites(prompt, place, behind, nothing, nothing, came.reshape(-1, 1), left.reshape(-1, 1))


def table(drawn: Drawn, replication: int, prompts: int) -> Floats:
    """The published protocol's numbers of the first prompts of a replication. Shape (P, 3)."""
    words = (drawn.prefix[replication, :prompts] % np.uint64(WORDS)).tolist()
    return published.rows([Forms.of([tuple(map(str, run)) for run in runs]) for runs in words], LENGTH)


def pools(folder: Path) -> dict[str, Floats]:
    """What references of each scale have at the temperatures of both protocols, prompt by prompt."""
    path = folder / "references.npz"
    if not path.exists():
        generator = np.random.default_rng(0)
        made = dict[str, Floats]()
        for scale in sorted({*LIKE, *UNLIKE}):
            curves = [draw(generator, 1, POOL, max(SIZES), "gumbel", t, scale).prefix for t in matched.GRID]
            for runs in SIZES:
                both = [measured(prefix[:, :, :runs]) for prefix in curves]
                made[f"{scale} {runs} behind"] = np.stack([behind[0] for behind, _ in both], axis=1)
                made[f"{scale} {runs} varied"] = np.stack([varied[0] for _, varied in both], axis=1)
            asked = [
                draw(generator, 1, POOL // 5, published.REFERENCE_RUNS, "gumbel", t, scale) for t in published.GRID
            ]
            made[f"{scale} published"] = np.stack([table(one, 0, POOL // 5) for one in asked])
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".npz", delete=False) as file:
            np.savez(file, **cast(Any, made))
        Path(file.name).replace(path)
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def references(
    generator: np.random.Generator, pool: dict[str, Floats], scales: Sequence[float], prompts: int, runs: int
) -> Iterator[matched.Curve]:
    """Curves of three references, each of prompts of its own."""
    for scale in scales:
        some = generator.choice(POOL, prompts, replace=False)
        parts = [pool[f"{scale} {runs} {what}"][some] for what in ("behind", "varied")]
        yield matched.Curve(f"{scale}", np.array(matched.GRID), *parts)


def replications(work: tuple[str, float, int, Path]) -> None:
    """One (noise, T): writes each (estimate, low, high) by each protocol at each size, and the truths."""
    noise, temperature, count, folder = work
    path = folder / f"{noise} {temperature:g} {count}.json"
    if path.exists():
        return
    pool = pools(folder)
    generator = np.random.default_rng([NOISES.index(noise), round(temperature * 1e6)])
    most = max(SIZES)
    found: dict[str, list[tuple[float, float, float]]] = {}
    total, behind_sum = np.zeros(len(likelihood.GRID)), 0.0
    for begin in range(0, count, BATCH):
        drawn = draw(generator, min(BATCH, count - begin), most, most, noise, temperature, 1.0)
        at = {runs: measured(drawn.prefix[:, :, :runs]) for runs in SIZES}
        behind_sum += float(at[most][0].mean(axis=1).sum())
        for replication in range(len(drawn.left)):
            total += likelihood.log_likelihoods(sites_of(drawn, replication, most, most)).sum(axis=(0, 1))
            for prompts, runs in ((p, m) for p in SIZES for m in SIZES):
                key = f"{prompts} {runs}"
                fitted = likelihood.fit(sites_of(drawn, replication, prompts, runs), draws=DRAWS, seed=replication)
                kept(found, f"likelihood {key}", fitted)
                if temperature:
                    fitted = likelihood.fit(
                        reported_sites_of(drawn, replication, prompts, runs), draws=DRAWS, seed=replication
                    )
                    kept(found, f"likelihood, reported {key}", fitted)
                system = matched.Measured(*(values[replication, :prompts] for values in at[runs]))
                for name, scales in (("like", LIKE), ("unlike", UNLIKE)):
                    curves = list(references(generator, pool, scales, prompts, runs))
                    joint, each = matched.joined(system, curves, draws=DRAWS, seed=replication)
                    kept(found, f"matched, {name} {key}", joint)
                    kept(found, f"one reference, {name} {key}", each[0])
            if noise == "gumbel":
                own = table(drawn, replication, published.PROMPTS)
                for name, scales in (("like", LIKE), ("unlike", UNLIKE)):
                    some = [generator.choice(POOL // 5, published.PROMPTS, replace=False) for _ in scales]
                    tables = [pool[f"{s} published"][:, rows] for s, rows in zip(scales, some, strict=True)]
                    value = published.published(own, tables).temperature
                    found.setdefault(f"published, {name} 30 100", []).append((value, value, value))
    curve = matched.isotonic(pool[f"1.0 {most} behind"].mean(axis=0)[None])
    truths = {
        "likelihood": float(likelihood.peaks(total[None])[0]),
        "matched": float(matched.invert(curve, np.array(matched.GRID), np.array([behind_sum / count]))[0]),
    }
    write_file(path, json.dumps({"truths": truths, "found": found}).encode())


def kept(found: dict[str, list[tuple[float, float, float]]], key: str, one: Any) -> None:
    """Appends an estimate with its ends."""
    found.setdefault(key, []).append((one.temperature, one.low, one.high))


def main() -> None:
    """Computes what is missing and prints the tables."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/temperature-coverage")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    folder.mkdir(parents=True, exist_ok=True)
    pools(folder)
    work = [(noise, t, count, folder) for t in TEMPERATURES for noise in NOISES if t or noise == "gumbel"]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read where NumPy is loaded: each process has one processor
    with multiprocessing.get_context("spawn").Pool(int(sys.argv[3]) if len(sys.argv) > 3 else None) as processes:
        for done, _ in enumerate(processes.imap_unordered(replications, work), 1):
            print(f"{done} of {len(work)}", file=sys.stderr, flush=True)
    for protocol in PROTOCOLS:
        print(f"\n{protocol}: share of intervals that cover, at prompts x repeats; estimate / truth: median, 5 to 95 %")
        sizes = [f"{p} {m}" for p in SIZES for m in SIZES]
        heads = "".join(f"{size.replace(' ', 'x'):>9}" for size in sizes)
        print(f"{'noise':<10}{'T':>7}{'truth':>9}{heads}  at 30x30")
        for noise, t, _, _ in work:
            stored = json.loads((folder / f"{noise} {t:g} {count}.json").read_text())
            if f"{protocol} 30 30" not in stored["found"]:
                continue  # at T = 0 what is reported is what the model has
            truth = t if noise == "gumbel" else stored["truths"][TRUTHS[protocol]]
            cells = "".join(f"{covered(folder, count, protocol, noise, t, size):>9.3f}" for size in sizes)
            print(
                f"{noise:<10}{t:>7g}{truth:>9.2g}{cells}{ratios(np.array(stored['found'][f'{protocol} 30 30']), truth)}"
            )
    summary(folder, count)
    print("\npublished, 30 prompts, 100 runs: estimate, 5 % to 95 %")
    for t in TEMPERATURES:
        stored = json.loads((folder / f"gumbel {t:g} {count}.json").read_text())["found"]
        cells = [np.array(stored[f"published, {name} 30 100"])[:, 0] for name in ("like", "unlike")]
        print(
            f"{t:<8g}"
            + "".join("{1:9.3f}  ({0:.3f} to {2:.3f})".format(*np.quantile(c, (0.05, 0.5, 0.95))) for c in cells)
        )


def summary(folder: Path, count: int) -> None:
    """The table of smalti.temperature.trust, in per cent, and the worst cell of each protocol."""
    shares = {
        (protocol, noise, t, p, m): covered(folder, count, protocol, noise, t, f"{p} {m}")
        for protocol in PROTOCOLS
        for noise in NOISES
        for t in TEMPERATURES[1:]
        for p in SIZES
        for m in SIZES
    }
    for protocol in PROTOCOLS[:2]:
        print(f"\n{protocol}: (mean over independent noises, configs) in per cent, at each T above 0")
        for p, m in ((p, m) for p in SIZES for m in SIZES):
            pairs = []
            for t in TEMPERATURES[1:]:
                *independent, fixed = (shares[protocol, noise, t, p, m] for noise in NOISES)
                pairs.append(f"({100 * np.mean(independent):.0f}, {100 * fixed:.0f})")
            print(f"    ({p}, {m}): ({', '.join(pairs)}),")
    for protocol in PROTOCOLS:
        for kinds in (NOISES[:3], NOISES[3:]):
            worst = min((value, key) for key, value in shares.items() if key[0] == protocol and key[1] in kinds)
            print("worst cell: {1[0]}, {1[1]}, T = {1[2]:g}, {1[3]} prompts x {1[4]}: {0:.3f}".format(*worst))


def covered(folder: Path, count: int, protocol: str, noise: str, temperature: float, size: str) -> float:
    """Share of the intervals of a cell that hold the truth."""
    stored = json.loads((folder / f"{noise} {temperature:g} {count}.json").read_text())
    truth = temperature if noise == "gumbel" else stored["truths"][TRUTHS[protocol]]
    one = np.array(stored["found"][f"{protocol} {size}"])
    return float(((one[:, 1] <= truth) & (truth <= one[:, 2])).mean())


def ratios(found: Floats, truth: float) -> str:
    """Estimate by truth: median and range of nine in ten."""
    if not truth:
        return f"  bound {np.median(found[:, 2]):.2g}"
    return "  {1:.2f} ({0:.2f} to {2:.2f})".format(*np.quantile(found[:, 0] / truth, (0.05, 0.5, 0.95)))


if __name__ == "__main__":
    main()
