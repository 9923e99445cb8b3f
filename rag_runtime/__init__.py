"""The retrieval runtime: documents in, cited answers out."""

from importlib.metadata import version

__version__ = version("ragops")
