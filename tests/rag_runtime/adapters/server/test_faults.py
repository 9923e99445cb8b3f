import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from qdrant_client.common import client_exceptions
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http import exceptions
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_client.http.models import UpdateResult, UpdateStatus

from rag_runtime.adapters.server.faults import CLIENT_ERRORS, Fault, Unconfirmed, fault, is_conflict, require_completed
from rag_runtime.errors import StoreRejected, StoreUnavailable


def answered(status: int, reason: str = "no", **headers: str) -> UnexpectedResponse:
    content = f'{{"status": {{"error": "{reason}"}}}}'.encode()
    return UnexpectedResponse(
        status, "Reason", content, httpx.Headers({k.replace("_", "-"): v for k, v in headers.items()})
    )


def grpc_error(code: grpc.StatusCode, details: str = "no") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def judged(error: Exception) -> Fault:
    return fault(error, doing="search", where="qdrant:6333")


PASSING = [
    answered(429),
    answered(500),
    answered(502),
    answered(503),
    answered(408),
    ResourceExhaustedResponse("slow down", 3),
    ResponseHandlingException(httpx.ReadTimeout("")),
    ResponseHandlingException(httpx.ConnectError("refused")),
    ResponseHandlingException(httpx.RemoteProtocolError("cut")),
    Unconfirmed("wait_timeout"),
    grpc_error(grpc.StatusCode.UNAVAILABLE),
    grpc_error(grpc.StatusCode.DEADLINE_EXCEEDED),
    grpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED),
]
LASTING = [answered(404), AssertionError("Search returned None"), grpc_error(grpc.StatusCode.NOT_FOUND)]
REFUSED = [
    answered(400),
    answered(401),
    answered(403),
    answered(413),
    answered(422),
    ResponseHandlingException(ValueError("not JSON")),
    grpc_error(grpc.StatusCode.UNAUTHENTICATED),
    grpc_error(grpc.StatusCode.PERMISSION_DENIED),
    grpc_error(grpc.StatusCode.INVALID_ARGUMENT),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    assert isinstance(judged(error).error, StoreUnavailable)
    assert judged(error).passing


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_is_missing_is_unavailable_but_not_tried_again(error: Exception) -> None:
    assert isinstance(judged(error).error, StoreUnavailable)
    assert not judged(error).passing


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_a_refusal_is_for_the_operator_and_not_tried_again(error: Exception) -> None:
    assert isinstance(judged(error).error, StoreRejected)
    assert not judged(error).passing


@pytest.mark.parametrize("error", [*PASSING, *LASTING, *REFUSED], ids=repr)
def test_every_message_says_where_and_what_for(error: Exception) -> None:
    message = str(judged(error).error)
    assert "qdrant:6333" in message
    assert "search" in message


def test_no_exception_of_the_client_is_left_out() -> None:
    for module in (exceptions, client_exceptions):
        raised = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
        assert raised
        assert all(issubclass(kind, CLIENT_ERRORS) for kind in raised)


@pytest.mark.parametrize(("sent", "seconds"), [("7", 7.0), ("", 0.0), ("Wed, 21 Oct 2026", 0.0), ("-3", 0.0)])
def test_retry_after_is_read_where_it_is_a_number(sent: str, seconds: float) -> None:
    assert judged(answered(503, retry_after=sent)).after == seconds


def test_the_reason_is_the_servers_own_and_short() -> None:
    assert "Wrong input: dim" in str(judged(answered(400, "Wrong input: dim")).error)
    assert len(str(judged(answered(400, "x" * 10_000)).error)) < 400


def test_an_answer_that_is_no_json_still_has_a_message() -> None:
    html = UnexpectedResponse(502, "Bad Gateway", b"<html>", httpx.Headers())
    assert "Bad Gateway" in str(judged(html).error)


def test_somebody_elses_creation_is_a_conflict() -> None:
    assert is_conflict(answered(409))
    assert is_conflict(answered(400, "Collection `x` already exists!"))
    assert is_conflict(grpc_error(grpc.StatusCode.INVALID_ARGUMENT, "Collection `x` already exists!"))
    assert not is_conflict(answered(400))
    assert not is_conflict(answered(500))


@pytest.mark.parametrize("status", [UpdateStatus.ACKNOWLEDGED, UpdateStatus.WAIT_TIMEOUT])
def test_only_completed_is_done(status: UpdateStatus) -> None:
    done = UpdateResult(operation_id=1, status=UpdateStatus.COMPLETED)
    require_completed(done, done)
    with pytest.raises(Unconfirmed, match=status.value):
        require_completed(done, UpdateResult(operation_id=2, status=status))
