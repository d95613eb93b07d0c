"""Structured noise: laws that can be written out in full, and where likeness comes from."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TokenCorpus, tokenizer_for
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine
from smalti.noise.discrete import kept, uniform_reverse, uniform_split
from smalti.noise.similar import BLOSUM62, RateTable, contexts, product, read_table
from smalti.noise.structured import LEAST_JUMP, MOST_TOKENS, JumpNoise, stochastic

V, L = 4, 3


def rates_of(seed: int, size: int = V) -> NDArray[np.float64]:
    """Symmetric rates, some of them 0."""
    rng = np.random.default_rng(seed)
    rates = rng.random((size, size)) * (rng.random((size, size)) < 0.6)
    return rates + rates.T


def noise_of(seed: int, jump: float = 0.3, size: int = V) -> JumpNoise:
    return JumpNoise(stochastic(rates_of(seed, size)), jump)


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([1e-300, 1.0, 1e300]))
def test_near_jumps_are_symmetric_and_doubly_stochastic_whatever_the_rates(seed: int, size: int, scale: float) -> None:
    rates = rates_of(seed, size) * scale
    near = stochastic(rates)
    assert (near == near.T).all()
    assert (near >= 0).all()
    # Sums of at most nine numbers that sum to 1.
    np.testing.assert_allclose(near.sum(axis=1), 1.0, atol=1e-15)
    off = ~np.eye(size, dtype=bool)
    assert ((near > 0) == (rates > 0))[off].all()


def test_near_jumps_follow_the_rule_of_metropolis() -> None:
    near = stochastic(np.array([[9.0, 2.0, 1.0], [2.0, 9.0, 0.0], [1.0, 0.0, 0.0]]))
    # Sums of the rows without the diagonal: 3, 2, 1.
    np.testing.assert_allclose(near, np.array([[0, 2, 1], [2, 1, 0], [1, 0, 2]]) / 3, rtol=1e-15)
    assert (stochastic(np.zeros((3, 3))) == np.eye(3)).all()


@pytest.mark.parametrize("jump", [LEAST_JUMP, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("share", [2.0**-40, 0.01, 0.5, 0.97, 1.0])
def test_forward_is_the_exponential_of_the_generator(jump: float, share: float) -> None:
    noise = noise_of(1, jump)
    fresh = np.full((V, V), 1 / V)
    generator = (1 - jump) * noise.near + jump * fresh - np.eye(V)
    values, vectors = np.linalg.eigh(generator)
    expected = (vectors * np.exp(-math.log(share) / jump * values)) @ vectors.T
    # The exponent is at most 28 / jump, and the error of LAPACK's eigenvalues some 1e-16 times that.
    np.testing.assert_allclose(noise.forward(share), expected, atol=1e-12)
    np.testing.assert_allclose(noise.forward(share).sum(axis=1), 1.0, atol=1e-12)


def test_with_fresh_jumps_alone_it_is_uniform_noise() -> None:
    noise = noise_of(2, 1.0)
    rng = np.random.default_rng(0)
    p, tokens = rng.dirichlet(np.ones(V), 50), rng.integers(0, V, 50)
    for before, after in itertools.pairwise(kept("cosine", 6).tolist()):
        np.testing.assert_allclose(noise.forward(before), before * np.eye(V) + (1 - before) / V, rtol=1e-15)
        expected = uniform_reverse(p, tokens, before, after)
        # The same formula but for the order of its sums: a few roundings.
        np.testing.assert_allclose(noise.reverse(p, tokens, before, after), expected, rtol=1e-14)
        for ours, theirs in zip(noise.split(p, tokens, after), uniform_split(p, tokens, after), strict=True):
            # What stays and what is drawn anew to the same token are told apart in the second only.
            np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-15)


def test_at_the_end_nothing_is_left_and_steps_go_together() -> None:
    noise = noise_of(3)
    np.testing.assert_allclose(noise.forward(2.0**-40), np.full((V, V), 1 / V), atol=2.0**-39)
    assert (noise.forward(1.0) == np.eye(V)).all()
    both = product(noise.forward(0.6), noise.forward(0.5))
    np.testing.assert_allclose(noise.forward(0.3), both, rtol=1e-13)


def test_the_step_back_is_exact() -> None:
    # p(x_s = b at a site | x_t), by enumeration of all clean rows, against the step from leave-one-out probabilities.
    rows = np.array(list(itertools.product(range(V), repeat=L)))
    law = np.random.default_rng(4).dirichlet(np.full(len(rows), 0.3))
    noise, before, after = noise_of(5), 0.2, 0.45
    q_t, q_s = noise.forward(before), noise.forward(after)
    # What leads from s to t, by itself: Q_t = Q_s R.
    bridge = np.linalg.solve(q_s, q_t)
    for tokens in rows[::3]:
        for site in range(L):
            weight = law * np.prod([q_t[rows[:, o], tokens[o]] for o in range(L) if o != site], axis=0)
            others = np.array([[weight[rows[:, site] == k].sum() for k in range(V)]])
            found = noise.reverse(others / others.sum(), tokens[[site]], before, after)[0]
            posterior = law * np.prod([q_t[rows[:, o], tokens[o]] for o in range(L)], axis=0)
            posterior /= posterior.sum()
            for b in range(V):
                # q(x_s = b | x_t, x_0) = q(x_t | x_s = b) q(x_s = b | x_0) / q(x_t | x_0).
                chance = bridge[b, tokens[site]] * q_s[rows[:, site], b] / q_t[rows[:, site], tokens[site]]
                assert found[b] == pytest.approx(float((posterior * chance).sum()), rel=1e-10)


def test_the_parts_of_a_step_sum_to_its_law_before_the_token_has_its_say() -> None:
    noise, after = noise_of(6), 0.7
    p = np.random.default_rng(0).dirichlet(np.ones(V), V)
    own, of_noise = noise.split(p, np.arange(V), after)
    whole = (p @ noise.forward(after)).diagonal()
    np.testing.assert_allclose(own + of_noise, whole, rtol=1e-14)
    assert (own <= after * p.diagonal()).all()
    own, of_noise = noise.split(p, np.arange(V), 1.0)
    assert own.tolist() == p.diagonal().tolist()
    assert not of_noise.any()


def test_what_was_computed_before_changes_no_byte() -> None:
    one, other = noise_of(7, 0.05), noise_of(7, 0.05)
    shares = kept("linear", 12).tolist()[:-1]
    first = [one.forward(share).tobytes() for share in shares]
    assert [other.forward(share).tobytes() for share in reversed(shares)] == first[::-1]


def test_products_are_sums_in_order() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.random((3, 40)), rng.random((40, 2))
    for i, k in itertools.product(range(3), range(2)):
        total = 0.0
        for j in range(40):
            total += float(left[i, j]) * float(right[j, k])
        assert product(left, right)[i, k] == total


# ------------------------------------------------------------------------------------------------------------ likeness


def cut(texts: list[str]) -> TokenCorpus:
    corpus = TextCorpus.from_texts(texts)
    return TokenCorpus(corpus, tokenizer_for("characters", corpus), 2)


@given(st.lists(st.text("abcd", min_size=1, max_size=30), min_size=1, max_size=4))
def test_contexts_are_what_they_are_said_to_be(texts: list[str]) -> None:
    symbols = cut([*texts, "abcd"])
    alphabet = "abcd"
    shares: list[dict[tuple[str, int], float]] = []
    for own in alphabet:
        near = {-1: [], 1: []}
        for text in symbols.corpus.documents:
            for i, letter in enumerate(text):
                for side, found in near.items():
                    if letter == own and 0 <= i + side < len(text):
                        found.append(text[i + side])
        shares.append({(c, s): near[s].count(c) / max(len(near[s]), 1) for c in alphabet for s in near})
    found = contexts(symbols)
    for j, k in itertools.product(range(4), repeat=2):
        sides = [sum(math.sqrt(shares[j][c, s] * shares[k][c, s]) for c in alphabet) for s in (-1, 1)]
        # With four tokens each keeps all others. Eight roots and sums: a few roundings.
        assert found[j, k] == pytest.approx(math.sqrt(sides[0] * sides[1]) if j != k else 0.0, rel=1e-12)


def test_each_token_keeps_its_likest_and_those_that_keep_it() -> None:
    # Twelve consonants, all between the same vowels but each with its own odds.
    rng = np.random.default_rng(0)
    odds = rng.dirichlet(np.ones(5), 12)
    text = "".join(c + rng.choice(list("aeiou"), p=odds[k]) for _ in range(60) for k, c in enumerate("bcdfghjklmnp"))
    symbols = cut([text])
    found, own = contexts(symbols), symbols.tokenizer.encode("bcdfghjklmnp")
    assert (found == found.T).all()
    among = found[np.ix_(own, own)]
    kept_by = (among > 0).sum(axis=1)
    assert kept_by.min() >= 6
    assert kept_by.max() < 11
    # Who is kept by one that has six likest is either one of them, or has it among its own.
    for row in range(12):
        weakest = np.sort(among[row])[::-1][5]
        for other in np.flatnonzero(among[row]):
            assert among[row, other] >= min(weakest, np.sort(among[other])[::-1][5])


def test_contexts_do_not_depend_on_the_order_of_documents() -> None:
    texts = ["one two three", "two, three, four!", "four? five."]
    assert contexts(cut(texts)).tobytes() == contexts(cut(texts[::-1])).tobytes()


def test_vowels_and_stops_of_a_text_find_each_other() -> None:
    text = " ".join(f"{c}{v}{d}{stop}" for c in "bdgmnt" for v in "aeiou" for d in "lrs" for stop in ".!?")
    symbols = cut([text])
    found, letter = contexts(symbols), symbols.tokenizer.encode
    for group in ("aeiou", ".!?"):
        inside = set(letter(group).tolist())
        for own in inside:
            likest = np.argsort(-found[own], kind="stable")[: len(group) - 1]
            assert set(likest.tolist()) == inside - {own}


def test_blosum62_says_what_is_known_of_amino_acids() -> None:
    rate = {
        (a, b): r
        for a, row in zip(BLOSUM62.tokens, BLOSUM62.rates, strict=True)
        for b, r in zip(BLOSUM62.tokens, row, strict=True)
    }
    assert len(BLOSUM62.tokens) == 20
    # Scores in half-bits, from the paper's figure 2: isoleucine and valine 3, tryptophan and tyrosine 2, ...
    for a, b, score in (
        ("I", "V", 3),
        ("W", "Y", 2),
        ("F", "Y", 3),
        ("A", "S", 1),
        ("C", "E", -4),
        ("D", "N", 1),
        ("K", "R", 2),
    ):
        assert rate[a, b] == rate[b, a] == pytest.approx(2 ** (score / 2), rel=1e-15)
    machine = TextMachine(TextCorpus.from_texts(["MKTAYIAKQR", "GGHWVV\n"]), noise="structured", similar="blosum62")
    letter = machine.tokenizer.encode
    near = machine.jumps.near
    assert near[letter("\n"), letter("\n")] == 1.0
    assert near[letter("I"), letter("V")] > near[letter("I"), letter("G")] > 0


TABLE = 'x,a," ","\n"\na,0,1,0.5\n" ",1,0,0\n"\n",0.5,0,0\n'


def test_tables_are_read_and_put_in_the_order_of_the_tokens(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(TABLE)
    table = read_table(path)
    assert table.tokens == ("a", " ", "\n")
    assert RateTable.from_json(table.to_json()) == table
    symbols = cut(["a b\n"])
    found = table.on(symbols.tokenizer)
    assert found.tolist() == [[0, 0, 0.5, 0], [0, 0, 1, 0], [0.5, 1, 0, 0], [0, 0, 0, 0]]  # "\n", " ", "a", "b"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no square table"),
        (b"x,a,b\na,0,1\n", "no square table"),
        (b"x,a,b\na,0,1\nb,1\n", "no square table"),
        (b"x,a,b\nb,0,1\na,1,0\n", "no square table"),
        (b"x,a\na,0\n", "at least two tokens"),
        (b"x,a,a\na,0,1\na,1,0\n", "names 'a' twice"),
        (b"x,a,b\na,0,1\nb,2,0\n", "the rates of 'a' and 'b' are 1 one way and 2 the other"),
        (b"x,a,b\na,0,-1\nb,-1,0\n", "the rate of 'a' and 'b' is -1: give numbers of at least 0"),
        (b"x,a,b\na,0,nan\nb,nan,0\n", "the rate of 'a' and 'b' is nan"),
        (b"x,a,b\na,0,many\nb,1,0\n", "the rate of 'a' and 'b' is 'many'"),
        (b"x,a,\xe9\na,0,1\n\xe9,1,0\n", "is not CSV in UTF-8"),
        (b'x,"a\n', "is not CSV in UTF-8"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as found:
        read_table(path)
    assert sentence in str(found.value)
    assert str(path) in str(found.value)


def test_what_has_no_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="record of a table of rates is damaged"):
        RateTable.from_json({"tokens": ["a", "b"]})
    with pytest.raises(UsageError, match="a jump of 0 has no meaning"):
        JumpNoise(np.eye(2), 0.0)
    with pytest.raises(UsageError, match=f"at most {MOST_TOKENS} tokens"):
        JumpNoise(np.eye(MOST_TOKENS + 1), 0.5)
    with pytest.raises(UsageError, match="the texts have 1 of the 20 tokens"):
        TextMachine(TextCorpus.from_texts(["A1!"]), noise="structured", similar="blosum62")
    many = TextCorpus.from_texts(["".join(map(chr, range(0x4E00, 0x4E00 + MOST_TOKENS + 1)))])
    with pytest.raises(UsageError, match=f"at most {MOST_TOKENS} tokens, and these texts have 257"):
        TextMachine(many, noise="structured")
    with pytest.raises(UsageError, match="there is no likeness 'sound'"):
        TextMachine(TextCorpus.from_texts(["A1!"]), noise="structured", similar="sound")
    with pytest.raises(UsageError, match="a jump of 2 has no meaning"):
        TextMachine(TextCorpus.from_texts(["A1!"]), noise="structured", jump=2.0)
