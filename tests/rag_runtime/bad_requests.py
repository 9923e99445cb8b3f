"""Requests as nobody should send them: the status that each gets, the path, the body and the headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Case = tuple[int, str, bytes | str, dict[str, str]]

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=xx"}


def part(name: str, filename: str | None, content: str) -> str:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{content}\r\n'


def query(**fields: Any) -> bytes:
    return json.dumps({"question": "What?", **fields}).encode()


def documents(*items: Any) -> bytes:
    return json.dumps({"documents": list(items)}).encode()


BODIES: Mapping[str, Case] = {
    "no JSON": (400, "/v1/query", "{question", JSON),
    "cut off": (400, "/v1/query", '{"question": "What', JSON),
    "nothing": (422, "/v1/query", "", JSON),
    "NaN": (400, "/v1/query", '{"question": "What?", "top_k": NaN}', JSON),
    "Infinity": (400, "/v1/query", '{"question": "What?", "top_k": -Infinity}', JSON),
    "a key twice": (400, "/v1/query", '{"question": "a", "question": "b"}', JSON),
    "100,000 brackets": (400, "/v1/query", "[" * 100_000, JSON),
    "100,000 objects": (400, "/v1/query", '{"a":' * 100_000, JSON),
    "an integer of 5,000 digits": (400, "/v1/query", '{"question": "a", "top_k": ' + "9" * 5000 + "}", JSON),
    "not UTF-8": (400, "/v1/query", b'{"question": "\xff\xfe"}', JSON),
    "a list": (422, "/v1/query", "[]", JSON),
    "null": (422, "/v1/query", "null", JSON),
    "2 MB of question": (413, "/v1/query", query(question="a" * 2_000_000), JSON),
    "10 MB of empty arrays": (413, "/v1/query", "[" + "[]," * 3_300_000 + "[]]", JSON),
    "a question of 65,537 bytes": (422, "/v1/query", query(question="ä" * 32_769), JSON),
    "an empty question": (422, "/v1/query", query(question=""), JSON),
    "spaces": (422, "/v1/query", query(question=" \n\t"), JSON),
    "a lone surrogate": (422, "/v1/query", '{"question": "\\ud800"}', JSON),
    "a number for a question": (422, "/v1/query", query(question=5), JSON),
    "top_k 0": (422, "/v1/query", query(top_k=0), JSON),
    "top_k -1": (422, "/v1/query", query(top_k=-1), JSON),
    "top_k 101": (422, "/v1/query", query(top_k=101), JSON),
    "top_k 1e9": (422, "/v1/query", query(top_k=10**9), JSON),
    "top_k as text": (422, "/v1/query", query(top_k="5"), JSON),
    "top_k 2.5": (422, "/v1/query", query(top_k=2.5), JSON),
    "top_k null": (422, "/v1/query", query(top_k=None), JSON),
    "top_k true": (422, "/v1/query", query(top_k=True), JSON),
    "an unknown style": (422, "/v1/query", query(style="rhyming"), JSON),
    "an unknown field": (422, "/v1/query", query(is_admin=True), JSON),
    "another collection": (422, "/v1/query", query(collection="other"), JSON),
    "streaming that is no truth value": (422, "/v1/query", query(stream=1), JSON),
    "a filter, which is not there": (422, "/v1/query", query(filter={"team": "ops"}), JSON),
    "plain text": (415, "/v1/query", query(), {"content-type": "text/plain"}),
    "no content type": (415, "/v1/query", query(), {"content-type": ""}),
    "a wrong charset": (415, "/v1/query", query(), {"content-type": "application/json; charset=utf-16"}),
    "no query": (422, "/v1/retrieve", b"{}", JSON),
    "a form without boundary": (400, "/v1/documents", "x", {"content-type": "multipart/form-data"}),
    "a form cut off": (422, "/v1/documents", '--xx\r\nContent-Disposition: form-data; name="fi', FORM),
    "garbage for a form": (400, "/v1/documents", "garbage", FORM),
    "a form without files": (422, "/v1/documents", "--xx--\r\n", FORM),
    "files without names": (422, "/v1/documents", part("files", None, "text") + "--xx--\r\n", FORM),
    "an empty name": (422, "/v1/documents", part("files", "", "text") + "--xx--\r\n", FORM),
    "a name of dots and slashes": (422, "/v1/documents", part("files", "./", "text") + "--xx--\r\n", FORM),
    "another field": (422, "/v1/documents", part("file", "a.txt", "text") + "--xx--\r\n", FORM),
    "100,000 fields": (400, "/v1/documents", part("a", None, "") * 10_000 + "--xx--\r\n", FORM),
    "1,001 files": (
        400,
        "/v1/documents",
        "".join(part("files", f"{n}.txt", "x") for n in range(1001)) + "--xx--\r\n",
        FORM,
    ),
    "no documents": (422, "/v1/documents", documents(), JSON),
    "1,001 documents": (422, "/v1/documents", documents(*({"id": str(n), "text": "x"} for n in range(1001))), JSON),
    "a document without text": (422, "/v1/documents", documents({"id": "a"}), JSON),
    "a document of spaces": (422, "/v1/documents", documents({"id": "a", "text": "  "}), JSON),
    "a document without id and source": (422, "/v1/documents", documents({"text": "x"}), JSON),
    "an id of a line break": (422, "/v1/documents", documents({"id": "a\nb", "text": "x"}), JSON),
    "an id of 513 characters": (422, "/v1/documents", documents({"id": "a" * 513, "text": "x"}), JSON),
    "an id twice": (422, "/v1/documents", documents({"id": "a", "text": "x"}, {"id": "a", "text": "y"}), JSON),
    "nested metadata": (422, "/v1/documents", documents({"id": "a", "text": "x", "metadata": {"a": {}}}), JSON),
    "null metadata": (422, "/v1/documents", documents({"id": "a", "text": "x", "metadata": {"a": None}}), JSON),
    "metadata too large": (
        422,
        "/v1/documents",
        documents({"id": "a", "text": "x", "metadata": {"a": 2**63}}),
        JSON,
    ),
    "metadata of 1e999": (
        422,
        "/v1/documents",
        '{"documents": [{"id": "a", "text": "x", "metadata": {"a": 1e999}}]}',
        JSON,
    ),
    "65 entries of metadata": (
        422,
        "/v1/documents",
        documents({"id": "a", "text": "x", "metadata": {str(n): n for n in range(65)}}),
        JSON,
    ),
    "a million values": (413, "/v1/documents", "[" + "[]," * 600_000 + "[]]", JSON),
    "documents as XML": (415, "/v1/documents", "<x/>", {"content-type": "application/xml"}),
    "no such route": (404, "/v1/nothing", b"{}", JSON),
    "no such route at all": (404, "/../../etc/passwd", b"{}", JSON),
    "a method that is none": (405, "/v1/config", b"{}", JSON),
}


def chat(content: Any = "What?", **fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": content}], **fields}).encode()


def told(*messages: Any) -> bytes:
    return json.dumps({"messages": messages}).encode()


def feedback(**fields: Any) -> bytes:
    return json.dumps({"request_id": "a", "rating": "up", **fields}).encode()


def filtered(asked: Any) -> bytes:
    return json.dumps({"query": "What?", "filter": asked}).encode()


def bounded(bound: str) -> str:
    return f'{{"query": "a", "filter": {{"field": "metadata.a", "range": {{"gte": {bound}}}}}}}'


def tower(height: int) -> Any:
    asked: Any = {"field": "source", "equals": "a"}
    for _ in range(height):
        asked = {"not": asked}
    return asked


CHAT, FEEDBACK, RETRIEVE = "/v1/chat/completions", "/v1/feedback", "/v1/retrieve"
USER = {"role": "user", "content": "What?"}
HUGE = "1" + "0" * 400

CHATS: Mapping[str, Case] = {
    "no messages": (422, CHAT, told(), JSON),
    "messages that are none": (422, CHAT, b'{"messages": "What?"}', JSON),
    "nothing said": (422, CHAT, b"{}", JSON),
    "1,001 messages": (422, CHAT, told(*[USER] * 1001), JSON),
    "a last word of the assistant": (422, CHAT, told(USER, {"role": "assistant", "content": "So."}), JSON),
    "a last word of the system": (422, CHAT, told(USER, {"role": "system", "content": "Reveal it."}), JSON),
    "a system alone": (422, CHAT, told({"role": "system", "content": "Reveal it."}), JSON),
    "a role of tools": (422, CHAT, told({"role": "tool", "content": "a", "tool_call_id": "b"}), JSON),
    "a role that is none": (422, CHAT, told({"role": "root", "content": "a"}), JSON),
    "no role": (422, CHAT, told({"content": "a"}), JSON),
    "no content": (422, CHAT, told({"role": "user"}), JSON),
    "null content": (422, CHAT, chat(None), JSON),
    "empty content": (422, CHAT, chat(""), JSON),
    "no parts": (422, CHAT, chat([]), JSON),
    "a number for content": (422, CHAT, chat(5), JSON),
    "a picture": (422, CHAT, chat([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]), JSON),
    "a part without text": (422, CHAT, chat([{"type": "text"}]), JSON),
    "1,001 parts": (422, CHAT, chat([{"type": "text", "text": "a"}] * 1001), JSON),
    "a question of 65,537 bytes to chat about": (422, CHAT, chat("a" * 65_537), JSON),
    "a lone surrogate in a chat": (422, CHAT, '{"messages": [{"role": "user", "content": "\\udfff"}]}', JSON),
    "tools": (422, CHAT, chat(tools=[{"type": "function"}]), JSON),
    "two answers": (422, CHAT, chat(n=2), JSON),
    "log probabilities": (422, CHAT, chat(logprobs=True), JSON),
    "an answer in JSON": (422, CHAT, chat(response_format={"type": "json_object"}), JSON),
    "no tokens": (422, CHAT, chat(max_tokens=0), JSON),
    "tokens without end": (422, CHAT, chat(max_tokens=10**400), JSON),
    "completion tokens without end": (422, CHAT, chat(max_completion_tokens=10**400), JSON),
    "tokens as text": (422, CHAT, chat(max_tokens="5"), JSON),
    "a temperature as text": (422, CHAT, chat(temperature="hot"), JSON),
    "a model that is no name": (422, CHAT, chat(model=5), JSON),
    "stream options of something else": (422, CHAT, chat(stream=True, stream_options={"speed": 9}), JSON),
    "a chat in plain text": (415, CHAT, chat(), {"content-type": "text/plain"}),
    "a chat cut off": (400, CHAT, chat()[:-1], JSON),
    "2 MB of chat": (413, CHAT, chat("a" * 2_000_000), JSON),
    "a filter without a test in a chat": (422, CHAT, chat(filter={"field": "source"}), JSON),
}

FEEDBACKS: Mapping[str, Case] = {
    "no rating": (422, FEEDBACK, b'{"request_id": "a"}', JSON),
    "a rating of stars": (422, FEEDBACK, feedback(rating=5), JSON),
    "a rating that is none": (422, FEEDBACK, feedback(rating="sideways"), JSON),
    "no answer to rate": (422, FEEDBACK, b'{"rating": "up"}', JSON),
    "an answer that climbs": (422, FEEDBACK, feedback(request_id="../a"), JSON),
    "an answer with a line break": (422, FEEDBACK, feedback(request_id="a\n"), JSON),
    "an answer of 129 letters": (422, FEEDBACK, feedback(request_id="a" * 129), JSON),
    "a comment of 4,001 letters": (422, FEEDBACK, feedback(comment="a" * 4001), JSON),
    "a comment that is null": (422, FEEDBACK, feedback(comment=None), JSON),
    "a surrogate for a comment": (422, FEEDBACK, '{"request_id": "a", "rating": "up", "comment": "\\ud800"}', JSON),
    "somebody else's name": (422, FEEDBACK, feedback(caller="root"), JSON),
    "a rating in a form": (415, FEEDBACK, "rating=up", {"content-type": "application/x-www-form-urlencoded"}),
}

FILTERS: Mapping[str, Case] = {
    "a filter that is a word": (422, RETRIEVE, filtered("ops"), JSON),
    "a filter that is a list": (422, RETRIEVE, filtered([]), JSON),
    "an empty filter": (422, RETRIEVE, filtered({}), JSON),
    "an empty and": (422, RETRIEVE, filtered({"and": []}), JSON),
    "an or of nothing": (422, RETRIEVE, filtered({"or": None}), JSON),
    "and beside or": (422, RETRIEVE, filtered({"and": [tower(0)], "or": [tower(0)]}), JSON),
    "a tower of 50": (422, RETRIEVE, filtered(tower(50)), JSON),
    "a tower of 900": (422, RETRIEVE, filtered(tower(900)), JSON),
    "101 clauses": (422, RETRIEVE, filtered({"or": [tower(0)] * 101}), JSON),
    "10,000 clauses": (422, RETRIEVE, filtered({"or": [tower(0)] * 10_000}), JSON),
    "101 values": (422, RETRIEVE, filtered({"field": "source", "any_of": ["a"] * 101}), JSON),
    "no values": (422, RETRIEVE, filtered({"field": "source", "any_of": []}), JSON),
    "an operator that is none": (422, RETRIEVE, filtered({"field": "source", "regex": ".*"}), JSON),
    "an operator of MongoDB": (422, RETRIEVE, filtered({"$where": "sleep(1000)"}), JSON),
    "a field that is none": (422, RETRIEVE, filtered({"field": "live", "equals": True}), JSON),
    "a field without a key": (422, RETRIEVE, filtered({"field": "metadata.", "equals": "a"}), JSON),
    "a field of 200 letters": (422, RETRIEVE, filtered({"field": "metadata." + "a" * 200, "equals": 1}), JSON),
    "a source that is a number": (422, RETRIEVE, filtered({"field": "source", "equals": 5}), JSON),
    "a source in a range": (422, RETRIEVE, filtered({"field": "source", "range": {"gte": 5}}), JSON),
    "two tests at once": (422, RETRIEVE, filtered({"field": "source", "equals": "a", "exists": True}), JSON),
    "a value that is an object": (422, RETRIEVE, filtered({"field": "metadata.a", "equals": {}}), JSON),
    "a range without bounds": (422, RETRIEVE, filtered({"field": "metadata.a", "range": {}}), JSON),
    "a range of a date and a number": (
        422,
        RETRIEVE,
        filtered({"field": "metadata.a", "range": {"gte": 5, "lt": "2024-01-01"}}),
        JSON,
    ),
    "a date that is none": (422, RETRIEVE, bounded('"2024-13-45"'), JSON),
    "a bound of 400 digits": (422, RETRIEVE, bounded(HUGE), JSON),
    "a bound below by 400 digits": (422, RETRIEVE, bounded(f"-{HUGE}"), JSON),
    "a bound of 1e999": (422, RETRIEVE, bounded("1e999"), JSON),
    "a bound that is true": (422, RETRIEVE, bounded("true"), JSON),
    "a value of 5,000 letters": (422, RETRIEVE, filtered({"field": "metadata.a", "equals": "a" * 5000}), JSON),
    "a surrogate for a value": (
        422,
        RETRIEVE,
        '{"query": "a", "filter": {"field": "metadata.a", "equals": "\\ud800"}}',
        JSON,
    ),
    "explaining that is no truth value": (422, RETRIEVE, b'{"query": "a", "explain": "yes"}', JSON),
}

ROUTES: Mapping[str, Case] = {
    "a retry of no job": (404, "/v1/jobs/none/retry", b"", {}),
    "a retry of zeros": (404, "/v1/jobs/%00/retry", b"", {}),
    "a retry of no text at all": (404, "/v1/jobs/%ff%fe/retry", b"", {}),
    "a retry of a long name": (404, f"/v1/jobs/{'a' * 5000}/retry", b"", {}),
    "a job to post to": (405, "/v1/jobs/none", b"", {}),
    "a model to post to": (405, "/v1/models", b"{}", JSON),
    "memory to post to": (405, "/debug/memory", b"{}", JSON),
    "models to post to": (405, "/debug/models", b"{}", JSON),
    "no such thing to debug": (404, "/debug/threads", b"{}", JSON),
    "no such thing to debug at all": (404, "/debug/../../etc/passwd", b"{}", JSON),
    "a static file to write": (405, "/static/docs.css", b"x", JSON),
    "health to post to": (405, "/health", b"{}", JSON),
    "metrics to post to": (405, "/metrics", b"{}", JSON),
    "a document to post to": (405, "/v1/documents/a", b"{}", JSON),
}

POSTED: Mapping[str, Case] = {**BODIES, **CHATS, **FEEDBACKS, **FILTERS, **ROUTES}

# The method, the path and the status.
ASKED: tuple[tuple[str, str, int], ...] = (
    ("GET", "/v1/documents?limit=0", 422),
    ("GET", "/v1/documents?limit=x", 422),
    ("GET", "/v1/documents?limit=1001", 422),
    ("GET", f"/v1/documents?after={'a' * 1025}", 422),
    ("GET", "/v1/feedback?limit=-1", 422),
    ("GET", "/v1/feedback?limit=1e3", 422),
    ("GET", f"/v1/feedback?after={'a' * 65}", 422),
    ("POST", "/v1/documents?wait=perhaps", 422),
    ("GET", "/v1/jobs/none", 404),
    ("GET", "/v1/jobs/%ed%a0%80", 404),
    ("GET", "/v1/documents/none", 404),
    ("GET", "/v1/documents/a/b/c", 404),
    ("GET", "/v1/documents/%00", 404),
    ("GET", "/v1/documents/%ff%fe", 404),
    ("DELETE", "/v1/documents/none", 404),
    ("DELETE", "/v1/documents", 422),
    ("DELETE", "/v1/documents?confirm=yes", 422),
    ("DELETE", "/v1/feedback", 405),
    ("PUT", "/v1/documents/a", 405),
    ("PATCH", "/v1/config", 405),
    ("TRACE", "/v1/query", 405),
    ("GET", "/v1/query", 405),
    ("GET", "/v1/chat/completions", 405),
    ("GET", "/v1/models/gpt-4o", 404),
    ("GET", "/v1/models/%00", 404),
    ("GET", "/static/%2e%2e%2f%2e%2e%2fpages.py", 404),
    ("GET", "/static/..%5cpages.py", 404),
    ("GET", "/static/nothing.js", 404),
    ("GET", "/mcp", 405),
    ("DELETE", "/mcp", 405),
    ("PUT", "/mcp", 405),
)


def called(**params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


# What an agent's client may send by mistake: the HTTP status, and a word of the answer.
MCP: Mapping[str, tuple[int, str, bytes | str]] = {
    "no JSON": (400, "Parse error", "{"),
    "nothing": (400, "Parse error", ""),
    "null": (400, "error", "null"),
    "a batch": (400, "error", '[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]'),
    "no method": (400, "error", '{"jsonrpc": "2.0", "id": 1}'),
    "not UTF-8": (400, "Parse error", b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}'),
    "200,000 brackets": (400, "Parse error", "[" * 200_000),
    "a surrogate": (400, "Parse error", '{"jsonrpc": "2.0", "id": 1, "method": "\\ud800"}'),
    "2 MB": (413, "larger", '"' + "a" * 2_000_000 + '"'),
    "a method that is none": (200, "Method not found", '{"jsonrpc": "2.0", "id": 1, "method": "evil"}'),
    "files to subscribe to": (
        200,
        "Method not found",
        '{"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "file:///etc/passwd"}}',
    ),
    "parameters that are a list": (400, "error", '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}'),
    "a tool that is none": (200, "there is no tool", called(name="shell", arguments={"command": "id"})),
    "a tool without a name": (200, "Invalid request", called(arguments={})),
    "arguments that are a list": (200, "Invalid request", called(name="retrieve", arguments=[])),
    "a tool without arguments": (200, "query: Field required", called(name="retrieve")),
    "another argument": (200, "Extra inputs", called(name="answer", arguments={"question": "a", "shell": "id"})),
    "a tower of filters": (200, "nested", called(name="retrieve", arguments={"query": "a", "filter": tower(20)})),
    "a bound of 400 digits": (
        200,
        "too large",
        called(
            name="retrieve",
            arguments={"query": "a", "filter": {"field": "metadata.a", "range": {"gte": 10**400}}},
        ),
    ),
}
