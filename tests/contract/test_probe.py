"""What the operator's probe sends, the runtime takes; what the runtime answers, the probe understands."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from pathlib import Path

from rag_operator import probe
from rag_operator.desired import secrets
from rag_operator.names import Key
from rag_operator.probe import Prober, Target
from rag_operator.state import Probed, Reason
from rag_runtime.app import Ports
from rag_runtime.errors import StoreUnavailable
from rag_runtime.testing import MemoryStore
from tests import builders
from tests.contract.promises.services import certify
from tests.rag_runtime.commands.processes import serving
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


async def test_a_runtime_with_tls_is_asked_only_where_it_shows_the_secrets_certificate(tmp_path: Path) -> None:
    """Of a private issuer, and for another name than the Service's. The key goes to nobody else."""
    right, wrong = Key("team", "right"), Key("team", "wrong")
    for name in ("served", "other"):
        (tmp_path / name).mkdir()
        certify(tmp_path / name, "docs.example")
    own, other = ((tmp_path / name / "tls.crt").read_text() for name in ("served", "other"))
    files = {"SSL_CERT_PATH": str(tmp_path / "served/tls.crt"), "SSL_KEY_PATH": str(tmp_path / "served/tls.key")}
    with serving(tmp_path, **files) as process:
        assert await asyncio.to_thread(process.listening.wait, 60)
        url = f"https://127.0.0.1:{process.port}"
        told: asyncio.Queue[Key] = asyncio.Queue()
        async with probe.connect() as session:
            prober = Prober(session, told.put_nowait, period_seconds=0.2)
            working = asyncio.create_task(prober.run())
            prober.want(right, Target(url, "operator-key", own))
            prober.want(wrong, Target(url, "operator-key", other))
            while prober.found(right) != Probed(points=0):
                await told.get()
            found = prober.found(wrong)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    assert found
    assert found.failing is None
    assert "shows another certificate than the Secret of access.tls" in (found.unreached or "")
