"""Build images from unchanged Dockerfiles, by Docker where it answers and otherwise by buildah."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.cluster import needs
from tests.cluster.shell import run, succeeds

Words = list[str]

PULL_TIMEOUT_SECONDS = 120
CERTIFICATES = Path("/etc/ssl/certs")
BUNDLE = CERTIFICATES / "ca-certificates.crt"
RESOLVER = Path("/etc/resolv.conf")
# What tells pip where its packages come from; never where this machine keeps files of its own.
PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES")


@cache
def docker_answers() -> bool:
    """Whether a Docker engine is there; its client alone is not enough."""
    return succeeds(["docker", "info"])


@cache
def can_pull(image: str) -> bool:
    """Whether the base image can be had, asked once a run by having it."""
    if docker_answers():
        return True
    needs.ensure_packages(needs.FOR_IMAGES)
    return succeeds(["buildah", "pull", "--quiet", image], timeout_seconds=PULL_TIMEOUT_SECONDS)


def build(reference: str, archive: Path, dockerfile: Path, context: Path, base: str) -> None:
    """Build the image and write its archive, which appears whole or not at all."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f".{archive.name}.{os.getpid()}")
    if docker_answers():
        run(docker_build(reference, dockerfile, context, base, os.environ))
        run(["docker", "save", "--output", partial, reference])
    else:
        needs.ensure_packages(needs.FOR_IMAGES)
        # Always the same file: another name would be another command to buildah, and none of its layers would do.
        pip = archive.with_name("pip.conf")
        pip.write_text(pip_configuration(os.environ, bundle=BUNDLE if BUNDLE.exists() else None))
        run(buildah_build(reference, dockerfile, context, base, mounts(pip)))
        # Compressed layers take a quarter of the disk, and less time to load than to write.
        run(["buildah", "push", "--quiet", reference, f"oci-archive:{partial}:{reference}"])
    partial.replace(archive)


def push(reference: str) -> None:
    run(["docker" if docker_answers() else "buildah", "push", reference])


def forget(reference: str) -> None:
    run(["docker" if docker_answers() else "buildah", "rmi", reference], check=False)


def docker_build(reference: str, dockerfile: Path, context: Path, base: str, environ: Mapping[str, str]) -> Words:
    given = [f"--build-arg={name}={environ[name]}" for name in PIP_SETTINGS if environ.get(name)]
    return ["docker", "build", "--quiet", "--tag", reference, *_base(base), *given, *_source(dockerfile, context)]


def buildah_build(
    reference: str, dockerfile: Path, context: Path, base: str, mounted: Sequence[tuple[Path, Path]]
) -> Words:
    """Without an engine: RUN steps in a chroot on the host's network. Layers are kept, so that only what follows a
    change is built again."""
    volumes = [f"--volume={here}:{there}:ro" for here, there in mounted]
    never = ["--pull-never"] if base.startswith("localhost/") else []
    isolation = ["--isolation", "chroot", "--network", "host", "--layers", *never]
    return ["buildah", "build", "--tag", reference, *isolation, *_base(base), *volumes, *_source(dockerfile, context)]


def mounts(pip: Path) -> list[tuple[Path, Path]]:
    """What a RUN step sees of the machine: its certificates, its name lookup, and where pip finds packages."""
    found = [(path, path) for path in (CERTIFICATES, RESOLVER) if path.exists()]
    return [*found, (pip, Path("/etc/pip.conf"))]


def pip_configuration(environ: Mapping[str, str], *, bundle: Path | None) -> str:
    """A pip.conf that says what this process's environment says, so that no Dockerfile has to know of it."""
    settings = {name.removeprefix("PIP_").lower().replace("_", "-"): environ.get(name) for name in PIP_SETTINGS}
    if bundle is not None:
        settings["cert"] = str(bundle)
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items() if value)


def _base(base: str) -> Words:
    return ["--build-arg", f"BASE_IMAGE={base}"] if base else []


def _source(dockerfile: Path, context: Path) -> Words:
    return ["--file", str(dockerfile), str(context)]
