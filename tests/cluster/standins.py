"""Images made here instead of pulled, where no image registry can be reached.

The pause image does what every sandbox needs and no more; the Python base is Debian's own Python.
"""

import tempfile
from pathlib import Path

from tests.cluster import oci, paths
from tests.cluster.progress import step
from tests.cluster.shell import run

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
    with step("building the pause image"), tempfile.TemporaryDirectory(prefix="ragops-pause-") as scratch:
        source, program = Path(scratch, "pause.c"), Path(scratch, "pause")
        source.write_text(PAUSE_SOURCE)
        run(["gcc", "-Os", "-static", "-s", "-o", program, source])
        oci.write_single_file_image(archive, reference, program, entrypoint="/pause", user="65535:65535")
    return archive
