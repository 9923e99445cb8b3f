"""`make demo`: a cluster, the operator, a RagPipeline, documents in, cited answers out. It shows what it runs."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import httpx

from tests.cluster import Cluster, ClusterError, images, keep_cluster

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "rag"
PIPELINE = "handbook"
DOCUMENTS = "examples/documents"
QUESTIONS = (
    "How many minutes before departure does boarding close for vehicles?",
    "How many cars does the Northern Light carry?",
)
READY_TIMEOUT_SECONDS = 300


def main(name: str = "demo") -> int:
    started = time.monotonic()
    step("A Kubernetes cluster")
    cluster = keep_cluster(name)
    step("The images, from the project's Dockerfiles")
    built = images.build()
    cluster.load(built.values())
    step("The operator, from the project's chart")
    install(cluster, {name: image.reference for name, image in built.items()})
    step("A RagPipeline")
    run(cluster, "kubectl", "apply", "-n", NAMESPACE, "-f", "examples/quickstart.yaml")
    watch_until_ready(cluster)
    key = client_key(cluster)
    with port_forward(cluster) as url:
        step("Documents in")
        run(cluster, "rag-runtime", "ingest", DOCUMENTS, "--url", url, secret=("--api-key", key))
        step("Cited answers out")
        for question in QUESTIONS:
            show_answer(question, ask(url, key, question))
    step("What the platform engineer sees")
    run(cluster, "kubectl", "get", "ragpipelines", "-n", NAMESPACE)
    show_next_steps(name, time.monotonic() - started)
    return 0


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def run(cluster: Cluster, *command: str, secret: tuple[str, ...] = ()) -> None:
    """Show a command and run it in the project's folder; `secret` arguments are passed but not shown."""
    print("$ " + shlex.join(command) + (f" {secret[0]} ..." if secret else ""), flush=True)
    subprocess.run([*command, *secret], cwd=ROOT, env=cluster.env, check=True)


def install(cluster: Cluster, references: dict[str, str]) -> None:
    operator, runtime = (references[name].rsplit(":", 1) for name in ("rag-operator", "rag-runtime"))
    values = {
        "image.repository": operator[0],
        "image.tag": operator[1],
        "runtime.image.repository": runtime[0],
        "runtime.image.tag": runtime[1],
        "qdrant.image": references["qdrant-test"],
    }
    settings = [part for name, value in values.items() for part in ("--set-string", f"{name}={value}")]
    run(
        cluster,
        *("helm", "upgrade", "--install", "ragops", "charts/ragops"),
        *("--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m"),
        *settings,
    )


def watch_until_ready(cluster: Cluster) -> None:
    """Print the pipeline's own STATUS whenever it changes, until it is ready."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    shown = ""
    while time.monotonic() < deadline:
        pipeline = json.loads(cluster.kubectl("get", "ragpipeline", PIPELINE, "-n", NAMESPACE, "-o", "json"))
        ready = next((c for c in pipeline.get("status", {}).get("conditions", []) if c["type"] == "Ready"), None)
        line = f"Ready={ready['status']}: {ready['message']}" if ready else "not seen by the operator yet"
        if line != shown:
            print(f"  {line}", flush=True)
            shown = line
        if ready and ready["status"] == "True":
            return
        time.sleep(0.5)
    raise SystemExit(f"the pipeline is not ready after {READY_TIMEOUT_SECONDS} s: {shown}")


def client_key(cluster: Cluster) -> str:
    secret = json.loads(cluster.kubectl("get", "secret", f"{PIPELINE}-client", "-n", NAMESPACE, "-o", "json"))
    return base64.b64decode(secret["data"]["api-key"]).decode()


@contextmanager
def port_forward(cluster: Cluster) -> Iterator[str]:
    """The pipeline's Service on a free local port; ends with the block."""
    command = ["kubectl", "port-forward", "-n", NAMESPACE, f"service/{PIPELINE}", ":80"]
    with subprocess.Popen(command, env=cluster.env, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = cast(IO[str], process.stdout).readline()  # Forwarding from 127.0.0.1:41234 -> 8000
            if not line:
                raise SystemExit("kubectl port-forward ended before it forwarded anything")
            yield "http://" + line.split("from ", 1)[1].split(" ", 1)[0]
        finally:
            process.terminate()


def ask(url: str, key: str, question: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    response = httpx.post(f"{url}/v1/query", json={"question": question}, headers=headers, timeout=60)
    response.raise_for_status()
    return cast(dict[str, Any], response.json())


def show_answer(question: str, answer: dict[str, Any]) -> None:
    print(f"\n  Q: {question}\n  A: {answer['answer']}")
    for number, citation in enumerate(answer["citations"], start=1):
        place = next((f"{kind} {citation[kind]}" for kind in ("page", "row") if citation.get(kind)), "")
        print(f"     [{number}] {citation['source']} {place}")


def show_next_steps(name: str, seconds: float) -> None:
    step(f"Done in {seconds:.0f} s. How to go on")
    print(
        f"""\
  eval "$(.venv/bin/python -m tests.cluster env {name})"     kubectl and helm for this cluster
  kubectl get ragpipelines -n {NAMESPACE} --watch
  kubectl port-forward -n {NAMESPACE} service/{PIPELINE} 8000:80
  export RAG_API_KEY=$(kubectl get secret {PIPELINE}-client -n {NAMESPACE} -o jsonpath='{{.data.api-key}}' | base64 -d)
  .venv/bin/rag-runtime ingest YOUR.pdf --url http://127.0.0.1:8000
  curl -H "Authorization: Bearer $RAG_API_KEY" -H 'Content-Type: application/json' \\
       -d '{{"question": "..."}}' http://127.0.0.1:8000/v1/query

  make down{"" if name == "demo" else f" DEMO={name}"}     takes the cluster down"""
    )


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except ClusterError as problem:
        sys.exit(f"error: {problem}")
    except subprocess.CalledProcessError as failed:
        sys.exit(f"error: that command ended with {failed.returncode}")
    except KeyboardInterrupt:
        print(
            "\nInterrupted. `make demo` goes on where it was; `make down` takes away what is running.", file=sys.stderr
        )
        sys.exit(130)
