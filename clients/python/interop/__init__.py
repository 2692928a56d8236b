"""The clients in Python of the interop test: see ../../README.md."""
