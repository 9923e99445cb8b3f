"""The embedded store: Qdrant's engine and SQLite in a child process of its own.

Every call into the engine holds the GIL, a flush for 30 ms and an optimization for seconds; beside an event loop that
would stall each request and probe. Only `worker` runs in the child; `frames` and `opening` are known to both sides.
"""
