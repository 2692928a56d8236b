"""Locks an SQLite file with a transaction that never ends: other writers wait. `python -m interop.hold FILE`."""

import sqlite3
import sys
import threading

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
threading.Event().wait()
