"""The server adapter when the server misbehaves, and where several replicas share it. The rest is the contract's."""

import asyncio
import json
import os
import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, models

from rag_runtime.adapters.qdrant_server import QdrantServer
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import DocumentId, EmbeddedChunk
from rag_runtime.errors import IndexMismatch, StoreRejected, StoreUnavailable
from rag_runtime.ports import IndexSpec
from tests.qdrant_server.running import Running, started
from tests.stores import document, embedded, job, query, spec, store_document

KEY = "a key nobody may see"


class Scripted(ThreadingHTTPServer):
    """Answers what it was told to, in turn, and after that that all is well."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: deque[tuple[int, dict[str, str], object]] = deque()
        self.seen: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def will(self, *statuses: int, body: object = None, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.extend((status, named, body) for status in statuses)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.seen.append((self.command, self.path.split("?")[0]))
        well = {"result": {"operation_id": 1, "status": "completed"}, "status": "ok", "time": 0}
        status, headers, body = self.server.answers.popleft() if self.server.answers else (200, {}, well)
        if status == 0:
            time.sleep(float(str(body)))
            self.close_connection = True
            return
        content = json.dumps(body if body is not None else {"status": {"error": f"told to say {status}"}}).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT  # noqa: N815, the names are the base class's
    do_GET = do_PUT  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the name is the base class's
        """Silent."""


@pytest.fixture
def script() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def store(script: Scripted) -> AsyncIterator[QdrantServer]:
    made = QdrantServer(spec(), script.url, api_key=KEY, timeout=1, retries=3, backoff_base=0.01)
    yield made
    await made.close()


def plain(count: int = 1) -> list[EmbeddedChunk]:
    """Chunks without a number or a date, whose index would be a write of its own."""
    return [replace(each, chunk=replace(each.chunk, metadata={})) for each in embedded(count=count)]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_write_is_tried_again_when_the_fault_may_pass(
    store: QdrantServer, script: Scripted, status: int
) -> None:
    script.will(status, status)
    await store.stage(plain())
    assert len(script.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_refused_write_is_not_tried_again(store: QdrantServer, script: Scripted, status: int) -> None:
    script.will(status, status)
    with pytest.raises(StoreRejected):
        await store.stage(plain())
    assert len(script.seen) == 1


async def test_a_write_is_given_up_after_the_retries(store: QdrantServer, script: Scripted) -> None:
    script.will(*[503] * 10)
    with pytest.raises(StoreUnavailable, match="503"):
        await store.stage(plain())
    assert len(script.seen) == 4


async def test_the_index_of_a_new_number_is_tried_again_as_often_as_a_write(
    store: QdrantServer, script: Scripted
) -> None:
    script.will(503, 503, 503)
    await store.stage(embedded())
    assert [path.rpartition("/")[2] for _, path in script.seen] == ["index"] * 4 + ["points"]


async def test_each_retry_of_a_write_is_counted(script: Scripted) -> None:
    retried: list[None] = []
    store = QdrantServer(
        spec(), script.url, timeout=1, retries=3, backoff_base=0.01, on_retry=lambda: retried.append(None)
    )
    script.will(503, 429)
    await store.stage(plain())
    await store.close()
    assert len(retried) == 2


async def test_retry_after_is_waited_for(store: QdrantServer, script: Scripted) -> None:
    script.will(429, retry_after="1")
    began = time.monotonic()
    await store.stage(plain())
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("status", ["acknowledged", "wait_timeout"])
async def test_a_write_that_is_not_completed_does_not_count(store: QdrantServer, script: Scripted, status: str) -> None:
    script.will(*[200] * 4, body={"result": {"operation_id": 1, "status": status}, "status": "ok", "time": 0})
    with pytest.raises(StoreUnavailable, match=status):
        await store.stage(plain())


async def test_a_server_that_hangs_is_given_up_at_the_timeout(script: Scripted) -> None:
    script.will(0, body=3)
    store = QdrantServer(spec(), script.url, timeout=1, retries=0)
    with pytest.raises(StoreUnavailable, match="in time"):
        await store.stage(plain())
    await store.close()


async def test_a_cut_connection_is_tried_again(store: QdrantServer, script: Scripted) -> None:
    script.will(0, body=0)
    await store.stage(plain())
    assert len(script.seen) == 2


async def test_a_search_is_not_held_up_by_the_retries_of_writes(script: Scripted) -> None:
    store = QdrantServer(spec(), script.url, retries=5, backoff_base=10.0)
    script.will(*[503] * 10)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.search(query())
    assert time.monotonic() - began < 2
    await store.close()


async def test_something_that_is_no_qdrant_is_refused(store: QdrantServer, script: Scripted) -> None:
    script.will(200, body={"result": "hello"})
    with pytest.raises(StoreRejected, match="unlike a Qdrant"):
        await store.stage(plain())


async def test_a_server_that_is_too_old_is_refused_with_both_versions(store: QdrantServer, script: Scripted) -> None:
    script.will(200, body={"title": "qdrant", "version": "1.15.4"})
    with pytest.raises(StoreRejected, match=r"1\.15\.4.*1\.16"):
        await store.open()


async def test_one_failed_batch_fails_the_stage_after_all_have_ended(store: QdrantServer, script: Scripted) -> None:
    script.will(400)
    with pytest.raises(StoreRejected):
        await store.stage(plain(count=40))
    assert len(script.seen) == 5


async def test_no_upsert_has_more_points_than_allowed(qdrant: Running, named: IndexSpec) -> None:
    store = QdrantServer(named, qdrant.url, api_key=qdrant.api_key, max_points_per_upsert=3)
    sizes: list[int] = []
    await store.open()
    upsert = store._client.upsert

    async def counted(collection: str, points: list[models.PointStruct], **rest: object) -> models.UpdateResult:
        sizes.append(len(points))
        return await upsert(collection, points, **rest)  # type: ignore[arg-type]

    store._client.upsert = counted  # type: ignore[method-assign, assignment]
    await store.stage(embedded(count=8))
    assert sorted(sizes) == [2, 3, 3]
    await store.close()


@pytest.mark.parametrize("status", [401, 403, 400, 404, 500])
async def test_no_message_repeats_the_key(store: QdrantServer, script: Scripted, status: int) -> None:
    script.will(*[status] * 4)
    with pytest.raises((StoreRejected, StoreUnavailable)) as refusal:
        await store.stage(plain())
    assert KEY not in str(refusal.value)


async def test_nobody_listening_is_unavailable() -> None:
    store = QdrantServer(spec(), "http://127.0.0.1:1", retries=0)
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        await store.open()
    await store.close()


@pytest.fixture
def named(qdrant: Running) -> Iterator[IndexSpec]:
    prefix = f"t{uuid.uuid4().hex[:10]}"
    yield spec(f"{prefix}-handbook")
    qdrant.remove(prefix)


def on(qdrant: Running, of: IndexSpec, **settings: object) -> QdrantServer:
    return QdrantServer(of, qdrant.url, api_key=qdrant.api_key, backoff_base=0.05, **settings)  # type: ignore[arg-type]


async def test_a_wrong_key_is_refused_by_the_variables_name(qdrant: Running, named: IndexSpec) -> None:
    if qdrant.api_key is None:
        pytest.skip("the server asks for no key")
    store = QdrantServer(named, qdrant.url, api_key="wrong")
    with pytest.raises(StoreRejected, match="QDRANT_API"):
        await store.open()
    await store.close()


async def test_two_replicas_may_open_at_the_same_moment(qdrant: Running, named: IndexSpec) -> None:
    replicas = [on(qdrant, named) for _ in range(4)]
    await asyncio.gather(*(replica.open() for replica in replicas))
    await store_document(replicas[0], count=2)
    assert [await replica.count() for replica in replicas] == [2, 2, 2, 2]
    for replica in replicas:
        await replica.close()


async def test_each_replica_sees_the_version_that_another_raised(qdrant: Running, named: IndexSpec) -> None:
    one, other = on(qdrant, named), on(qdrant, named)
    await one.open()
    await other.open()
    seen = [await other.version()]
    for n in range(6):
        await asyncio.gather(store_document(one, f"a{n}", count=1), store_document(other, f"b{n}", count=1))
        seen.append(await other.version())
        assert await one.version() == seen[-1]
    assert seen == sorted(set(seen))
    await one.close()
    await other.close()


async def tuned(qdrant: Running, named: IndexSpec, tuning: Tuning) -> models.CollectionConfig:
    """Open an index with this tuning; what the server says of it then."""
    store = on(qdrant, named, tuning=tuning)
    await store.open()
    await store.close()
    client = AsyncQdrantClient(qdrant.url, headers={"api-key": qdrant.api_key or ""}, check_compatibility=False)
    try:
        return (await client.get_collection(named.name)).config
    finally:
        await client.close()


async def test_an_index_is_made_as_it_is_tuned_and_follows_the_tuning(qdrant: Running, named: IndexSpec) -> None:
    made = await tuned(qdrant, named, Tuning(hnsw_m=8, max_segment_size=50_000))
    assert (made.hnsw_config.m, made.optimizer_config.max_segment_size) == (8, 50_000)
    changed = Tuning(hnsw_m=24, quantization=False, flush_interval_sec=5, replication_factor=2)
    found = await tuned(qdrant, named, changed)
    assert (found.hnsw_config.m, found.hnsw_config.ef_construct) == (24, 200)
    assert found.optimizer_config.flush_interval_sec == 5
    assert found.params.replication_factor == 2
    assert isinstance(found.params.vectors, dict)
    assert found.params.vectors["dense"].quantization_config is None
    again = await tuned(qdrant, named, Tuning())
    assert isinstance(again.params.vectors, dict)
    assert again.params.vectors["dense"].quantization_config is not None


async def test_one_job_goes_to_one_of_two_replicas(qdrant: Running, named: IndexSpec) -> None:
    one, other = on(qdrant, named), on(qdrant, named)
    await one.open()
    await other.open()
    for n in range(10):
        await one.put_job(job(f"j{n}", created_at=float(n)))
    taken: list[str] = []

    async def work(replica: QdrantServer, owner: str) -> None:
        while claimed := await replica.claim_job(owner=owner, now=1000.0, lease_seconds=60):
            taken.append(claimed.id)

    await asyncio.gather(work(one, "one"), work(other, "other"))
    assert sorted(taken) == sorted(f"j{n}" for n in range(10))
    await one.close()
    await other.close()


async def test_a_plain_collection_of_the_name_is_adopted_only_when_told_and_if_it_fits(
    qdrant: Running, named: IndexSpec
) -> None:
    make_collection(qdrant, named.name, size=named.dense_size)
    shy, bold = on(qdrant, named), on(qdrant, named, adopt=True, owner="team/handbook")
    with pytest.raises(IndexMismatch, match="no stamp"):
        await shy.open()
    await bold.open()
    assert await store_document(bold, count=2) == 2
    await shy.close()
    await bold.close()


async def test_a_collection_without_our_vectors_is_never_adopted(qdrant: Running, named: IndexSpec) -> None:
    make_collection(qdrant, named.name, size=named.dense_size + 1)
    store = on(qdrant, named, adopt=True)
    with pytest.raises(IndexMismatch, match="cannot be adopted"):
        await store.open()
    await store.close()


def make_collection(qdrant: Running, name: str, *, size: int) -> None:
    body = {
        "vectors": {"dense": {"size": size, "distance": "Cosine"}},
        "sparse_vectors": {"sparse": {"modifier": "idf"}},
    }
    headers = {"api-key": qdrant.api_key} if qdrant.api_key else {}
    httpx.put(f"{qdrant.url}/collections/{name}", json=body, headers=headers).raise_for_status()


async def test_a_collection_that_is_gone_is_told_by_ping(qdrant: Running, named: IndexSpec) -> None:
    store = on(qdrant, named)
    await store.open()
    qdrant.remove(named.name)
    with pytest.raises(StoreUnavailable, match="gone"):
        await store.ping()
    with pytest.raises(StoreUnavailable):
        await store.search(query())
    await store.close()


async def test_superseded_parts_of_a_long_document_are_removed(qdrant: Running, named: IndexSpec) -> None:
    store = on(qdrant, named)
    await store.open()
    for version in ("v1", "v2"):
        await store.put_documents([document(version=version, text="x" * 1_200_000)])
    counted = await store._client.count(f"{named.name}_documents", exact=True)
    assert counted.count == 1 + 3 + 1  # head, parts, version
    await store.delete_document(DocumentId("d1"))
    assert (await store._client.count(f"{named.name}_documents", exact=True)).count == 1
    await store.close()


async def test_what_was_acknowledged_survives_kills_of_the_test_server(tmp_path: Path) -> None:
    """Also shows that an ingest under way rides out a restart of the server."""
    acknowledged: list[str] = []
    some_stored = asyncio.Event()
    with started(tmp_path) as first:
        url, port = first.url, int(first.url.rpartition(":")[2])
        store = QdrantServer(spec(), url, retries=8, backoff_base=0.2)
        await store.open()

        async def ingest() -> None:
            for n in range(12):
                await store_document(store, f"d{n}", count=6)
                acknowledged.append(f"d{n}")
                if n == 2:
                    some_stored.set()

        under_way = asyncio.create_task(ingest())
        await some_stored.wait()
        assert first.process is not None
        os.kill(first.process.pid, signal.SIGKILL)
        await asyncio.to_thread(first.process.wait)
    with started(tmp_path, port=port):
        await asyncio.wait_for(under_way, timeout=60)
        for name in acknowledged:
            assert await store.published_version(DocumentId(name)) == ("v1", 6)
        assert await store.count() == 12 * 6
        await store.close()
