"""Prompts and plans: what is asked, in what order, and what it may cost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from smalti.errors import InputError, UsageError
from smalti.temperature.plan import ALONE, Load, Plan, Request, budget_of
from smalti.temperature.prompts import BUILTIN, Prompt, builtin_prompts, read_prompts

LOADS = (ALONE, Load.of("burst:4"), Load.of("mixed:3"))
PLAN = Plan(prompts=5, repeats=6, loads=LOADS, blocks=2, seed=3)


def test_builtin_prompts_are_many_short_and_different() -> None:
    assert len(set(BUILTIN)) == len(BUILTIN) >= 30
    assert all(len(prompt) < 400 and prompt.strip() == prompt for prompt in BUILTIN)
    assert [prompt.text for prompt in builtin_prompts()] == list(BUILTIN)


def test_prompts_of_a_file_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes("\ufeffName a river.\r\n\n  Say why.  \nZähle bis drei.".encode())
    assert [prompt.text for prompt in read_prompts(path)] == ["Name a river.", "  Say why.  ", "Zähle bis drei."]


def test_prompts_of_jsonl(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, [{"prompt": "a\nb"}, {"messages": messages}])) + "\n")
    single, conversation = read_prompts(path)
    assert (single.text, single.single) == ("a\nb", True)
    assert single.to_json() == [{"role": "user", "content": "a\nb"}]
    assert (conversation.text, conversation.single) == ("system: Be brief.\n\nuser: Why?", False)
    assert conversation.to_json() == messages
    assert Prompt.from_json(conversation.to_json()) == conversation


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.txt", b"", "has no prompt; write one on each line"),
        ("p.txt", b" \n\n", "has no prompt"),
        ("p.txt", b"a\n\xff\n", "is not UTF-8 (byte 2); save it as UTF-8"),
        ("p.txt", b"a\nb\na\n", "line 3 of "),
        ("p.jsonl", b"{}\n", "is no prompt; write a JSON object with a text 'prompt'"),
        ("p.jsonl", b'{"prompt": 3}\n', "is no prompt"),
        ("p.jsonl", b'{"prompt": ""}\n', "is no prompt"),
        ("p.jsonl", b'{"prompt": "\\ud800"}\n', "is no prompt"),
        ("p.jsonl", b'{"prompt": "a", "messages": []}\n', "is no prompt"),
        ("p.jsonl", b'{"messages": []}\n', "is no prompt"),
        ("p.jsonl", b'{"messages": [{"role": "user"}]}\n', "is no prompt"),
        ("p.jsonl", b"[1]\n", "is no prompt"),
        ("p.jsonl", b"[" * 100_000, "is no prompt"),
    ],
)
def test_files_that_are_no_prompts(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    assert sentence in str(caught.value)
    assert f"'{path}'" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'.*none.txt' cannot be read \(No such file or directory\)"):
        read_prompts(tmp_path / "none.txt")


def test_every_request_is_asked_once() -> None:
    requests = [r for block in range(2) for each in PLAN.rounds(block) for r in each.requests]
    assert len(requests) == len(set(requests)) == PLAN.asked == 5 * 2 * (6 + 8 + 6)
    # A burst is whole, so six repeats become eight.
    count = Counter((r.load, r.prompt, r.block) for r in requests)
    assert count == {
        (load, prompt, block): n
        for load, n in (("alone", 6), ("burst:4", 8), ("mixed:3", 6))
        for prompt in range(5)
        for block in range(2)
    }
    for (load, prompt, block), n in count.items():
        assert sorted(r.repeat for r in requests if (r.load, r.prompt, r.block) == (load, prompt, block)) == [*range(n)]


def test_rounds_are_what_their_load_says() -> None:
    for each in (each for block in range(2) for each in PLAN.rounds(block)):
        (load,) = {request.load for request in each.requests}
        prompts = [request.prompt for request in each.requests]
        if load == "alone":
            assert (each.width, len(prompts)) == (1, 1)
        if load == "burst:4":
            assert (each.width, len(prompts), len(set(prompts))) == (4, 4, 1)
        if load == "mixed:3":
            assert each.width == 3 <= len(prompts)
            # What is under way together is for different prompts.
            assert all(len(set(prompts[i : i + 3])) == 3 for i in range(len(prompts) - 2))


def test_the_order_is_a_function_of_the_seed_and_differs_between_blocks() -> None:
    again = Plan(prompts=5, repeats=6, loads=LOADS, blocks=2, seed=3)
    other = Plan(prompts=5, repeats=6, loads=LOADS, blocks=2, seed=4)
    assert [PLAN.rounds(b) for b in range(2)] == [again.rounds(b) for b in range(2)]
    assert PLAN.rounds(0) != other.rounds(0)
    without_block = [[(r.prompt, r.load, r.repeat) for r in each.requests] for each in PLAN.rounds(0)]
    assert without_block != [[(r.prompt, r.load, r.repeat) for r in each.requests] for each in PLAN.rounds(1)]
    assert sorted(without_block) == sorted(
        [(r.prompt, r.load, r.repeat) for r in each.requests] for each in PLAN.rounds(1)
    )


def test_a_plan_comes_back_from_json() -> None:
    record = json.loads(json.dumps(PLAN.to_json()))
    assert record["loads"] == ["alone", "burst:4", "mixed:3"]
    assert Plan.from_json(record) == PLAN


@pytest.mark.parametrize("text", ["", "Alone", "burst", "burst:", "burst:1", "burst:1025", "mixed:0", "mixed:8x", "8"])
def test_loads_without_meaning(text: str) -> None:
    with pytest.raises(UsageError, match=r"the load '.*' has no meaning: write alone, burst:N or mixed:N"):
        Load.of(text)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompts": 0}, "The number of prompts"),
        ({"repeats": 0}, "The number of repeats"),
        ({"blocks": 0}, "The number of time blocks"),
        ({"seed": -1}, "A seed"),
        ({"pause": -1.0}, "The pause between blocks"),
        ({"pause": float("nan")}, "The pause between blocks"),
        ({"loads": ()}, "A plan needs at least one load"),
        ({"loads": (ALONE, ALONE)}, "A plan needs at least one load"),
        ({"repeats": 1_000_000}, "The plan has 5,000,000 requests"),
    ],
)
def test_plans_without_meaning(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Plan(**{"prompts": 5, "repeats": 6, **change})  # pyright: ignore[reportArgumentType]


def test_the_budget_counts_requests_tokens_and_money() -> None:
    prompts = [Prompt.of("x" * 30), Prompt.of("y" * 31)]
    requests = [Request(0, "alone", 0, n) for n in range(150)] + [Request(1, "alone", 0, n) for n in range(50)]
    budget = budget_of(requests, prompts, max_tokens=32, prices=(2.0, 10.0))
    assert (budget.requests, budget.spare) == (200, 20)
    assert budget.prompt_tokens == 150 * 10 + 50 * 11 + 20 * 11
    assert budget.answer_tokens == 220 * 32
    assert budget.cost == pytest.approx((2270 * 2 + 7040 * 10) / 1e6, rel=1e-12)
    assert budget.text == (
        "200 requests, and at most 20 more where answers are lost; about 2,270 tokens of prompts and at most 7,040 of "
        "answers; at your prices at most about 0.07"
    )
    assert (
        budget_of((), prompts, max_tokens=32).text == "0 requests; about 0 tokens of prompts and at most 0 of answers"
    )
