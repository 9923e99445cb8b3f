"""The folder of a named cluster, and the process that stays beside it while it runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cgroups, locks, paths
from tests.cluster.errors import ClusterError
from tests.cluster.progress import step
from tests.cluster.waiting import POLL_SECONDS

END_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class State:
    """Where a named cluster keeps its things."""

    name: str

    @property
    def folder(self) -> Path:
        return paths.clusters_folder() / self.name

    @property
    def running(self) -> Path:
        """The lock that the keeper holds as long as the cluster runs. Link and control group are the machine's."""
        return locks.machine_wide(f"{self.name}.running")

    @property
    def in_use(self) -> Path:
        """The lock of whoever uses the cluster."""
        return locks.machine_wide(f"{self.name}.in-use")

    def write(self, known: dict[str, object]) -> None:
        (self.folder / "state.json").write_text(json.dumps(known))

    def read(self) -> dict[str, object]:
        known: dict[str, object] = json.loads((self.folder / "state.json").read_text())
        return known

    def is_running(self) -> bool:
        return locks.is_held(self.running)

    def is_kept(self) -> bool:
        return self.is_running() and (self.folder / "kept").exists()

    def wait_for_end(self, timeout_seconds: float = END_TIMEOUT_SECONDS) -> None:
        """A cluster whose owner has just died needs a moment; one that somebody else keeps would need for ever."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_running():
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"a cluster {self.name} already runs on this machine, and not from {paths.clusters_folder()}: "
                    "choose another name, or end it as whoever keeps it"
                )
            time.sleep(POLL_SECONDS)

    def clear(self) -> None:
        """Remove what a keeper that was killed could not; its processes, links and mounts went with the namespaces."""
        cgroups.remove(f"ragops-{self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """End a kept cluster, if it runs."""
        if self.is_running():
            with step(f"ending the cluster {self.name}"):
                os.kill(int((self.folder / "keeper.pid").read_text()), signal.SIGTERM)
                self.wait_for_end()
        self.clear()


@dataclass(frozen=True)
class Keeper:
    """The process beside a cluster, seen from the one that started it."""

    process: "subprocess.Popen[bytes]"
    state: State

    @classmethod
    def start(cls, state: State, plan: dict[str, object]) -> "Keeper":
        whole = {**plan, "folder": str(state.folder), "lock": str(state.running)}
        plan_file = state.folder / "plan.json"
        plan_file.write_text(json.dumps(whole))
        (state.folder / "log").mkdir(exist_ok=True)
        with (state.folder / "log" / "keeper.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.keeper", str(plan_file)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=paths.REPOSITORY,
                # Ctrl-C is for the owner, who then ends the cluster in order.
                start_new_session=True,
            )
        return cls(process, state)

    def keep(self) -> None:
        """Let the cluster, which is ready for use, outlive this process."""
        assert self.process.stdin is not None
        (self.state.folder / "kept").touch()
        self.process.stdin.write(b"k")
        self.process.stdin.close()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"process {self.process.pid} did not end the cluster in time") from None
