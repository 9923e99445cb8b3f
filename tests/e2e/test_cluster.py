"""The node that runs on this machine does what a Kubernetes node does, and leaves nothing behind, however it ends."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tests.cluster import Cluster, Image, builders, cgroups, end_cluster, keep_cluster, needs, oci, open_cluster, paths
from tests.cluster.addresses import host_interface
from tests.e2e.ctrl_c import HEARS_CTRL_C

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(builders.docker_answers(), reason="where Docker runs, the cluster is kind's"),
]
NAME, SECOND = "scratch", "scratch-2"
USER = 65532
BUSYBOX = needs.Package("busybox-static", any_of=("/bin/busybox",))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster(NAME, audit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A shell and its tools in one file."""
    needs.ensure_packages([BUSYBOX])
    busybox = Image("busybox", "localhost/busybox:test", tmp_path_factory.mktemp("image") / "busybox.tar")
    user = f"{USER}:{USER}"
    oci.write_single_file_image(
        busybox.archive, busybox.reference, Path("/bin/busybox"), entrypoint="/busybox", user=user
    )
    cluster.load([busybox])
    return busybox.reference


@pytest.fixture(scope="module")
def web(cluster: Cluster, image: str) -> str:
    """A pod that is not root, with a claim that it serves over HTTP, and its Service."""
    serve = "echo hello > /data/index.html; echo serving; exec /busybox httpd -f -p 8080 -h /data"
    apply(cluster, claim("web"), pod("web", image, serve, claimed="web"), service("web"))
    wait_for_pod(cluster, "web", "condition=Ready")
    return "web"


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pod(name: str, image: str, script: str, *, claimed: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image,
        "command": ["/busybox", "sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claimed}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def service(name: str) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def wait_for_pod(cluster: Cluster, name: str, condition: str) -> None:
    cluster.kubectl("wait", f"--for={condition}", f"pod/{name}", "--timeout=60s")


def in_pod(cluster: Cluster, name: str, script: str) -> str:
    return cluster.kubectl("exec", name, "--", "/busybox", "sh", "-c", script)


def get(address: str, port: int) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


def eventually(is_so: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.2)
    return is_so()


def test_a_pod_that_is_not_root_writes_to_its_claim_and_its_log_is_read(cluster: Cluster, web: str) -> None:
    assert cluster.kubectl("logs", web) == "serving\n"
    assert in_pod(cluster, web, "cat /data/index.html; id -u").split() == ["hello", str(USER)]


def test_names_of_services_resolve_in_pods(cluster: Cluster, web: str) -> None:
    address = cluster.kubectl("get", "service", web, "-o", "jsonpath={.spec.clusterIP}")
    assert address in in_pod(cluster, web, f"nslookup {web}.default.svc.cluster.local")


def test_a_pod_reaches_itself_and_others_by_a_service(cluster: Cluster, web: str) -> None:
    address = cluster.kubectl("get", "service", web, "-o", "jsonpath={.spec.clusterIP}")
    assert in_pod(cluster, web, f"wget -q -O - http://{address}/") == "hello\n"


def test_this_machine_reaches_services_and_pods_by_their_addresses(cluster: Cluster, web: str) -> None:
    assert get(cluster.kubectl("get", "service", web, "-o", "jsonpath={.spec.clusterIP}"), 80) == "hello\n"
    assert get(cluster.kubectl("get", "pod", web, "-o", "jsonpath={.status.podIP}"), 8080) == "hello\n"


def test_ports_are_forwarded(cluster: Cluster, web: str) -> None:
    command = [str(cluster.bin / "kubectl"), "port-forward", f"service/{web}", ":80"]
    with subprocess.Popen(command, env=cluster.env, stdout=subprocess.PIPE, text=True) as forward:
        try:
            line = cast(IO[str], forward.stdout).readline()
            assert get("127.0.0.1", int(line.split(" ->")[0].rpartition(":")[2])) == "hello\n"
        finally:
            forward.terminate()


def test_a_released_volume_is_emptied_and_available_again(cluster: Cluster, image: str) -> None:
    apply(cluster, claim("short"), pod("short", image, "echo secret > /data/file", claimed="short"))
    wait_for_pod(cluster, "short", "jsonpath={.status.phase}=Succeeded")
    volume = cluster.kubectl("get", "pvc", "short", "-o", "jsonpath={.spec.volumeName}")
    cluster.kubectl("delete", "pod/short", "pvc/short")

    def phase() -> str:
        return cluster.kubectl("get", "pv", volume, "-o", "jsonpath={.status.phase}")

    assert eventually(lambda: phase() == "Available")
    folder = cluster.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.local.path}")
    assert list(Path(folder).iterdir()) == []


def test_what_was_asked_of_the_api_server_is_on_record(cluster: Cluster) -> None:
    assert cluster.audit_log is not None
    assert '"requestURI":"/api/v1/nodes' in cluster.audit_log.read_text()


def test_two_clusters_run_side_by_side_and_one_that_is_kept_outlives_its_maker(cluster: Cluster) -> None:
    keep = [sys.executable, "-m", "tests.cluster", "up", SECOND]
    subprocess.run(keep, cwd=paths.REPOSITORY, check=True, capture_output=True)
    try:
        with open_cluster(SECOND) as second:
            assert f"ragops-{SECOND}" in second.kubectl("get", "nodes")
        assert keep_cluster(SECOND).kubectl("get", "--raw", "/readyz") == "ok"
        assert f"ragops-{NAME}" in cluster.kubectl("get", "nodes")
    finally:
        end_cluster(SECOND)
    assert eventually(lambda: left_of(SECOND) == []), left_of(SECOND)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_is_ended(number: signal.Signals) -> None:
    with owner(SECOND) as process:
        process.send_signal(number)
        assert process.wait(30) != 0
    assert eventually(lambda: left_of(SECOND) == []), left_of(SECOND)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_cluster_that_was_cut_off_before_it_was_ready_is_not_kept(number: signal.Signals) -> None:
    """Half a cluster, found by the next one who asks for it, would be taken for a whole one."""
    command = [*HEARS_CTRL_C, sys.executable, "-m", "tests.cluster", "up", SECOND]
    with subprocess.Popen(command, cwd=paths.REPOSITORY, stderr=subprocess.DEVNULL) as process:
        assert eventually((paths.clusters_folder() / SECOND / "keeper.pid").exists)
        process.send_signal(number)
        assert process.wait(30) != 0
    assert eventually(lambda: left_of(SECOND) == []), left_of(SECOND)


@contextmanager
def owner(name: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python that has opened a cluster, and does nothing else."""
    program = f"from tests.cluster import open_cluster as o\nwith o({name!r}) as c: print('up', flush=True); input()"
    with subprocess.Popen(
        [*HEARS_CTRL_C, sys.executable, "-c", program],
        cwd=paths.REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert cast(IO[str], process.stdout).readline() == "up\n"
            yield process
        finally:
            process.kill()


def left_of(name: str) -> list[str]:
    """Every trace of a cluster on this machine."""
    folder = str(paths.clusters_folder() / name)
    found = [str(path) for path in (Path(folder), Path("/sys/class/net", host_interface(name))) if path.exists()]
    found += [
        str(where / f"ragops-{name}") for where, _ in cgroups.hierarchies() if (where / f"ragops-{name}").exists()
    ]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if f"{folder}/" in line]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes()
        except OSError:
            continue
        if f"{folder}/".encode() in words:
            found.append(words.replace(b"\0", b" ").decode())
    return found
