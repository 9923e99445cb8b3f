"""Everything that can go wrong, branched by who can act on it.

RagError
├── RequestError            the caller: send something else
│   ├── DocumentUnreadable      this file, not the request: it becomes the file's own result
│   ├── Conflict
│   ├── NotFound
│   ├── TooLarge
│   └── UnsupportedType
├── Unavailable             nobody yet: try again later
│   ├── Overloaded
│   ├── StoreUnavailable
│   └── GeneratorUnavailable
└── Misconfigured           the operator of the service: mend a setting
    ├── SettingInvalid
    ├── ModelUnavailable
    ├── IndexMismatch
    └── StoreRejected
"""

from __future__ import annotations


class RagError(Exception):
    """The root; its message is one sentence that names the thing, the value and the remedy, and holds no secret."""


class RequestError(RagError):
    """The request cannot be served as it was sent."""


class DocumentUnreadable(RequestError):
    """No text can be had from this file."""


class Conflict(RequestError):
    """Not as things stand now; they may change."""


class NotFound(RequestError):
    """There is no such document or job."""


class TooLarge(RequestError):
    """More bytes, items or pages than allowed."""


class UnsupportedType(RequestError):
    """No loader for this kind of file."""


class Unavailable(RagError):
    """Something that the service depends on does not answer now."""


class Overloaded(Unavailable):
    """This replica is full, starting or stopping, and takes nothing more now."""


class StoreUnavailable(Unavailable):
    """The vector store does not answer, or did not confirm a write."""


class GeneratorUnavailable(Unavailable):
    """The language model is slow, down, out of quota or refuses; `reason` is one word for a metric's label.

    `retry_after` is how many seconds the model itself asks callers to wait, where it says so.
    """

    def __init__(self, message: str, *, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Misconfigured(RagError):
    """The service cannot work as it is configured."""


class SettingInvalid(Misconfigured):
    """An environment variable is unknown or malformed."""


class ModelUnavailable(Misconfigured):
    """A model can neither be found locally nor be fetched."""


class IndexMismatch(Misconfigured):
    """The index was made with another configuration, or belongs to somebody else."""


class StoreRejected(Misconfigured):
    """The store refuses what it is asked: wrong key, wrong schema, unsupported version."""
