"""The parts of the Qdrant server adapter: what is sent, how often it is tried, and what a failure means."""
