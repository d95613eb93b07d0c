"""The layout of a ledger."""

from __future__ import annotations

from smalti.corpus.database import Kind

__all__ = ["LEDGER"]

# Foreign keys are declared for readers and for `Ledger.verify`, which checks them all. They are not enforced one by one
# (SQLite's default): to take an item out, that would walk all credits for each.
LEDGER = Kind(
    name="ledger",
    mark=int.from_bytes(b"Smlt", "big"),
    version=1,
    layout=(
        """CREATE TABLE corpora (
  corpus INTEGER PRIMARY KEY AUTOINCREMENT,
  digest TEXT NOT NULL UNIQUE
)""",
        """CREATE TABLE columns (
  corpus INTEGER NOT NULL REFERENCES corpora,
  name TEXT NOT NULL,
  PRIMARY KEY (corpus, name)
) WITHOUT ROWID""",
        """CREATE TABLE items (
  item INTEGER PRIMARY KEY AUTOINCREMENT,
  corpus INTEGER NOT NULL REFERENCES corpora,
  position INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  label TEXT,
  UNIQUE (corpus, position)
)""",
        "CREATE INDEX items_by_id ON items (id)",
        """CREATE TABLE metadata (
  item INTEGER NOT NULL REFERENCES items,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (item, name)
) WITHOUT ROWID""",
        """CREATE TABLE runs (
  run INTEGER PRIMARY KEY AUTOINCREMENT,
  request_sha256 TEXT NOT NULL UNIQUE,
  request TEXT NOT NULL,
  corpus INTEGER NOT NULL REFERENCES corpora,
  source TEXT NOT NULL,
  created TEXT NOT NULL
)""",
        """CREATE TABLE samples (
  sample INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES runs,
  seed INTEGER NOT NULL,
  picture_sha256 TEXT NOT NULL,
  folder TEXT NOT NULL,
  pixels INTEGER NOT NULL CHECK (typeof(pixels) = 'integer' AND pixels > 0),
  credits_sha256 TEXT NOT NULL,
  UNIQUE (run, seed, picture_sha256)
)""",
        """CREATE TABLE credits (
  sample INTEGER NOT NULL REFERENCES samples,
  item INTEGER NOT NULL REFERENCES items,
  units INTEGER NOT NULL CHECK (typeof(units) = 'integer' AND units > 0),
  PRIMARY KEY (sample, item)
) WITHOUT ROWID""",
        # A row: something was taken out or corrected, and the file has not been written anew since.
        "CREATE TABLE unclean (mark INTEGER PRIMARY KEY AUTOINCREMENT, since TEXT NOT NULL)",
    ),
    make="enter runs into it first, with smalti credit RUN",
    mend="restore it from a backup, or move it away and enter the runs again",
)
