"""A corpus store survives being killed at any moment, and keeps everything that was acknowledged."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from smalti.corpus import CorpusStore, ImageCorpus, TextCorpus
from smalti.errors import InputError

# Acts on a store for ever, and says what it is about to do and what is done. Item `n` is the only one of its content.
WORKER = """
import sys
import numpy as np
from smalti.corpus import CorpusStore, ImageCorpus, TextCorpus

path, first, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def one(number):
    image = np.random.default_rng(number).integers(0, 256, (1, 24, 24), dtype=np.uint8)
    if kind == "texts":
        return TextCorpus.from_texts([image.tobytes().hex() * 20], names=[str(number)])
    return ImageCorpus.from_arrays(image, names=[str(number)])

def say(*words):
    print(*words, flush=True)

store = CorpusStore.open(path)
say("ready")
for number in range(first, first + 10**6):
    say("begin add", number)
    store.add(one(number), source="")
    say("done add", number)
    if number % 3:
        say("begin forget", number)
        store.forget([str(number)], reason="asked")
        say("done forget", number)
    if number % 4 == 0:
        say("begin compact", number)
        store.compact()
        say("done compact", number)
"""

CREATOR = """
import sys
import numpy as np
from smalti.corpus import CorpusStore, ImageCorpus

images = np.random.default_rng(1).integers(0, 256, (400, 24, 24), dtype=np.uint8)
corpus = ImageCorpus.from_arrays(images)
print("ready", flush=True)
CorpusStore.create(sys.argv[1], corpus, source="")
print("done", flush=True)
sys.stdin.read()
"""


def content_of(number: int, kind: str) -> bytes:
    """What an item is stored as, or the beginning of it."""
    picture = np.random.default_rng(number).integers(0, 256, (1, 24, 24), dtype=np.uint8).tobytes()
    return picture if kind == "pictures" else picture.hex().encode()


def killed(program: str, *words: object, after: float) -> list[str]:
    """What a program had said when it was killed, this many seconds after it was ready."""
    command = [sys.executable, "-c", program, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        # A last line without an end was being written: nothing was acknowledged by it.
        said = process.stdout.read().split("\n")[:-1]
    assert process.returncode == -signal.SIGKILL
    return said


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_killed_during_changes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.smalti"
    image = np.random.default_rng(10**9).integers(0, 256, (1, 24, 24), dtype=np.uint8)
    first = TextCorpus.from_texts(["text"], names=["first"])
    store = CorpusStore.create(
        path, first if kind == "texts" else ImageCorpus.from_arrays(image, names=["first"]), source=""
    )
    rng = random.Random(0)
    there, gone = {"first"}, set[str]()
    number = 0
    done = 0
    for _ in range(10):
        said = killed(WORKER, path, number, kind, after=rng.uniform(0, 0.25))
        unknown = None
        for line in said:
            state, action, item = line.split()
            done += state == "done"
            unknown = (action, item) if state == "begin" else None
            number = int(item) + 1
            if state == "done" and action == "add":
                there.add(item)
            if state == "done" and action == "forget":
                there.discard(item)
                gone.add(item)
        check = CorpusStore.open(path).verify()
        # A kill while SQLite shortens the file leaves pages that the next change cuts off.
        assert all("behind its end" in problem for problem in check.problems), check.problems
        names = {item.name for item in store.items()}
        # The change that was under way is there as a whole, or not at all.
        if unknown and unknown[0] == "add" and unknown[1] in names:
            there.add(unknown[1])
        if unknown and unknown[0] == "forget" and unknown[1] not in names:
            there.discard(unknown[1])
            gone.add(unknown[1])
        assert names == there == set(store.corpus().names)
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert all(content_of(int(item), kind)[:64] not in content for item in gone)
        assert all(content_of(int(item), kind)[:64] in content for item in there - {"first"})
        assert sum(len(removal.ids) for removal in store.removals()) == len(gone)
        # A journal that the change under way had not begun to use may stay until the next change, which removes it.
        assert {file.name for file in tmp_path.iterdir()} <= {"x.smalti", "x.smalti-journal"}
    assert done
    store.forget([min(there - {"first"})], reason="asked")
    assert [file.name for file in tmp_path.iterdir()] == ["x.smalti"]


def test_killed_during_create(tmp_path: Path) -> None:
    path = tmp_path / "x.smalti"
    rng = random.Random(1)
    whole = 0
    for attempt in range(12):
        said = killed(CREATOR, path, after=rng.uniform(0, 0.12) if attempt else 0)
        if path.exists():
            assert CorpusStore.open(path).verify().sound
            assert len(CorpusStore.open(path).items()) == 400
            whole += 1
            with pytest.raises(InputError, match="exists already"):
                CorpusStore.create(path, ImageCorpus.builtin("photo"), source="")
            path.unlink()
        else:
            assert said == []
    assert whole < 12
    # What is left behind is recognised, and removed by the next one to make or change that store.
    store = CorpusStore.create(path, ImageCorpus.builtin("digits"), source="")
    assert [file.name for file in tmp_path.iterdir()] == ["x.smalti"]
    assert store.verify().sound
