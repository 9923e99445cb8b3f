"""What the operator's probe sends, the runtime takes; what the runtime answers, the probe understands."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from rag_operator import probe
from rag_operator.desired import secrets
from rag_operator.state import Probed, Reason
from rag_runtime.app import Ports
from rag_runtime.errors import StoreUnavailable
from rag_runtime.testing import MemoryStore
from tests import builders
from tests.rag_runtime.running import Running, running

BEARER = {"Authorization": f"Bearer {builders.KEYS.probe}"}


def keys_file(folder: Path) -> dict[str, object]:
    """As the operator makes it."""
    path = folder / "api-keys"
    path.write_bytes(base64.b64decode(secrets.build_keys(builders.app(), builders.KEYS)["data"]["api-keys"]))
    return {"api_key_required": True, "api_keys_file": path}


async def asked(runtime: Running) -> Probed:
    answer = await runtime.client.post("/v1/retrieve", json={"query": "ragops", "top_k": 1}, headers=BEARER)
    checks = (await runtime.client.get("/health")).json()["checks"]
    return probe.judge(answer.status_code, answer.json(), checks)


async def test_a_runtime_with_the_generated_keys_answers_and_counts(tmp_path: Path) -> None:
    async with running(keys_file(tmp_path)) as runtime:
        assert await asked(runtime) == Probed()
        files = [("files", ("fleet.csv", b"name,cars\nNorthern Light,120\n"))]
        admin = {"Authorization": "Bearer admin-key"}
        await runtime.client.post("/v1/documents?wait=true", files=files, headers=admin)
        points = (await runtime.client.get("/v1/config", headers=BEARER)).json()["points"]
        assert points == await runtime.store.count() > 0


async def test_the_operators_key_may_query_and_no_more(tmp_path: Path) -> None:
    async with running(keys_file(tmp_path)) as runtime:
        refused = await runtime.client.delete("/v1/documents?confirm=all", headers=BEARER)
        assert refused.status_code == 403


@dataclass
class Lost(MemoryStore):
    """A store that was there at the start."""

    lost: bool = False

    async def search(self, *arguments: object, **more: object) -> list:  # type: ignore[type-arg,override]
        if self.lost:
            raise StoreUnavailable("the store does not answer")
        return await super().search(*arguments, **more)  # type: ignore[arg-type]


async def test_a_store_that_is_lost_is_told(tmp_path: Path) -> None:
    store = Lost()
    async with running(keys_file(tmp_path), Ports(store=store)) as runtime:
        store.lost = True
        found = (await asked(runtime)).failing
        assert found
        assert found.reason in (Reason.PROBE_FAILING, Reason.VECTOR_STORE_UNAVAILABLE)
