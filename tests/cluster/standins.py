"""Images made here instead of pulled, where no image registry can be reached.

The pause image does what every sandbox needs and no more; the Python base is Debian's own Python.
"""

import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import needs, oci, paths
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.progress import say, step
from tests.cluster.shell import run, succeeds

OVERRIDE = "RAGOPS_TEST_BASE_IMAGE"
PYTHON_BASE = "localhost/ragops-python-base:1"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
BASE_DOCKERFILE = """FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin LANG=C.UTF-8
CMD ["python3"]
"""
UNREAD = (
    "usr/lib/python3*/EXTERNALLY-MANAGED",
    "usr/share/doc/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/lib/apt/lists/*",
    "var/log/*",
)
SOURCE_FORMAT = "$(REPO_URI) $(CODENAME) $(COMPONENT)"

# A sandbox holds namespaces open, reaps orphans and goes when told to.
PAUSE_SOURCE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int number) {
    (void)number;
    _exit(0);
}

int main(void) {
    sigset_t children;
    int caught;
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, 0);
    while (sigwait(&children, &caught) == 0)
        while (waitpid(-1, 0, WNOHANG) > 0)
            ;
    return 1;
}
"""


def pause_archive(reference: str) -> Path:
    """An archive with the one image that every pod starts with."""
    archive = paths.images_folder() / f"{reference.rpartition('/')[2].replace(':', '-')}.tar"
    if archive.exists():
        return archive
    needs.ensure_packages(needs.FOR_PAUSE)
    with step("building the pause image"), tempfile.TemporaryDirectory(prefix="ragops-pause-") as scratch:
        source, program = Path(scratch, "pause.c"), Path(scratch, "pause")
        source.write_text(PAUSE_SOURCE)
        run(["gcc", "-Os", "-static", "-s", "-o", program, source])
        oci.write_single_file_image(archive, reference, program, entrypoint="/pause", user="65535:65535")
    return archive


def ensure_python_base() -> None:
    """Debian with its Python, as small as debootstrap makes it, in buildah's store."""
    if succeeds(["buildah", "inspect", "--type", "image", PYTHON_BASE]):
        return
    needs.ensure_packages((*needs.FOR_IMAGES, *needs.FOR_BASE))
    say("no image registry can be reached: a stand-in for the Python base image is made from Debian packages")
    with tempfile.TemporaryDirectory(prefix="ragops-base-") as scratch, step(f"building {PYTHON_BASE} (a minute)"):
        root, tarball, dockerfile = (Path(scratch, name) for name in ("root", "root.tar", "Dockerfile"))
        run(debootstrap(choose_source(run(["apt-get", "indextargets", "--format", SOURCE_FORMAT]), _codename()), root))
        strip(root)
        run(["tar", "--create", "--numeric-owner", "--file", tarball, "--directory", root, "."])
        dockerfile.write_text(BASE_DOCKERFILE)
        run(["buildah", "build", "--isolation", "chroot", "--tag", PYTHON_BASE, "--file", dockerfile, scratch])


@dataclass(frozen=True)
class Source:
    """Where this machine's own packages come from."""

    mirror: str
    suite: str
    components: tuple[str, ...]


def choose_source(targets: str, codename: str) -> Source:
    """The archive of the machine's own release, among the index targets that apt knows of."""
    known = [line.split() for line in targets.splitlines()]
    fitting = [words for words in known if len(words) == 3 and words[1] == codename]
    if not fitting:
        raise MissingPrerequisite(f"apt knows no archive of {codename}", f"name a Python image in {OVERRIDE}")
    mirror = fitting[0][0]
    components = {component for url, _, component in fitting if url == mirror}
    return Source(mirror, codename, tuple(sorted(components & {"main", "universe"})))


def debootstrap(source: Source, root: Path) -> list[str]:
    components = ",".join(source.components)
    options = ["--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", f"--components={components}"]
    return ["debootstrap", *options, source.suite, str(root), source.mirror]


def strip(root: Path) -> None:
    """Leave out what no container reads, and call Python as the official image does."""
    for unread in UNREAD:
        for path in root.glob(unread):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "usr/bin/python").symlink_to("python3")


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
