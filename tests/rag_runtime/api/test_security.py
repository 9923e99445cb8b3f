"""Keys: what they are, what they may, how they are renewed, and that nothing tells of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag_runtime.api.security import KeyRing, Permission, parse_file, parse_inline, wanted_permissions
from rag_runtime.app import create_app
from rag_runtime.errors import SettingInvalid
from rag_runtime.settings import Settings
from tests.rag_runtime.running import FLEET, Running, running

FILE = """\
# name   scopes         key
admin    admin          root-key
reader   query          read-key
writer   query,ingest   sha256:{}
""".format(hashlib.sha256(b"write-key").hexdigest())


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(FILE)
    return path


@pytest.fixture
async def service(keys: Path) -> AsyncIterator[Running]:
    async with running({"api_key_required": True, "api_keys_file": keys}) as started:
        yield started


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer("read-key "[:-2]),
        {"Authorization": "Basic cmVhZC1rZXk="},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
async def test_without_a_valid_key_there_is_one_answer(service: Running, headers: dict[str, str]) -> None:
    response = await service.client.post("/v1/query", json={"question": "x"}, headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["detail"] == "a valid key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"


async def test_a_key_in_the_query_string_is_none(service: Running) -> None:
    assert (await service.client.get("/v1/documents?api_key=root-key&key=root-key")).status_code == 401


@pytest.mark.parametrize(
    "headers", [bearer("read-key"), {"X-API-Key": "read-key"}, {"Authorization": "bearer read-key"}]
)
async def test_a_key_may_come_in_either_header(service: Running, headers: dict[str, str]) -> None:
    assert (await service.client.post("/v1/query", json={"question": "x"}, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("read-key", [200, 403, 403, 403]),
        ("write-key", [200, 202, 404, 403]),
        ("root-key", [200, 202, 404, 200]),
    ],
)
async def test_a_scope_allows_what_it_says(service: Running, key: str, allowed: list[int]) -> None:
    client, headers = service.client, bearer(key)
    responses = [
        await client.get("/v1/documents", headers=headers),
        await client.post("/v1/documents", files=[("files", ("fleet.csv", FLEET.encode()))], headers=headers),
        await client.delete("/v1/documents/none", headers=headers),
        await client.delete("/v1/documents?confirm=all", headers=headers),
    ]
    assert [response.status_code for response in responses] == allowed


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/livez", "/ready", "/health", "/metrics"])
async def test_probes_metrics_and_pages_need_no_key(service: Running, path: str) -> None:
    assert (await service.client.get(path)).status_code == 200


async def test_a_body_is_not_read_before_the_key_is_known(service: Running) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    assert (await service.client.post("/v1/query", content=body())).status_code == 401


async def test_wrong_keys_use_up_their_own_rate_and_not_that_of_a_good_one(keys: Path) -> None:
    settings = {"api_key_required": True, "api_keys_file": keys, "rate_limit_requests": 5, "rate_limit_window": 3600}
    async with running(settings) as service:
        wrong = [
            (await service.client.get("/v1/documents", headers=bearer(f"guess-{n}"))).status_code for n in range(8)
        ]
        good = await service.client.get("/v1/documents", headers=bearer("read-key"))
    assert wrong == [401] * 5 + [429] * 3
    assert good.status_code == 200


async def test_config_shows_no_secret(keys: Path) -> None:
    settings = {"api_key_required": True, "api_keys_file": keys, "api_keys": "inline-key", "gemini_api_key": "llm-key"}
    async with running({**settings, "generation_provider": "extractive"}) as service:
        shown = (await service.client.get("/v1/config", headers=bearer("inline-key"))).text
    assert not any(key in shown for key in ("inline-key", "llm-key", "root-key"))
    assert '"documents_per_request":1000' in shown


def test_a_renewed_file_is_read_within_a_second_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    """Kubernetes swaps a link to a folder, so the file's own name never changes."""
    now = 0.0
    for name, content in (("first", "a admin old"), ("second", "a admin old\nb admin new"), ("third", "broken")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(content)
    link = tmp_path / "current"
    link.symlink_to("first")
    ring = KeyRing(None, link / "keys", clock=lambda: now)

    def swap(target: str) -> None:
        (tmp_path / "next").symlink_to(target)
        (tmp_path / "next").replace(link)

    swap("second")
    assert ring.find(b"new") is None
    now = 1.1
    assert ring.find(b"new") is not None
    swap("third")
    now = 2.2
    assert ring.find(b"new") is not None


def test_an_inline_key_is_an_admin_or_says_what_it_may() -> None:
    bare, named, hashed = parse_inline(f"secret, app:query+ingest:other,sha256:{'0' * 64}")
    assert (bare.name, bare.permissions) == ("key1", frozenset({Permission.ADMIN}))
    assert (named.name, named.permissions) == ("app", frozenset({Permission.QUERY, Permission.INGEST}))
    assert hashed.digest == bytes(32)


@pytest.mark.parametrize("line", ["a admin", "a admin k more", "a root k", "a query, k", "ä admin k", "a admin,query"])
def test_a_malformed_line_is_named_and_not_shown(line: str) -> None:
    with pytest.raises(SettingInvalid, match="line 2 of API_KEYS_FILE") as refused:
        parse_file(f"# comment\n{line}\n")
    assert line not in str(refused.value)


@pytest.mark.parametrize("entry", ["a:b", "a:root:key", ":admin:key", "a:admin:"])
def test_a_malformed_entry_is_named_and_not_shown(entry: str) -> None:
    with pytest.raises(SettingInvalid, match="entry 1 of API_KEYS"):
        parse_inline(entry)


def test_keys_that_are_required_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n")
    for path in (tmp_path / "keys", tmp_path / "missing"):
        with pytest.raises(SettingInvalid, match="API_KEYS_FILE"):
            create_app(Settings(api_key_required=True, api_keys_file=path))


def test_what_is_not_listed_is_for_admins() -> None:
    assert wanted_permissions("POST", "/v1/admin/snapshots") == frozenset({Permission.ADMIN})


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://runtime", 200),
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("http://runtime.evil.example", 403),
        ("null", 403),
    ],
)
async def test_without_keys_no_other_site_can_have_a_browser_send_a_form(origin: str | None, status: int) -> None:
    """Which needs no leave of the service, loopback or not, and would put that site's text among the documents."""
    headers = {"Origin": origin} if origin else {}
    async with running({"cors_origins": ("https://app.example",)}) as service:
        files = [("files", ("a.txt", b"Dogs stay below deck."))]
        response = await service.client.post("/v1/documents?wait=true", files=files, headers=headers)
    assert response.status_code == status
