"""The corpus of documents: a set in canonical form, and what happens to text that is not fine."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.corpus import open_text
from smalti.corpus.text import BUILTIN_TEXT, TextCorpus
from smalti.errors import InputError, UsageError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=1, max_size=8)
TEXTS = st.lists(TEXT, min_size=1, max_size=6)


@given(TEXTS, st.randoms(use_true_random=False))
def test_a_corpus_is_a_set(texts: list[str], random) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)
    one, other = TextCorpus.from_texts(texts), TextCorpus.from_texts(shuffled)
    assert one.documents == other.documents
    assert one.ids == tuple(hashlib.sha256(d.encode()).hexdigest() for d in one.documents)
    assert one.digest == other.digest
    assert one.characters == sum(map(len, texts))


@given(TEXTS, TEXTS)
def test_taking_out_gives_what_never_was(texts: list[str], more: list[str]) -> None:
    one = TextCorpus.from_texts(texts, names=[f"a{i}" for i in range(len(texts))])
    other = TextCorpus.from_texts(more, names=[f"b{i}" for i in range(len(more))])
    both = one.adding(other)
    assert both.digest == other.adding(one).digest
    left = both.without(i for i, name in enumerate(both.names) if name.startswith("b"))
    assert (left.documents, left.names, left.ids, left.digest) == (one.documents, one.names, one.ids, one.digest)
    assert sum(len(group) - 1 for group in both.duplicates()) == len(both) - len(set(both.ids))


def test_copies_are_corpora_too() -> None:
    corpus = TextCorpus(("a", "b"), ("x", "y"), metadata=({"author": "me"}, {}))
    for twin in (pickle.loads(pickle.dumps(corpus)), copy.deepcopy(corpus)):
        assert (twin.documents, twin.metadata, twin.digest) == (corpus.documents, corpus.metadata, corpus.digest)
    assert corpus.columns == ("author",)
    assert corpus.values("author")[corpus.group("author", "me")[0]] == "me"
    assert corpus.names[corpus.find("y")[0]] == "y"


def test_line_ends_and_byte_order_marks_are_changed_and_noted() -> None:
    corpus = TextCorpus.from_texts(["\ufeffone\r\ntwo\rthree\nfour\ufeff"], names=["n"])
    assert corpus.documents == ("one\ntwo\nthree\nfour\ufeff",)
    assert corpus.notes == ("byte order mark dropped: 'n'", "line ends changed to LF: 'n'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'n' is empty"),
        ("\ufeff", "'n' is empty"),
        ("ab\0", r"NUL character \(character 2\)"),
        ("a\ud800", r"half a character \(a lone surrogate, character 1\)"),
        (b"a", "not text but bytes"),
    ],
)
def test_documents_that_are_none(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TextCorpus.from_texts([text], names=["n"])


def test_lists_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="without documents"):
        TextCorpus.from_texts([])
    with pytest.raises(InputError, match="names has length 1"):
        TextCorpus.from_texts(["a", "b"], names=["n"])
    with pytest.raises(UsageError, match="no item 3"):
        TextCorpus.from_texts(["a", "b"]).without([3])
    with pytest.raises(UsageError, match="at least one"):
        TextCorpus.from_texts(["a"]).without([0])


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "letters" / "old").mkdir(parents=True)
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "letters" / "b.md").write_text("two")
    (tmp_path / "letters" / "old" / "c").write_bytes(b"three\r\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\xff")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "metadata.csv").write_text("file_name,author\na.txt,Ann\n")
    corpus = TextCorpus.from_folder(tmp_path)
    found = dict(zip(corpus.names, zip(corpus.documents, map(dict, corpus.metadata), strict=True), strict=True))
    assert found == {
        "a.txt": ("one", {"author": "Ann"}),
        "letters/b.md": ("two", {"folder": "letters"}),
        "letters/old/c": ("three\n", {"folder": "letters/old"}),
    }
    assert "left out, not text: 'picture.png'" in corpus.notes
    assert "left out, empty: 'empty.txt'" in corpus.notes
    assert "left out, hidden: '.hidden'" in corpus.notes
    assert open_text(tmp_path).digest == corpus.digest


def test_a_file_that_is_not_utf8_is_named_with_its_byte(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("café au lait".encode("latin-1"))
    for source in (tmp_path, tmp_path / "latin.txt"):
        with pytest.raises(InputError, match=r"latin.txt' is not UTF-8 text \(byte 3\)"):
            open_text(source)


def test_files_and_folders_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no text"):
        open_text(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_text(tmp_path / "no")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        open_text(tmp_path / "empty")
    (tmp_path / "nul").write_bytes(b"a\0b")
    with pytest.raises(InputError, match="NUL"):
        open_text(tmp_path / "nul")
    with pytest.raises(InputError, match="is not a folder"):
        TextCorpus.from_folder(tmp_path / "nul")


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    rows = [
        {"text": "one", "name": "first", "year": 1599, "id": "x7", "tags": ["a"]},
        {"text": "two", "good": True, "author": None},
        {"text": ""},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    corpus = open_text(path)
    found = dict(zip(corpus.names, map(dict, corpus.metadata), strict=True))
    assert found == {"first": {"year": "1599", "given_id": "x7"}, "d.jsonl:2": {"good": "true"}}
    assert "field 'tags' left out where it is a list or an object" in corpus.notes
    assert "left out, empty: 1 line" in corpus.notes
    for line, words in (("{", "line 1, is not JSON"), ('{"a": 1}', "no field 'text'"), ("3", "no field 'text'")):
        path.write_text(line)
        with pytest.raises(InputError, match=words):
            open_text(path)
    for number in ("5", "1.5", "NaN", "true", "null"):
        path.write_text(f'{{"text": "one", "name": 5}}\n{{"text": {number}}}\n')
        with pytest.raises(InputError, match=r"^'.*d\.jsonl', line 2, has no field 'text' that is text: give every"):
            open_text(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="holds no documents"):
        open_text(path)


def test_the_built_in_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = open_text(BUILTIN_TEXT[0])
    assert len(corpus) > 50
    assert corpus.characters > 300_000
    assert "for" in corpus.names
    with pytest.raises(UsageError, match="choose one of python-manual"):
        TextCorpus.builtin("bible")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python-manual").write_text("mine")
    assert "./python-manual" in " ".join(open_text("python-manual").notes)
