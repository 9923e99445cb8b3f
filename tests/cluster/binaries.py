"""Build Kubernetes and what surrounds it from published Go modules, once, into the cache.

Each program is installed by itself as soon as it is built, so a build that was interrupted goes on where it stopped.
"""

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import golang, locks, paths, versions
from tests.cluster.progress import say, step
from tests.cluster.shell import run
from tests.cluster.versions import Binary


def ensure_binaries(wanted: Sequence[Binary] = versions.LOCAL_CLUSTER) -> Path:
    """The folder that holds the wanted programs, building those that are missing."""
    together = versions.ALL if set(wanted) <= set(versions.ALL) else tuple(wanted)
    folder = paths.binaries_folder(versions.version_key(together))
    folder.mkdir(parents=True, exist_ok=True)
    if all((folder / binary.name).exists() for binary in wanted):
        return folder
    with locks.held(folder / ".lock", lambda: say(f"waiting for another process that builds into {folder}")):
        missing = [binary for binary in wanted if not (folder / binary.name).exists()]
        go = golang.find_go() if missing else None
        for binary in missing:
            assert go is not None
            with step(f"building {binary.name} {binary.version} ({binary.cold_build} the first time)"):
                _build(go, binary, folder)
    return folder


def _build(go: Path, binary: Binary, folder: Path) -> None:
    env = golang.build_environment(go)
    with tempfile.TemporaryDirectory(prefix="ragops-build-") as scratch:
        wrapper = Path(scratch)
        (wrapper / "go.mod").write_text(wrapper_module(binary, _published_go_mod(go, binary, env)))
        made = folder / f".{binary.name}.{os.getpid()}"
        flags = ["-mod=mod", "-trimpath", "-ldflags", linker_flags(binary)]
        run([go, "build", *flags, "-o", made, binary.package], env=env, cwd=wrapper)
        made.replace(folder / binary.name)


def _published_go_mod(go: Path, binary: Binary, env: dict[str, str]) -> str:
    told = run([go, "mod", "download", "-json", f"{binary.module}@{binary.version}"], env=env, cwd=Path("/"))
    return Path(json.loads(told)["GoMod"]).read_text()


def staging_modules(go_mod: str) -> list[str]:
    """The modules that Kubernetes' go.mod takes from folders of its own repository."""
    return sorted(set(re.findall(r"(k8s\.io/[\w.-]+) => \./staging/", go_mod)))


def wrapper_module(binary: Binary, published_go_mod: str) -> str:
    """A go.mod whose only job is to require the program's module.

    `go install` refuses a module whose go.mod replaces others, as those of Kubernetes, etcd and containerd do. Seen
    from another module such replacements don't count, and only Kubernetes needs them: each of its staging modules is
    also published, as v0.x.y for Kubernetes v1.x.y.
    """
    lines = ["module wrapper", f"go {versions.GO_NEEDED}", f"require {binary.module} {binary.version}"]
    if binary.is_kubernetes:
        published = binary.version.replace("v1.", "v0.", 1)
        lines += [f"replace {module} => {module} {published}" for module in staging_modules(published_go_mod)]
    return "\n".join(lines) + "\n"


def linker_flags(binary: Binary) -> str:
    """Without symbols; Kubernetes with its version, for its clients refuse a server that calls itself v0.0.0."""
    flags = ["-s", "-w"]
    if binary.is_kubernetes:
        _, major, minor = re.split(r"[v.]", binary.version)[:3]
        stamp = {"gitVersion": binary.version, "gitMajor": major, "gitMinor": minor}
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            flags += [f"-X {package}.{variable}={value}" for variable, value in stamp.items()]
    return " ".join(flags)
