"""ragops over HTTP beside the bare loop and the hybrid pipelines of three frameworks, in one run.

    python -m benchmarks.runtime [--chunks 5000] [--runs 1] [--quick]

Each contender is a process of its own that is told what to do line by line, so that they take turns: see `contender`.
"""
