"""Everything that can go wrong in the operator, branched by who can act on it.

OperatorError
├── SpecInvalid         the pipeline's author: mend the spec
├── SettingInvalid      who installed the operator: mend a setting
├── LeaseLost           nobody: another replica leads, this process ends
├── Deaf                nobody: watches bring nothing more, this process ends and is started anew
└── ApiError            the API server answered no, or nothing
    ├── Forbidden           who installed the operator: grant it, or raise the quota
    ├── Rejected            the pipeline's author, mostly: the object is not acceptable
    ├── Conflict            nobody: read again and repeat
    └── Unreachable         nobody: try again later
"""

from __future__ import annotations


class OperatorError(Exception):
    """The root; its message names the thing, the value and the remedy, and holds no secret."""


class SpecInvalid(OperatorError):
    """A spec that the schema let through but that cannot be built."""


class SettingInvalid(OperatorError):
    """The operator cannot start as it is configured."""


class LeaseLost(OperatorError):
    """The lease could not be renewed in time."""


class Deaf(OperatorError):
    """No watch has brought anything for too long."""


class ApiError(OperatorError):
    """A request to the API server failed; `status` is 0 where no answer came."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Forbidden(ApiError):
    """401 or 403."""


class Rejected(ApiError):
    """400, 422 and other answers that repeating does not change."""


class Conflict(ApiError):
    """409: somebody else was first."""


class Unreachable(ApiError):
    """No answer, 429 or 5xx, after the retries."""
