"""What people ask for by an annotation or `suspend`, and what the runtime tells, on a real API server."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.rag_operator.served import Operator, Served, wait_until

pytestmark = pytest.mark.api
PAUSE, ROTATE = "ragops.dev/pause-reconciliation", "ragops.dev/rotate-key"
RESTART = "kubectl.kubernetes.io/restartedAt"


@dataclass
class Runtimes:
    """Stands where all Services are reached: an HTTP proxy that answers as a runtime would."""

    points: int = 3
    checks: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, host: str, path: str, key: str) -> tuple[int, Any]:
        self.asked.add(host)
        self.keys.add(key)
        if path == "/health":
            return 200, {"checks": self.checks}
        if path == "/v1/config":
            return 200, {"points": self.points}
        return self.status, {"hits": [], "detail": "it fails"}


@contextmanager
def standing_in() -> Iterator[Runtimes]:
    runtimes = Runtimes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            host, _, path = self.path.removeprefix("http://").partition("/")
            status, body = runtimes.answer(host, f"/{path}", self.headers.get("Authorization", ""))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    runtimes.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield runtimes
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def runtimes() -> Iterator[Runtimes]:
    with standing_in() as running:
        yield running


@pytest.fixture(scope="module")
def operator(served: Served, runtimes: Runtimes) -> Iterator[Operator]:
    environ = {"PROBE_SECONDS": "1", "PROBE_PROXY": runtimes.url, "KEY_OVERLAP_SECONDS": "16"}
    with served.operator(**environ) as running:
        yield running


@pytest.fixture(scope="module")
def wished(served: Served, operator: Operator) -> str:
    served.pipeline("wished")
    wait_until(lambda: served.pods("wished", "runtime") and served.pods("wished", "qdrant"), what="pods")
    served.make_ready("wished")
    return "wished"


def annotate(served: Served, name: str, annotation: str, value: str) -> None:
    served.kubectl("annotate", "rp", name, f"{annotation}={value}", "--overwrite")


def status(served: Served, name: str) -> dict[str, Any]:
    return dict((served.get("ragpipeline", name) or {}).get("status", {}))


def versions(served: Served, name: str) -> dict[str, str]:
    return {child: body["metadata"]["resourceVersion"] for child, body in served.children(name).items()}


def test_the_runtime_is_asked_through_its_service_with_a_key_of_the_operators_own(
    served: Served, wished: str, runtimes: Runtimes
) -> None:
    served.wait_for(wished, "Answering", "True", "Reconciled")
    assert runtimes.asked == {f"{wished}.{served.namespace}.svc"}
    assert f"Bearer {served.key(wished, 'operator')}" in runtimes.keys


def test_points_are_told(served: Served, wished: str, runtimes: Runtimes) -> None:
    runtimes.points = 4711
    wait_until(lambda: status(served, wished).get("points") == 4711)
    assert "4711" in served.kubectl("get", "rp", wished)


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ({"database": {"status": "failing", "error": "no route to the store"}}, "VectorStoreUnavailable"),
        ({"embeddings": {"status": "failing", "error": "no memory"}}, "ProbeFailing"),
    ],
)
def test_a_question_that_fails_names_its_stage_and_heals(
    served: Served, wished: str, runtimes: Runtimes, checks: dict[str, Any], reason: str
) -> None:
    runtimes.status, runtimes.checks = 503, checks
    served.wait_for(wished, "Answering", "False", reason)
    served.wait_for(wished, "Ready", "False", reason)
    assert next(iter(checks.values()))["error"] in served.message(wished)
    runtimes.status, runtimes.checks = 200, {}
    served.wait_for(wished, "Answering", "True", "Reconciled")
    served.wait_for(wished, "Ready", "True", "Reconciled")


def test_a_runtime_that_does_not_know_the_key_is_no_fault_of_its(
    served: Served, wished: str, runtimes: Runtimes
) -> None:
    runtimes.status = 401
    served.wait_for(wished, "Answering", "Unknown", "ProbeUnreachable")
    served.wait_for(wished, "Ready", "True", "Reconciled")
    runtimes.status = 200
    served.wait_for(wished, "Answering", "True", "Reconciled")


def test_a_disk_that_is_nearly_full_is_told_and_forgotten(served: Served, wished: str, runtimes: Runtimes) -> None:
    runtimes.checks = {"disk": {"status": "failing", "error": "less than 128 MB are free"}}
    served.wait_for(wished, "Ready", "True", "DiskNearlyFull")
    served.wait_for(wished, "VectorStoreReady", "True", "DiskNearlyFull")
    runtimes.checks = {}
    served.wait_for(wished, "Ready", "True", "Reconciled")


def test_a_runtime_that_refuses_its_index_is_named_by_its_own_words(served: Served, operator: Operator) -> None:
    served.pipeline("mismatched")
    for pod in wait_until(lambda: served.pods("mismatched", "qdrant")):
        served.play_kubelet(pod, ready=True, started=True)
    words = '{"event": "x"}\nrag-runtime: the index team__1 belongs to other/pipeline\n'
    ended = {"terminated": {"exitCode": 3, "reason": "Error", "message": words}}
    for pod in wait_until(lambda: served.pods("mismatched", "runtime")):
        served.play_kubelet(
            pod, ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended, restartCount=1
        )
    served.wait_for("mismatched", "Ready", "False", "IndexMismatch")
    assert "the index team__1 belongs to other/pipeline" in served.message("mismatched")
    assert "event" not in served.message("mismatched")
    served.make_ready("mismatched")


def test_paused_nothing_is_written_and_the_status_is_told(served: Served, wished: str) -> None:
    annotate(served, wished, PAUSE, "true")
    served.wait_for(wished, "ReconciliationPaused", "True", "Paused")
    before = versions(served, wished)
    served.patch("configmap", wished, {"data": {"LOG_LEVEL": "DEBUG"}})
    served.pipeline(wished, logging={"level": "WARNING"})
    served.wait_for(wished, "Updated", "False", "Paused")
    time.sleep(5)
    after = versions(served, wished)
    assert {child for child in before if after[child] != before[child]} == {f"ConfigMap {wished}"}
    served.kubectl("annotate", "rp", wished, f"{PAUSE}-")
    served.wait_for(wished, "ReconciliationPaused", "", "")
    config = wait_until(lambda: served.get("configmap", wished))
    wait_until(lambda: (served.get("configmap", wished) or config)["data"]["LOG_LEVEL"] == "WARNING")
    served.pipeline(wished)


def test_a_wish_to_restart_reaches_the_pods(served: Served, wished: str) -> None:
    annotate(served, wished, RESTART, "2026-01-02T03:04:05Z")

    def is_there() -> bool:
        template = (served.get("deployment", wished) or {})["spec"]["template"]["metadata"]
        return bool(template["annotations"].get(RESTART) == "2026-01-02T03:04:05Z")

    wait_until(is_there)
    served.kubectl("annotate", "rp", wished, f"{RESTART}-")


def test_keys_are_replaced_with_an_overlap_and_no_pod_is(served: Served, wished: str) -> None:
    def template() -> Any:
        return (served.get("deployment", wished) or {})["spec"]["template"]

    def admitted() -> set[str]:
        return {line.split()[2] for line in served.key(wished, "api-keys").splitlines()}

    def bound() -> str:
        secret = served.get("secret", f"{wished}-client")
        assert secret
        return base64.b64decode(secret["data"]["api-key"]).decode()

    wait_until(lambda: RESTART not in template()["metadata"]["annotations"])
    before, old = template(), {name: served.key(wished, name) for name in ("admin", "client", "operator")}
    annotate(served, wished, ROTATE, "1")
    wait_until(lambda: served.key(wished, "client") != old["client"], what="a new key")
    new = {name: served.key(wished, name) for name in old}
    assert admitted() == {*old.values(), *new.values()}
    wait_until(lambda: bound() == new["client"], what="the new binding")
    wait_until(lambda: admitted() == set(new.values()), what="the end of the old keys")
    secret = served.get("secret", f"{wished}-keys")
    assert secret
    assert not [name for name in secret["data"] if name.endswith("-previous")]
    assert template() == before


def test_suspended_the_pods_go_and_the_data_stays(served: Served, wished: str) -> None:
    claims = [claim["metadata"]["uid"] for claim in served.owned("persistentvolumeclaims", wished)]
    served.patch("ragpipeline", wished, {"spec": {"suspend": True}})
    served.wait_for(wished, "Ready", "False", "Suspended")
    wait_until(lambda: not served.pods(wished, "runtime") and not served.pods(wished, "qdrant"), what="no pods")
    served.wait_for(wished, "Updated", "True", "Reconciled")
    assert [claim["metadata"]["uid"] for claim in served.owned("persistentvolumeclaims", wished)] == claims
    key = served.key(wished)
    served.patch("ragpipeline", wished, {"spec": {"suspend": False}})
    wait_until(lambda: served.pods(wished, "runtime") and served.pods(wished, "qdrant"), what="pods again")
    served.make_ready(wished)
    assert served.key(wished) == key


def test_what_somebody_asked_for_is_no_warning(served: Served, wished: str) -> None:
    text = served.kubectl("get", "events.events.k8s.io", f"--field-selector=regarding.name={wished}", "-o", "json")
    told = {(event["reason"], event["type"]) for event in json.loads(text)["items"]}
    assert {("DiskNearlyFull", "Warning"), ("VectorStoreUnavailable", "Warning")} <= told
    assert not {"Suspended", "Paused", "ProbeUnreachable"} & {reason for reason, _ in told}


def test_the_operator_never_had_a_defect(operator: Operator) -> None:
    assert [line for line in operator.said() if line["level"] == "error"] == []
