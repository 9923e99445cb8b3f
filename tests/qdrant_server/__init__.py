"""A stand-in for a Qdrant server, where none can be installed: its REST API over qdrant-edge, Qdrant's own engine.

Test equipment: one process, no cluster, and of the API only what ragops uses. Requests are read and answers are made
with qdrant-client's own models, so it cannot drift from the real server without a test seeing it.
"""
