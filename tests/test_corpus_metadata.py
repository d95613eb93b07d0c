"""Metadata: which rows are joined to which pictures, what is refused with which sentence, and what it is for."""

import copy
import json
import operator
import pickle
import unicodedata
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smalti.corpus import ImageCorpus, metadata
from smalti.corpus.catalogue import Catalogue
from smalti.errors import InputError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four flat pictures, `a.png` to `d.png`."""
    for value, name in enumerate("abcd"):
        save(tmp_path / f"{name}.png", value)
    return tmp_path


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path)


def joined(folder: Path) -> dict[str, dict[str, str]]:
    """The metadata of each picture by name."""
    corpus = ImageCorpus.from_folder(folder)
    return {name: dict(row) for name, row in zip(corpus.names, corpus.metadata, strict=True)}


def refused(folder: Path) -> str:
    """The sentence a folder is refused with, its path cut down to `F`."""
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_folder(folder)
    return str(caught.value).replace(str(folder), "F")


def made(rows: list[dict[str, str]], labels: list[str] | None = None) -> ImageCorpus:
    """A corpus of one-pixel pictures, with these metadata."""
    images = np.arange(len(rows), dtype=np.uint8)[:, None, None, None]
    return ImageCorpus(
        images,
        None if labels is None else tuple(labels),
        tuple(f"{i}.png" for i in range(len(rows))),
        conversions=((),) * len(rows),
        metadata=tuple(rows),
    )


def test_a_table_is_joined_by_file_name_and_changes_neither_ids_nor_digest(folder):
    plain = ImageCorpus.from_folder(folder)
    (folder / "metadata.csv").write_text('licence,file_name,artist\ncc0,b.png,"Ada, E."\nby,./a.png,\n')
    corpus = ImageCorpus.from_folder(folder)
    assert joined(folder) == {
        "a.png": {"licence": "by"},
        "b.png": {"artist": "Ada, E.", "licence": "cc0"},
        "c.png": {},
        "d.png": {},
    }
    assert (corpus.ids, corpus.digest, corpus.labels) == (plain.ids, plain.digest, None)
    assert corpus.notes == ("2 of 4 pictures are without metadata",)


def test_the_same_table_as_json_lines(folder):
    (folder / "metadata.csv").write_text("file_name,n,x,ok,none\na.png,12,0.10,true,\nb.png,-1,1e3,false,text\n")
    table = joined(folder)
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "a.png", "n": 12, "x": 0.10, "ok": true, "none": null}\n\n'
        '{"n": -1, "x": 1e3, "ok": false, "none": "text", "file_name": "b.png"}'
    )
    assert joined(folder) == table


def test_a_table_in_a_subfolder_speaks_of_files_relative_to_itself(tmp_path):
    for name in ("cats/a.png", "cats/old/b.png", "dogs/a.png", "dogs/b.png"):
        save(tmp_path / name, 0)
    (tmp_path / "metadata.csv").write_text("file_name,by\ndogs/a.png,root\n")
    (tmp_path / "cats" / "metadata.jsonl").write_text(
        '{"file_name": "a.png", "by": "cats"}\n{"file_name": "old/b.png", "by": "cats too"}\n'
    )
    (tmp_path / "cats" / "old" / "metadata.csv").write_text("file_name,by\n../../dogs/b.png,below\n")
    assert joined(tmp_path) == {
        "cats/a.png": {"by": "cats"},
        "cats/old/b.png": {"by": "cats too"},
        "dogs/a.png": {"by": "root"},
        "dogs/b.png": {"by": "below"},
    }


@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(folder, encode, end):
    text = end.join(["file_name,artist", '"a.png","Zoë', 'Ada"', "", "b.png,Émile", ""])
    (folder / "metadata.csv").write_bytes(text.encode(encode))
    rows = joined(folder)
    assert (rows["a.png"]["artist"].split(), rows["b.png"]) == (["Zoë", "Ada"], {"artist": "Émile"})
    if end != "\r":
        lines = [json.dumps({"file_name": name, "artist": "Zoë"}) for name in ("a.png", "b.png")]
        (folder / "metadata.csv").unlink()
        (folder / "metadata.jsonl").write_bytes(end.join(lines).encode(encode))
        assert joined(folder)["b.png"] == {"artist": "Zoë"}


@pytest.mark.parametrize("file_form", ["NFC", "NFD"])
@pytest.mark.parametrize("row_form", ["NFC", "NFD"])
def test_names_and_values_are_compared_in_one_unicode_form(tmp_path, file_form, row_form):
    save(tmp_path / unicodedata.normalize(file_form, "é.png"), 0)
    row = unicodedata.normalize(row_form, "file_name,künstler\né.png,Zoë\n")
    (tmp_path / "metadata.csv").write_text(row, encoding="utf-8")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.metadata == ({"künstler": "Zoë"},)
    for form in ("NFC", "NFD"):
        column, value = (unicodedata.normalize(form, text) for text in ("künstler", "Zoë"))
        assert corpus.group(column, value) == [0]
        assert corpus.find(unicodedata.normalize(form, "é.png")) == [0]


def test_two_files_that_differ_in_unicode_form_alone_are_told_apart_or_refused(tmp_path):
    forms = [unicodedata.normalize(form, "ǘ.png") for form in ("NFC", "NFD")]
    for value, name in enumerate(forms):
        save(tmp_path / name, value)
    for name in forms:
        (tmp_path / "metadata.csv").write_text(f"file_name,x\n{name},1\n", encoding="utf-8")
        assert {name: row for name, row in joined(tmp_path).items() if row} == {name: {"x": "1"}}
    neither = "u\u0308\u0301.png".replace("u\u0308", "ü")
    (tmp_path / "metadata.csv").write_text(f"file_name,x\n{neither},1\n", encoding="utf-8")
    assert "a name that two files have in different Unicode forms: rename one" in refused(tmp_path)


def test_rows_without_a_picture_are_left_out_with_a_note(folder):
    (folder / "metadata.csv").write_text("file_name,x\na.png,1\nz.png,1\nb.png,1\nc.png,1\nd.png,1\n../y.png,2\n")
    assert ImageCorpus.from_folder(folder).notes == (
        "rows of 'metadata.csv' left out, since no item has their file_name: 2 such as '../y.png'",
    )
    (folder / "metadata.csv").write_text("file_name,x\n")
    assert ImageCorpus.from_folder(folder).notes == ("'metadata.csv' has no rows",)


def test_what_was_taken_out_is_not_named_in_notes(folder):
    (folder / "metadata.csv").write_text("file_name,x\na.png,1\nb.png,2\n")
    corpus = ImageCorpus.from_folder(folder)
    left = corpus.without(corpus.find("d.png"))
    (folder / "d.png").unlink()
    never = ImageCorpus.from_folder(folder)
    assert (left.notes, left.metadata, left.columns) == (never.notes, never.metadata, never.columns)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "'F/metadata.csv' is empty: its first row names the columns, file_name among them."),
        (
            "file;artist\na.png;x\n",
            "'F/metadata.csv' has no column file_name (its first row is 'file;artist'): add one that says which "
            "file each row is about, separate columns by commas, or give the file another name.",
        ),
        ("file_name,x,x\na.png,1,2\n", "'F/metadata.csv' has the column 'x' twice: rename one of them."),
        (
            "file_name,x\na.png,1\n\n./a.png,2\n",
            "'F/metadata.csv', line 4, speaks of 'a.png' again, after 'metadata.csv', line 2: keep one of the rows.",
        ),
        (
            "file_name,x\nz.png,1\nz.png,2\n",
            "'F/metadata.csv', line 3, speaks of 'z.png' again, after 'metadata.csv', line 2: keep one of the rows.",
        ),
        ("file_name,x\n,1\n", "'F/metadata.csv', line 2, names no file: give it a file_name."),
        (
            "file_name,x\na.png\n",
            "'F/metadata.csv', line 2, has 1 value for 2 columns: separate values by commas, and put one that holds a "
            "comma in quotation marks.",
        ),
        (
            "file_name\nb.png\na.png,1,2\n",
            "'F/metadata.csv', line 3, has 3 values for 1 column: separate values by commas, and put one that holds a "
            "comma in quotation marks.",
        ),
        (
            'file_name,x\na.png,"1\n',
            "'F/metadata.csv', line 2, is no row of a table separated by commas (unexpected end of data): mend it.",
        ),
        (
            f"file_name,x\na.png,{'x' * 200_000}\n",
            "'F/metadata.csv', line 2, is no row of a table separated by commas (field larger than field limit "
            "(131072)): mend it.",
        ),
        (
            "file_name,\na.png,1\n",
            "'F/metadata.csv', line 2, has a column without a name: give it one, or take it out.",
        ),
        *(
            (
                f"{name},file_name\n1,a.png\n",
                f"'F/metadata.csv', line 2, has a column '{name}', which every item has already: rename it, or take it "
                "out.",
            )
            for name in ("id", "item", "name")
        ),
        (
            "file_name,ǘ,u\u0308\u0301\na.png,1,2\n",
            "'F/metadata.csv', line 2, has the column 'ǘ' twice: rename one of them.",
        ),
    ],
)
def test_tables_that_cannot_be_joined_are_refused(folder, content, sentence):
    (folder / "metadata.csv").write_text(content, encoding="utf-8")
    assert refused(folder) == sentence


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1]", "is no JSON object: write one object on each line."),
        ('"a.png"', "is no JSON object: write one object on each line."),
        ("{", "is not JSON: write one object on each line."),
        ('{"file_name": "a.png", "x": NaN}', "is not JSON: write one object on each line."),
        ("[" * 100_000, "is not JSON: write one object on each line."),
        ('{"x": 1}', "names no file: give it a file_name."),
        ('{"file_name": null}', "names no file: give it a file_name."),
        (
            '{"file_name": "a.png", "x": [1]}',
            "has a list as its 'x': a value is text, a number, true, false or null.",
        ),
        (
            '{"file_name": "a.png", "x": {}}',
            "has an object as its 'x': a value is text, a number, true, false or null.",
        ),
        ('{"file_name": "a.png", "x": 1, "x": 2}', "has the column 'x' twice: keep one of them."),
        (
            '{"file_name": "a.png", "x": "\\ud800"}',
            "holds half a character (a lone surrogate): write it as UTF-8 text.",
        ),
    ],
)
def test_lines_that_cannot_be_joined_are_refused(folder, line, says):
    (folder / "metadata.jsonl").write_text(f'{{"file_name": "b.png"}}\n{line}\n')
    assert refused(folder) == f"'F/metadata.jsonl', line 2, {says}"


def test_files_that_cannot_be_read_are_refused(folder, monkeypatch):
    table = folder / "metadata.csv"
    table.write_bytes("file_name,x\na.png,é\n".encode("latin-1"))
    assert refused(folder) == "'F/metadata.csv' is not UTF-8 text (byte 18): save it as UTF-8."
    (folder / "metadata.jsonl").write_text("")
    assert refused(folder) == "'F/metadata.csv' lies beside metadata.jsonl: keep one of the two."
    table.unlink()
    table.symlink_to("nowhere")
    (folder / "metadata.jsonl").unlink()
    assert refused(folder) == (
        "'F/metadata.csv' cannot be opened (No such file or directory): make it readable, or take it out."
    )
    table.unlink()
    table.write_text("file_name\n" * 200)
    monkeypatch.setattr(metadata, "LARGEST_FILE", 1000)
    assert "'F/metadata.csv' has 0 MiB, more than the 0 MiB that metadata may have" in refused(folder)


def test_a_label_column_is_for_pictures_without_labels(tmp_path):
    save(tmp_path / "cats" / "a.png", 0)
    (tmp_path / "metadata.csv").write_text("file_name,label\ncats/a.png,dog\n")
    assert refused(tmp_path) == (
        "'F/metadata.csv', line 2, has a column 'label', but the pictures have labels already (their sub-folders): "
        "rename it, or take it out."
    )
    corpus = ImageCorpus.from_folder(tmp_path / "cats")
    (tmp_path / "cats" / "metadata.csv").write_text("file_name,label\na.png,dog\n")
    (tmp_path / "metadata.csv").unlink()
    flat = ImageCorpus.from_folder(tmp_path / "cats")
    assert (flat.labels, flat.values("label"), flat.digest) == (None, ("dog",), corpus.digest)
    with pytest.raises(UsageError, match="has no labels"):
        flat.with_label("dog")


texts = st.sampled_from(["", "x", "y", "e\u0301", "é"])
tables = st.lists(st.dictionaries(st.sampled_from(["artist", "licence"]), texts), min_size=2, max_size=6)


@given(tables, st.data())
def test_items_keep_their_metadata(rows, data):
    corpus = made(rows, ["l"] * len(rows))
    wanted = {
        f"{i}.png": {k: unicodedata.normalize("NFC", v) for k, v in row.items() if v} for i, row in enumerate(rows)
    }
    gone = data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1, max_size=len(rows) - 1))
    left, rest = corpus.without(gone), corpus.without(set(range(len(rows))) - gone)
    for other in (corpus, left, rest, left.adding(rest), corpus.with_label("l"), copy.deepcopy(corpus)):
        assert all(dict(row) == wanted[name] for name, row in zip(other.names, other.metadata, strict=True))
    assert pickle.loads(pickle.dumps(corpus)).metadata == left.adding(rest).metadata == corpus.metadata
    for column in corpus.columns:
        values = corpus.values(column)
        groups = [corpus.group(column, value) for value in set(values)]
        assert sorted(index for group in groups for index in group) == list(range(len(rows)))
        assert all(len({values[i] for i in group}) == 1 and group == sorted(group) for group in groups)


def test_columns_are_the_label_first_and_then_all_metadata():
    corpus = made([{"z": "1"}, {"a": "2"}], ["p", "q"])
    assert corpus.columns == ("label", "a", "z")
    assert sorted(corpus.values("label"), key=str) == ["p", "q"]
    assert made([{}]).columns == ()
    assert made([{}]).metadata == ({},)
    for mapping in corpus.metadata:
        with pytest.raises(TypeError):
            operator.setitem(cast("Any", mapping), "a", "changed")


def test_groups_that_do_not_exist_are_refused_with_those_that_do():
    corpus = made([{"artist": f"{i:02}"} for i in range(25)])
    with pytest.raises(UsageError, match=r"^this corpus has no column 'by': choose one of artist.$"):
        corpus.values("by")
    with pytest.raises(UsageError, match=r"^this corpus has no column 'by': its items have no metadata.$"):
        made([{}]).group("by", "x")
    with pytest.raises(
        UsageError, match=r"^there is no item whose artist is 'x': choose one of 00, .*, 19 and 5 more.$"
    ):
        corpus.group("artist", "x")
    with pytest.raises(UsageError, match=r"^there is no item without artist: choose one of 00, "):
        corpus.group("artist", None)
    assert made([{"artist": "x"}, {}]).group("artist", None) != []


def test_items_are_found_by_id_prefix_or_name():
    images = np.array([1, 1, 2], np.uint8)[:, None, None, None]
    corpus = ImageCorpus.from_arrays(images, names=["a", "b", "c"])
    for index, (identity, name) in enumerate(zip(corpus.ids, corpus.names, strict=True)):
        same = [i for i, other in enumerate(corpus.ids) if other == identity]
        for text in (identity, identity[:8], identity[:9].upper()):
            assert corpus.find(text) == same
        assert corpus.find(name) == [index]
    for text in ("", "A", "z", corpus.ids[0][:7], "0" * 64, corpus.ids[0] + "0"):
        with pytest.raises(UsageError, match=r"^there is no item "):
            corpus.find(text)


def test_the_end_of_a_name_brings_the_whole_one():
    names = ("autumn/geese.txt", "b", "geese.text", "mongeese.txt", "spring/geese.txt")
    items = Catalogue(ids=tuple(f"{k}" * 64 for k in range(5)), labels=None, names=names, metadata=({},) * 5)
    with pytest.raises(UsageError) as caught:
        items.find("geese.txt")
    assert str(caught.value) == (
        "there is no item 'geese.txt', but there is 'autumn/geese.txt', 'spring/geese.txt': give the whole name, or at "
        "least 8 digits of the content id."
    )


def test_words_that_fit_several_items_are_refused():
    ids = ("12345678" + "0" * 56, "12345678" + "1" * 56)
    items = Catalogue(ids=ids, labels=None, names=("a", "b"), metadata=({}, {}))
    with pytest.raises(UsageError, match=r"^'12345678' begins 2 content ids: give more digits.$"):
        items.find("12345678")
    assert items.find("123456780") == [0]
    items = Catalogue(ids=ids, labels=None, names=("a", "123456780"), metadata=({}, {}))
    with pytest.raises(UsageError, match="is the name of one item and begins the content id of another"):
        items.find("123456780")
    assert items.find("123456781") == [1]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (({}, {}), "metadata has length 2 for 1 items: give one mapping for each."),
        (({"x": 1},), r"metadata\[0\] has 1 as its x: a value is text."),
        (({1: "x"},), r"metadata\[0\] has a column 1: the name of a column is text."),
        (({"name": "x"},), r"metadata\[0\] has a column 'name', which every item has already"),
    ],
)
def test_metadata_that_no_item_can_have_is_refused(rows, says):
    images = np.zeros((1, 1, 1, 1), np.uint8)
    with pytest.raises(InputError, match=says):
        ImageCorpus(images, None, ("a",), conversions=((),), metadata=rows)


def test_tables_and_stores_among_pictures_are_not_taken_for_pictures(folder):
    (folder / "metadata.csv").write_text("file_name,x\n" + "".join(f"{name}.png,1\n" for name in "abcd"))
    assert ImageCorpus.from_folder(folder).notes == ()
    (folder / "corpus.smalti").write_bytes(b"")
    (folder / "other.csv").write_bytes(b"")
    assert ImageCorpus.from_folder(folder).notes == ("left out, not a picture: 2 such as 'corpus.smalti'",)
    (folder / "empty").mkdir()
    (folder / "empty" / "metadata.csv").mkdir()
    assert len(ImageCorpus.from_folder(folder)) == 4


def test_space_around_values_does_not_count(tmp_path):
    for index, name in enumerate(("a.png", "b.png", " c.png")):
        save(tmp_path / name, index)
    (tmp_path / "metadata.csv").write_text("file_name, artist\na.png,Ada\n b.png , Ada \n c.png,  \n")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert {name: dict(row) for name, row in zip(corpus.names, corpus.metadata, strict=True)} == {
        "a.png": {"artist": "Ada"},
        "b.png": {"artist": "Ada"},
        " c.png": {},
    }
    assert len(corpus.group("artist", "Ada")) == 2
