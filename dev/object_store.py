"""An object store that speaks S3, for tests: moto, in memory, on a free port of the loopback.

    python object_store.py FOLDER BUCKET...

Makes the buckets, and one account that may do everything in them; who else asks is refused, as in S3. Writes
FOLDER/credentials (the key's id and its secret, a line each) and then FOLDER/port. Requests are answered one after the
other, so that what is written on a condition is written once.
"""

import json
import os
import socketserver
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends

ACCOUNT = "123456789012"
REGION = "us-east-1"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """Connections wait for each other no longer than a request takes."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Says nothing of requests."""

    def log_message(self, *_):
        pass


def one_by_one(app):
    """An application that has one request at a time."""
    turn = threading.Lock()

    def answer(environ, start_response):
        with turn:
            return list(app(environ, start_response))

    return answer


def account(folder: Path) -> None:
    """Makes the account, and lets nobody else in from then on."""
    accounts = iam_backends[ACCOUNT]["aws"]
    accounts.create_user(REGION, "tests")
    accounts.put_user_policy("tests", "everything", json.dumps(EVERYTHING))
    key = accounts.create_access_key("tests")
    (folder / "credentials").write_text(f"{key.access_key_id}\n{key.secret_access_key}\n")
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0


def main() -> None:
    folder = Path(sys.argv[1])
    store = s3_backends[ACCOUNT]["aws"]
    for bucket in sys.argv[2:]:
        store.create_bucket(bucket, REGION)
    account(folder)
    server = Server(("127.0.0.1", 0), Handler)
    server.set_app(one_by_one(create_backend_app("s3")))
    ready = folder / "port.new"
    ready.write_text(f"{server.server_address[1]}\n")
    os.replace(ready, folder / "port")
    server.serve_forever()


main()
