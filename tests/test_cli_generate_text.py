"""`smalti generate` with texts: what it makes of sources and options, and what it says of bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_program import pictures, smalti
from smalti.calibration.text import FORMAT
from smalti.cli.generate_options import beginning, read_gaps
from smalti.corpus.text import TextCorpus
from smalti.machines import TextMachine
from smalti.sampling import TextDenoiser, TextSettings
from smalti.sampling.tokens import MASK, unmask
from smalti.sampling.truncation import Truncation

TEXT = "To be, or not to be: that is the question:\nWhether 'tis nobler in the mind to suffer [so]\n" * 4


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "play.txt"
    path.write_text(TEXT)
    return path


def made(out: Path, *words: object) -> str:
    done = smalti("generate", *words, "-o", out, "--seeds", "0", "--json").json
    (text,) = done["texts"]
    assert Path(text["file"]).read_bytes().decode() == text["text"]
    return text["text"]


def test_texts_their_paths_and_how_long_it_took(source: Path, tmp_path: Path) -> None:
    done = smalti("generate", source, "-o", tmp_path / "run", "--length", "20")
    assert done.code == 0, done.err
    for seed in range(4):
        text = (tmp_path / "run" / f"00000{seed}.txt").read_text()
        assert len(text) == 20
        assert f"seed {seed}\n  {text.splitlines()[0].rstrip()}" in done.out
    assert "4 texts of 20 tokens (characters) from 1 document" in done.out
    for name in ("all.txt", "trace.safetensors", "run.json"):
        assert str(tmp_path / "run" / name) in done.out
    assert smalti("verify", tmp_path / "run").code == 0


def test_prompts_and_gaps(source: Path, tmp_path: Path) -> None:
    assert made(tmp_path / "a", source, "--prompt", "To be", "--length", 9).startswith("To be")
    assert len(made(tmp_path / "b", source, "--prompt", "To be", "--length", 9)) == 14
    text = made(tmp_path / "c", source, "--infill", "[5]that is[7] [[so]")
    assert (text[5:12], text[-5:], len(text)) == ("that is", " [so]", 24)
    assert made(tmp_path / "d", source, "--prompt", "be\r\n", "--length", 3)[:3] == "be\n"


def test_texts_begin_at_a_beginning(source: Path, tmp_path: Path) -> None:
    done = smalti("generate", source, "-o", tmp_path / "on", "--length", 5, "--top-p", 0.7, "--json").json
    # All that ever follows a line end in this text is the first letter of one of its lines.
    assert {one["text"][0] for one in done["texts"]} <= {"T", "W"}
    assert all(len(one["text"]) == 5 for one in done["texts"])
    assert (done["after"], done["run"]["request"]["context"]) == ("\n", 1)
    record = smalti("generate", source, "-o", tmp_path / "off", "--after", "", "--length", 5, "--json").json
    assert (record["after"], record["run"]["request"]["context"]) == ("", 0)
    assert len(made(tmp_path / "with", source, "--after", "To ", "--prompt", "be", "--length", 3)) == 5
    for option, text in (("--prompt", "To"), ("--infill", "To[2]")):
        run = smalti("generate", source, "-o", tmp_path / option, option, text, "--seeds", 0, "--json").json
        assert run["run"]["request"]["context"] == 0
    done = smalti("generate", source, "-o", tmp_path / "words", "--tokens", "words", "--length", 3, "--seeds", 0)
    assert "1 text of 3 tokens (words)" in done.out


def test_python_writes_what_the_command_line_writes(source: Path, tmp_path: Path) -> None:
    """As the tutorial has it."""
    machine = TextMachine(TextCorpus.from_file(source))
    row = np.concatenate([machine.tokenizer.encode("\n"), np.full(40, MASK)])
    settings = TextSettings(truncation=Truncation(top_p=0.9))
    *_, last = unmask(TextDenoiser(machine), row, settings, seed=0)
    assert made(tmp_path / "run", source, "--length", 40) == machine.tokenizer.decode(last.following[1:])


def test_what_a_text_begins_after() -> None:
    for texts, expected in ((["a\nb", "c"], "\n"), (["a\nb", "c\n\nd"], "\n\n"), (["a", "b"], "")):
        assert beginning(TextCorpus.from_texts(texts)) == expected


def test_a_run_keeps_the_table_that_it_was_made_with(source: Path, tmp_path: Path) -> None:
    table = tmp_path / "rates.csv"
    table.write_text("likeness,e,o,#\ne,0,2,1\no,2,0,0\n#,1,0,0\n")
    words = ("generate", source, "-o", tmp_path / "run", "--noise", "structured", "--similar", table, "--steps", 5)
    done = smalti(*words, "--length", 12, "--seeds", 0)
    assert done.code == 0, done.err
    assert "the texts do not have '#' of the table of rates" in done.err
    assert "are like no other" in done.err
    table.unlink()
    assert smalti("verify", tmp_path / "run").code == 0
    assert smalti("explain", tmp_path / "run", "-o", tmp_path / "report").code == 0
    table.write_text("likeness,e,o\ne,0,2\no,3,0\n")
    found = smalti(*words[:3], tmp_path / "bad", *words[4:])
    assert (found.code, f"'{table}': the rates of 'e' and 'o'" in found.failure) == (1, True)


@pytest.mark.parametrize("noise", ["hybrid", "uniform", "structured"])
def test_runs_after_a_text_are_explained_and_made_without(tmp_path: Path, noise: str) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in (("a", "to be\nor not to be\n"), ("b", "that is\nthe question\n"), ("c", "whether it is\n")):
        (folder / name).write_text(text)
    options = () if noise == "hybrid" else ("--steps", 6)
    made(tmp_path / "run", folder, "--noise", noise, "--length", 20, "--after", "or\n", "--radius", "5..3", *options)
    assert smalti("explain", tmp_path / "run", "-o", tmp_path / "report").code == 0
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "report").glob("*.receipt.json"))
    assert len(record["tokens"]) == 20
    assert "given" not in {token["origin"] for token in record["tokens"]}
    assert smalti("effect", tmp_path / "run", "--without", "b", "-o", tmp_path / "effect").code == 0
    assert smalti("verify", tmp_path / "run").code == 0


def test_what_gaps_mean() -> None:
    assert read_gaps("[3]") == [3]
    assert read_gaps("a[[2]b[12]") == ["a[2]b", 12]
    assert read_gaps("a][1][2]") == ["a]", 1, 2]


@pytest.mark.parametrize(
    "options",
    [
        ("--noise", "mask", "--order", "ancestral", "--steps", "3"),
        ("--noise", "uniform", "--steps", "4", "--schedule", "cosine"),
        ("--order", "entropy-bounded", "--gamma", "0.5", "--block", "8"),
        ("--order", "threshold", "--threshold", "0.5"),
        ("--order", "remask", "--steps", "5", "--temperature", "0.5"),
        ("--radius", "3", "--top-k", "4", "--min-p", "0.1", "--typical", "0.9"),
        ("--top-h", "0.4"),
        ("--top-h-released", "0.4"),
        ("--tokens", "words", "--radius", "2"),
        ("--tokens", "bytes", "--prompt", "é"),
        ("--radius", "7..2"),
        ("--noise", "mask", "--radius", "2..5", "--order", "confidence"),
        ("--noise", "structured", "--steps", "4", "--jump", "0.5", "--radius", "3..5"),
        ("--tokens", "bytes", "--noise", "structured", "--steps", "2", "--schedule", "log-linear"),
        ("--tokens", "words", "--after", "To be", "--radius", "2"),
    ],
)
def test_options(source: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    made(tmp_path / "run", source, "--length", 12, *options)
    assert smalti("verify", tmp_path / "run").code == 0


def test_byte_pairs_are_kept_with_the_run(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    made(tmp_path / "run", source, "--tokens", "bpe:270", "--length", 8)
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["request"]["tokenizer"]
    assert kept["tokens"] == "bpe:270"
    assert smalti("verify", tmp_path / "run").code == 0


def test_settings_from_a_file(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    settings = {"noise": "mask", "radius": 3, "ladders": ["left", "right"]}
    file.write_text(json.dumps({"format": FORMAT, "settings": settings}))
    made(tmp_path / "run", source, "--settings", file, "--length", 4)
    machine = json.loads((tmp_path / "run" / "run.json").read_text())["request"]["machine"]
    assert (machine["noise"], machine["radius"], machine["ladders"]) == ("mask", 3, ["left", "right"])
    for name, value in (
        ("radius", "x"),
        ("radius", 2.5),
        ("radius", None),
        ("radius", []),
        ("back_off_radius", [3, 4]),
        ("mixture", [0.3]),
        ("kappa", ["x"]),
        ("tokens", ["words"]),
        ("jump", {}),
        ("noise", 1),
    ):
        file.write_text(json.dumps({"format": FORMAT, "settings": {name: value}}))
        found = smalti("generate", source, "-o", tmp_path / "x", "--settings", file)
        assert f"'{file}' says {json.dumps(value)} for {name}, which has no meaning" in found.failure
    file.write_text(json.dumps({"format": FORMAT, "settings": {"radius": [5, 3], "back_off_radius": 4}}))
    assert "radius 5..3" in smalti("generate", source, "-o", tmp_path / "y", "--settings", file, "--length", 4).out
    note = f"the settings of '{file}' were found for characters, and are used for words"
    words = ("generate", source, "--settings", file, "--length", 4)
    assert note in smalti(*words, "-o", tmp_path / "w", "--tokens", "words").err
    assert "were found for" not in smalti(*words, "-o", tmp_path / "v", "--tokens", "characters").err
    for content in ("{", "{}", "[" * 100_000, json.dumps({"format": FORMAT, "settings": {"depth": 3}})):
        file.write_text(content)
        assert "give a file from calibrate" in smalti("generate", source, "-o", tmp_path / "x", "--settings", file).err


def test_what_a_source_holds_is_told_by_what_it_is(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("abc abd")
    (folder / "b.txt").write_text("abe")
    assert len(made(tmp_path / "a", folder, "--length", 6)) == 6
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"text": "ab"}\n{"text": "ba", "author": "x"}\n')
    assert set(made(tmp_path / "b", lines, "--length", 6)) <= {"a", "b"}
    assert len(made(tmp_path / "c", "python-manual", "--length", 6)) == 6
    # With one picture it is a folder of pictures, unless texts are asked for.
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "picture.png")
    assert "--length is for texts" in smalti("generate", folder, "-o", tmp_path / "d", "--length", 3).failure
    (folder / "picture.png").rename(folder / "deep" / "picture")
    assert "--length is for texts" in smalti("generate", folder, "-o", tmp_path / "d", "--length", 3).failure
    assert len(made(tmp_path / "d", folder, "--length", 3, "--text")) == 3


def test_options_of_the_other_kind(source: Path, tmp_path: Path) -> None:
    drawn = pictures(tmp_path / "pictures")
    for words, sentence in (
        ((source, "--size", 8), f"--size is for pictures, and '{source}' holds texts: leave it out"),
        ((source, "--machine", "border-aware"), f"--machine is for pictures, and '{source}' holds texts: leave it out"),
        (
            (drawn, "--top-h-released", 0.4),
            f"--top-h-released is for texts, and '{drawn}' holds pictures: leave it out, or add --text to use the "
            "folder's texts",
        ),
        ((drawn / "0.png", "--text"), f"'{drawn / '0.png'}' holds pictures: leave --text out"),
    ):
        found = smalti("generate", *words, "-o", tmp_path / "out")
        assert (found.code, found.failure) == (2, sentence)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--prompt", "日"), "the corpus has no character '日'"),
        (("--prompt", "\udcff"), "the corpus has no character '\\udcff'"),
        (("--tokens", "bytes", "--prompt", "\udcff"), "half a character"),
        (("--tokens", "words", "--prompt", "zebra"), "the corpus has no word 'zebra'"),
        (("--tokens", "runes"), "no tokens called 'runes'"),
        (("--length", 0), "--length 0 has no meaning"),
        (("--length", 10**9), "may have 1,000,000 tokens"),
        (("--infill", "abc"), "--infill has no gap to fill"),
        (("--infill", "[0]"), "--infill has no gap to fill"),
        (("--infill", "a [b] [2]"), "that begins no gap"),
        (("--infill", "To [99999999]"), "may have 1,000,000 tokens"),
        (("--infill", "[2]", "--prompt", "a"), "leave --length and --prompt out"),
        (("--noise", "pink"), "there is no noise 'pink'"),
        (("--noise", "structured", "--block", 3), "under structured noise every token may change in every step"),
        (("--noise", "structured", "--jump", 0), "a jump of 0 has no meaning"),
        (
            ("--noise", "structured", "--similar", "sound"),
            "--similar 'sound' is no file, and none of contexts, blosum62",
        ),
        (("--noise", "structured", "--similar", "blosum62", "--tokens", "words"), "of the 20 tokens that the table"),
        (("--similar", "contexts"), "--similar is for --noise structured"),
        (("--noise", "uniform", "--jump", 0.5), "--jump is for --noise structured"),
        (("--radius", "wide"), "--radius 'wide' has no meaning"),
        (("--radius", "16.."), "--radius '16..' has no meaning"),
        (("--radius", "4..0"), "--radius '4..0' has no meaning"),
        (("--after", "日"), "the corpus has no character '日'"),
        (("--after", "be" * 500_000), "may have 1,000,000 tokens"),
        (("--order", "sideways"), "no order of decoding called 'sideways'"),
        (("--schedule", "sigmoid"), "no schedule of noise on tokens called 'sigmoid'"),
        (("--noise", "uniform", "--block", 3), "leave out block"),
        (("--top-p", 1.5), "top-p 1.5 has no meaning"),
        (("--order", "threshold", "--steps", 4), "leave the number of steps out"),
    ],
)
def test_options_without_meaning(source: Path, tmp_path: Path, options: tuple[object, ...], sentence: str) -> None:
    found = smalti("generate", source, "-o", tmp_path / "out", *options)
    assert found.code == 2
    assert sentence in found.failure
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"caf\xe9 latin", "is not UTF-8 text (byte 3)"),
        ("a.txt", b"", "is empty"),
        ("a.txt", b"ab\0c", "holds a NUL character"),
        ("a.jsonl", b'{"text": ""}', "holds no documents"),
        ("a.jsonl", b'{"text": "\\ud800"}', "half a character (a lone surrogate"),
        ("a.jsonl", b'{"words": 1}', "no field 'text'"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 5}', "a.jsonl', line 2, has no field 'text' that is text: give"),
    ],
)
def test_sources_that_are_no_text(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = smalti("generate", tmp_path / name, "-o", tmp_path / "out")
    assert found.code == 1
    assert sentence in found.failure


def test_one_character_is_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    done = smalti("generate", tmp_path / "a.txt", "-o", tmp_path / "run", "--length", "5", "--seeds", "0")
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "000000.txt").read_text() == "xxxxx"
    assert "the corpus has only one token" in done.err
    assert "5 tokens in a row are to be written, and the longest document has 1: no document can give" in done.err
    assert "1 document of 1 character in all" in done.out


@pytest.mark.parametrize("noise", ["mask", "hybrid", "uniform", "structured"])
@pytest.mark.parametrize("content", ["xxxx", "xy"])
def test_tiny_vocabularies(tmp_path: Path, noise: str, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    assert set(made(tmp_path / "run", tmp_path / "a.txt", "--length", 6, "--noise", noise)) <= set(content)


def test_mixed_line_ends_become_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab\r\ncd\rab\ncd\n" * 3)
    done = smalti("generate", tmp_path / "a.txt", "-o", tmp_path / "run", "--length", "30", "--seeds", "0")
    assert "line ends changed to LF" in done.err
    assert "\r" not in (tmp_path / "run" / "000000.txt").read_bytes().decode()


def test_a_line_of_ten_million_characters(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sat on the mat; " * (10_000_000 // 24 + 1))
    done = smalti("generate", tmp_path / "a.txt", "-o", tmp_path / "run", "--infill", "the [3]", "--seeds", "0")
    assert done.code == 0, done.err
    assert len((tmp_path / "run" / "000000.txt").read_text()) == 7


def test_stopped_runs_are_told_of_and_existing_ones_kept(source: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", source, "--length", 4)
    found = smalti("generate", source, "-o", tmp_path / "run", "--length", 4, "--seeds", 0)
    assert (found.code, "holds a run already" in found.failure) == (1, True)
    again = smalti("generate", source, "-o", tmp_path / "run", "--length", 4, "--seeds", 0, "--resume")
    assert again.code == 0, again.err
    for options, names in (
        (("--length", 5), "length"),
        (("--length", 4, "--after", "be"), "after"),
        (("--length", 4, "--after", "be", "--radius", 3), "after, radius, back_off_radius"),
        (("--length", 4, "--prompt", "to"), "after, prompt"),
        (("--infill", "to[3]be"), "after, infill"),
        (("--length", 4, "--noise", "mask"), "noise"),
        (("--length", 4, "--temperature", 0.5), "temperature, top_p"),
        (("--length", 4, "--tokens", "words"), "tokens"),
    ):
        found = smalti("generate", source, "-o", tmp_path / "run", *options, "--seeds", 0, "--resume")
        assert f"other settings ({names})" in found.failure, found.failure
    made(tmp_path / "gap", source, "--infill", "to[3]be")
    found = smalti("generate", source, "-o", tmp_path / "gap", "--infill", "to[4]be", "--seeds", 0, "--resume")
    assert "other settings (infill)" in found.failure
