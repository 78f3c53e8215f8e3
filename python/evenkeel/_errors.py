"""Exceptions, one class per kind of failure: what the caller can do about it."""

from __future__ import annotations

from typing import Any, Mapping, Optional

__all__ = [
    "BusyError",
    "DeadlineError",
    "DefinitionError",
    "Error",
    "InvalidError",
    "NotFoundError",
    "OverloadedError",
    "StorageError",
    "UnauthorizedError",
    "UnavailableError",
    "VerificationError",
]


class Error(Exception):
    """Anything that evenkeel refuses or cannot do.

    ``code`` is a stable word for programs, ``hint`` what to do next, ``place`` where it is:
    for definitions file, line and column, for rows row and column.
    """

    code: str
    hint: Optional[str]
    place: Optional[Mapping[str, Any]]

    def __init__(
        self,
        message: str,
        *,
        code: str = "INVALID",
        hint: Optional[str] = None,
        place: Optional[Mapping[str, Any]] = None,
        text: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.place = place
        self._text = text

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        if self.hint is not None:
            return f"{self.message}\nhint: {self.hint}"
        return self.message

    def __reduce__(self) -> Any:
        # Exceptions cross processes (joblib, multiprocessing) with all their parts.
        parts = (self.code, self.message, self.hint, self.place, self._text)
        return (error_of, parts)


class InvalidError(Error):
    """The request is wrong: change it."""


class DefinitionError(InvalidError):
    """Definitions are wrong; the message underlines the place."""


class NotFoundError(Error):
    """Something named does not exist."""


class BusyError(Error):
    """The store is in use elsewhere: try again, or use the server that holds it."""


class StorageError(Error):
    """The store or a file cannot be read or written, or is damaged."""


class UnauthorizedError(Error):
    """The server wants a token, or the token may not do this."""


class OverloadedError(BusyError):
    """The server sheds load: try again after a moment."""


class DeadlineError(Error):
    """What was promised could not be kept in time."""


class UnavailableError(Error):
    """There is no server, or it is going away."""


class VerificationError(Error):
    """Paths of evaluation disagreed, or a test's expectation was not met."""


_CLASSES = {
    "DEFINITIONS": DefinitionError,
    "NOT_FOUND": NotFoundError,
    "GONE": NotFoundError,
    "BUSY": BusyError,
    "STORAGE": StorageError,
    "INTERNAL": StorageError,
    "OVERLOADED": OverloadedError,
    "DEADLINE": DeadlineError,
    "UNAVAILABLE": UnavailableError,
    "UNAUTHENTICATED": UnauthorizedError,
    "FORBIDDEN": UnauthorizedError,
    "VERIFICATION": VerificationError,
}


def error_of(
    code: str,
    message: str,
    hint: Optional[str] = None,
    place: Optional[Mapping[str, Any]] = None,
    text: Optional[str] = None,
) -> Error:
    """The exception of a code; a code that is not known is a wrong request."""
    kind = _CLASSES.get(code, InvalidError)
    return kind(message, code=code, hint=hint, place=place, text=text)
