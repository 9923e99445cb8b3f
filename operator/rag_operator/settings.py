"""The environment and the command line as one frozen value. A flag wins over its variable."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag_operator import __version__, login
from rag_operator.errors import SettingInvalid
from rag_operator.spec import Release

RUNTIME_IMAGE = f"ragops/rag-runtime:{__version__}"
# The server version that this release was tested with.
QDRANT_IMAGE = "docker.io/qdrant/qdrant:v1.18.0"

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """A field's name in capitals is the variable's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespaces: tuple[str, ...] = ()
    lease_namespace: str = "default"
    lease_name: str = "rag-operator"
    # Renewed well within the shortest time that `deaf_seconds` may be.
    lease_seconds: Annotated[int, Field(ge=3, le=60)] = 15
    health_port: Port = 8080
    runtime_image: str = RUNTIME_IMAGE
    qdrant_image: str = QDRANT_IMAGE
    resync_seconds: Annotated[float, Field(ge=1, le=86_400)] = 300
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    deadline_seconds: Annotated[float, Field(ge=1, le=3600)] = 60
    probe_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default_factory=lambda: 60.0 if login.is_in_a_pod() else 0.0
    )
    probe_proxy: str | None = None
    deaf_seconds: Annotated[float, Field(ge=10, le=86_400)] = 120
    key_overlap_seconds: Annotated[float, Field(ge=4, le=2_592_000)] = 3600
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    pod_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}")

    @property
    def release(self) -> Release:
        return Release(__version__, self.runtime_image, self.qdrant_image, self.lease_namespace)


def load(environ: Mapping[str, str], flags: argparse.Namespace) -> Settings:
    """Raise SettingInvalid in one line that names the setting."""
    values: dict[str, object] = {
        field: environ[field.upper()] for field in Settings.model_fields if environ.get(field.upper())
    }
    if isinstance(listed := values.get("namespaces"), str):
        values["namespaces"] = tuple(part.strip() for part in listed.split(",") if part.strip())
    values.setdefault("lease_namespace", _own_namespace())
    values |= {
        name: value for name, value in vars(flags).items() if name in Settings.model_fields and value is not None
    }
    if flags.all_namespaces:
        values["namespaces"] = ()
    try:
        return Settings.model_validate(values)
    except ValidationError as refused:
        sentences = (
            f"{str(error['loc'][0]).upper()}={error['input']!r} is not allowed: {error['msg']}"
            for error in refused.errors()
        )
        raise SettingInvalid("; ".join(sentences)) from None


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rag-operator", description="Runs RagPipelines on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("crds", help="print the CustomResourceDefinition")
    run = commands.add_parser("run", help="work, in a pod or with the kubeconfig")
    scope = run.add_mutually_exclusive_group()
    scope.add_argument("--namespace", dest="namespaces", action="append", metavar="NS", help="serve this one (repeat)")
    scope.add_argument("--all-namespaces", action="store_true", help="serve all of them (the default)")
    run.add_argument("--lease-namespace", metavar="NS", help="where the Lease is (in a pod: its own; else: default)")
    run.add_argument("--lease-name", metavar="NAME", help="the Lease that one replica holds (rag-operator)")
    run.add_argument("--health-port", type=int, metavar="PORT", help="of /livez, /readyz, /metrics (8080; 0: none)")
    return parser.parse_args(arguments)


def from_process(flags: argparse.Namespace) -> Settings:
    return load(os.environ, flags)


def _own_namespace() -> str:
    path = login.SERVICE_ACCOUNT / "namespace"
    return path.read_text().strip() if path.exists() else "default"
