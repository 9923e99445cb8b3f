"""Write the simplest of images, one program in one layer, without any image tool: the format is a tar file of JSON."""

import hashlib
import io
import json
import os
import platform
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_single_file_image(archive: Path, reference: str, program: Path, *, entrypoint: str, user: str) -> None:
    """A docker-archive whose image holds the program at its entrypoint. Appears whole or not at all."""
    layer = _tar({entrypoint.lstrip("/"): program.read_bytes()}, mode=0o755)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [entrypoint], "User": user},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": [f"{digest}.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), config_name: config, f"{digest}.tar": layer}
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f".{archive.name}.{os.getpid()}")
    partial.write_bytes(_tar(files, mode=0o644))
    partial.replace(archive)


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
