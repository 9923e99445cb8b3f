"""The cluster as its users see it, whichever backend it came from."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.images import Image
from tests.cluster.shell import run

Loader = Callable[[Sequence[Image]], None]


def no_loader(images: Sequence[Image]) -> None:
    raise ClusterError("this cluster has no node that could run images")


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers, and the programs to speak to it."""

    name: str
    kubeconfig: Path
    bin: Path
    load_images: Loader = field(default=no_loader, repr=False)
    direct_addresses: tuple[str, ...] = ()
    """Networks that are reached from here without any proxy."""
    audit_log: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        """This process's environment, speaking to this cluster."""
        env = {**os.environ, **self.exports}
        if self.direct_addresses:
            for variable in ("NO_PROXY", "no_proxy"):
                env[variable] = ",".join(filter(None, (os.environ.get(variable), *self.direct_addresses)))
        return env

    @property
    def exports(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": f"{self.bin}{os.pathsep}{path}"}

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        return run([self.bin / "kubectl", *args], env=self.env, input=input, check=check)

    def helm(self, *args: str) -> str:
        return run([self.bin / "helm", *args], env=self.env)

    def load(self, images: Iterable[Image]) -> None:
        """Bring built images onto the nodes, where pods run them by their `reference`."""
        self.load_images(tuple(images))
