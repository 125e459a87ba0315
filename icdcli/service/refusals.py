"""The answers to requests that are refused."""

RETRY_SECONDS = 5
"""When to try again a service that is starting or ending."""


class RefusedError(Exception):
    """A request that isn't answered with what it asks for.

    Attributes:
        status: The HTTP status.
        message: What is wrong, and what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers
