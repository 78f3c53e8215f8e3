"""Requests to a server and their answers, over HTTP with the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from typing import Any, BinaryIO, Callable, Dict, Mapping, Optional, Sequence, Tuple, TypeVar, Union
from urllib.parse import urlsplit

from ._errors import InvalidError, OverloadedError, UnavailableError, error_of
from ._evenkeel import mistakes

__all__ = ["ARROW", "JSON", "Connections"]

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"

Body = Union[bytes, BinaryIO, None]
Texts = Sequence[Tuple[str, str]]
T = TypeVar("T")


class Connections:
    """A connection to one server per thread."""

    def __init__(
        self, url: str, token: Optional[str], timeout: float, context: Optional[ssl.SSLContext]
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidError(f"`{url}` is no address", hint="write http://127.0.0.1:6570")
        self.url = url.rstrip("/")
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._context = context
        self._threads = threading.local()

    def close(self) -> None:
        """Closes this thread's connection; others close with their threads."""
        connection = self._threads.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Body = None,
        content: Optional[str] = None,
        *,
        accept: str = JSON,
        headers: Optional[Mapping[str, str]] = None,
        again: bool = False,
    ) -> bytes:
        """Sends a request; `again`: once more if a kept connection turns out to be closed."""
        response = self._response(method, path, body, content, accept, headers or {}, again)
        answer = self._whole(response.read)
        if response.status < 300:
            return answer
        raise _error(response.status, answer, ())

    def request_if_it_fits(self, path: str, body: bytes, content: str) -> Optional[bytes]:
        """Posts what may be sent again; none if it is more than the server takes at once."""
        response = self._response("POST", path, body, content, JSON, {}, True)
        answer = self._whole(response.read)
        if response.status == 413:
            return None
        if response.status < 300:
            return answer
        raise _error(response.status, answer, ())

    def long_work(
        self,
        path: str,
        body: Body,
        content: str,
        *,
        accept: str = JSON,
        headers: Optional[Mapping[str, str]] = None,
        texts: Texts = (),
    ) -> Tuple[Dict[str, Any], bytes]:
        """Asks for work that takes long: what it made, and the file, if that is a file. The
        server says in between that it works. Mistakes are in `texts`."""
        sent = {**(headers or {}), "Evenkeel-Progress": "true"}
        response = self._response("POST", path, body, content, accept, sent, True)
        if response.status >= 300:
            raise _error(response.status, self._whole(response.read), texts)
        line: Dict[str, Any] = {}
        while "result" not in line and "error" not in line:
            text = self._whole(response.readline)
            if not text:
                raise self._lost("the answer ends too soon")
            # Fractions stay as they are written: nobody computes with them.
            line = json.loads(text, parse_float=str)
        file = self._whole(response.read)
        if "error" in line:
            raise _error(line["status"], json.dumps(line).encode(), texts)
        if len(file) != line["bytes"]:
            raise self._lost("the answer ends too soon")
        return (line["result"], file)

    def _response(
        self,
        method: str,
        path: str,
        body: Body,
        content: Optional[str],
        accept: str,
        headers: Mapping[str, str],
        again: bool,
    ) -> http.client.HTTPResponse:
        """The answer, whose body is not read yet."""
        sent = {"Accept": accept, **headers}
        if content is not None:
            sent["Content-Type"] = content
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        while True:
            connection, was_used = self._connection()
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            try:
                self._send(connection, method, self._path + path, body, sent)
                return connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if again and was_used and not isinstance(error, TimeoutError):
                    continue
                raise self._lost(error) from error
            except BaseException:
                self.close()
                raise

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Body,
        headers: Mapping[str, str],
    ) -> None:
        try:
            connection.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            if connection.sock is None:
                raise
            # A server that refuses a body answers before it has read all of it; the
            # connection is good for that answer and no other.
            self._threads.__dict__.pop("connection", None)

    def _whole(self, read: Callable[[], T]) -> T:
        """What is read of an answer; one that breaks off leaves no connection behind."""
        try:
            return read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._lost(error) from error
        except BaseException:
            # Whoever interrupts a wait ends the server's work with the connection.
            self.close()
            raise

    def _lost(self, why: object) -> UnavailableError:
        self.close()
        return UnavailableError(
            f"no answer from {self.url}: {why}",
            code="UNAVAILABLE",
            hint="is `evenkeel serve` running there?",
        )

    def _connection(self) -> Tuple[http.client.HTTPConnection, bool]:
        """This thread's connection, and whether it was used before."""
        kept = self._threads.__dict__.get("connection")
        if kept is not None:
            return (kept, True)
        made: http.client.HTTPConnection
        if self._is_secure:
            made = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._context
            )
        else:
            made = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._threads.connection = made
        return (made, False)


def _error(status: int, answer: bytes, texts: Texts) -> Exception:
    try:
        error = json.loads(answer)["error"]
        code, place = error["code"], error["place"]
        if place is not None and "all" in place:
            # A feature's text is its name; a file that only the server has has lines.
            first = next(found for found in place["all"] if found["severity"] == "error")
            if "feature" in place or first["text"] in dict(texts):
                return mistakes(place["all"], list(texts))
            code = "DEFINITIONS"
            place = {"file": first["text"], "line": first["line"], "column": first["column"]}
        return error_of(code, error["message"], error["hint"], place)
    except (ValueError, KeyError, TypeError, StopIteration):
        message = f"the answer has the status {status} and is not evenkeel's"
        kind = OverloadedError if status == 429 else UnavailableError
        return kind(message, code=f"HTTP_{status}")
