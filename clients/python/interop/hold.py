"""Begins to write to a file of SQLite's, and comes to no end: whoever else would write waits. `python -m interop.hold FILE`."""

import sqlite3
import sys
import threading

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
threading.Event().wait()
