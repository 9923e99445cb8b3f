"""The control plane: RagPipelines in, Kubernetes objects and a truthful status out."""

from importlib.metadata import version

__version__ = version("ragops")
