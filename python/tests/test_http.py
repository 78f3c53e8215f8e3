"""`evenkeel serve` as clients see it that know HTTP and nothing of Evenkeel: requests and curl."""

from __future__ import annotations

import gzip
import io
import ipaddress
import json
import shutil
import subprocess
from datetime import datetime, timedelta, timezone

import polars as pl
import pyarrow as pa
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from serving import Server, sample

ARROW = "application/vnd.apache.arrow.stream"
JSON_LINES = "application/x-ndjson"
AS_OF = "2026-01-12T00:00:00Z"
TOKENS = {scope: f"a-token-that-may-{scope}" for scope in ("read", "write", "admin")}


@pytest.fixture
def project(tmp_path):
    return sample(tmp_path)


@pytest.fixture
def server(project):
    with Server(project) as server:
        yield server


@pytest.fixture
def http():
    with requests.Session() as session:
        # Proxies and certificates that the machine is set up with are not for this server.
        session.trust_env = False
        yield session


def order(number, **parts):
    return {
        "order_id": f"n-{number}",
        "customer_id": "grace",
        "amount": number + 0.5,
        "ordered_at": f"2026-01-{number:02}T10:00:00Z",
        **parts,
    }


def arrow(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def of_grace(http, server, **parts):
    """What a read with these parts says of the customer of the pushed orders."""
    ask = {
        "features": ["customer_orders:orders_7d", "customer_orders:amount_7d"],
        "entities": [{"customer_id": "grace"}],
        "as_of": AS_OF,
        **parts,
    }
    answer = http.post(f"{server.url}/v1/features", json=ask, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"][0]["values"]


def push(http, server, body, content_type, **headers):
    headers = {"Content-Type": content_type, **headers}
    url = f"{server.url}/v1/sources/orders/events"
    answer = http.post(url, data=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status, code):
    """An error has one shape, whatever it is about."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "place"} and error["message"]
    assert error["code"] == code
    return error


def test_json_and_arrow_are_the_same_answer(server, http):
    url = f"{server.url}/v1/features"
    entities = [{"customer_id": "ada"}, {"customer_id": "nobody"}]
    ask = {"service": "customer_model", "entities": entities, "as_of": AS_OF}
    answer = http.post(url, json=ask, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    answer = answer.json()
    assert answer["rows"][0]["values"] == [3, 35.75, 35.75 / 3]
    assert answer["rows"][1]["statuses"] == ["PRESENT", "NULL_VALUE", "NULL_VALUE"]

    as_arrow = http.post(url, json=ask, headers={"Accept": ARROW}, timeout=30)
    body = arrow(pa.Table.from_pylist(entities))
    query = {"service": "customer_model", "as_of": AS_OF}
    headers = {"Content-Type": ARROW, "Accept": ARROW}
    both_arrow = http.post(url, data=body, params=query, headers=headers, timeout=30)
    names = [feature["name"] for feature in answer["features"]]
    for found in (as_arrow, both_arrow):
        assert (found.status_code, found.headers["Content-Type"]) == (200, ARROW)
        table = pa.ipc.open_stream(found.content).read_all()
        # Columns that are the same share their bytes, whoever reads them.
        table.validate(full=True)
        frame = pl.read_ipc_stream(io.BytesIO(found.content))
        assert frame.to_dict(as_series=False) == table.to_pydict()
        for place, row in enumerate(answer["rows"]):
            assert [table[name][place].as_py() for name in names] == row["values"]
            statuses = [table[f"{name}__status"][place].as_py() for name in names]
            assert statuses == row["statuses"]
        assert "orders/0@5" in [value.decode() for value in table.schema.metadata.values()]


def test_what_was_pushed_in_any_form_is_read_with_its_session(server, http):
    pushed = push(http, server, json.dumps([order(6), order(7)]), "application/json")
    assert pushed["counts"]["logged"] == 2 and pushed["positions"] == "orders/0@7"
    assert of_grace(http, server, session=pushed["session"]) == [2, 14.0]

    lines = "\n".join(json.dumps(order(number)) for number in (8, 9))
    packed = gzip.compress(lines.encode())
    pushed = push(http, server, packed, JSON_LINES, **{"Content-Encoding": "gzip"})
    assert pushed["rows"][1] == {"status": "logged", "partition": 0, "offset": 8}
    assert of_grace(http, server, session=pushed["session"]) == [4, 32.0]

    table = pa.Table.from_pylist([order(10, ordered_at=datetime(2026, 1, 10, 10))])
    pushed = push(http, server, arrow(table), ARROW)
    assert pushed["positions"] == "orders/0@10"
    assert of_grace(http, server, session=pushed["session"]) == [5, 42.5]
    assert of_grace(http, server, cut="orders/0@7") == [2, 14.0]
    state = http.get(f"{server.url}/v1/sources/orders/status", timeout=30).json()
    assert (state["name"], state["events"]) == ("orders", 10)


def test_a_session_ahead_of_the_clock_moves_the_time_of_the_read(server, http):
    ahead = datetime.now(timezone.utc) + timedelta(minutes=5)
    row = order(1, ordered_at=ahead.isoformat())
    pushed = push(http, server, json.dumps([row]), "application/json")
    assert of_grace(http, server, as_of=None)[0] == 0
    assert of_grace(http, server, as_of=None, session=pushed["session"])[0] == 1


def test_sending_again_changes_nothing(server, http):
    body = json.dumps({"producer_id": "shop", "sequence": 4, "rows": [order(6), order(7)]})
    first = push(http, server, body, "application/json")
    again = push(http, server, body, "application/json")
    assert (first["counts"]["logged"], again["counts"]["duplicate"]) == (2, 2)
    assert again["positions"] == first["positions"]
    headers = {"Evenkeel-Producer-Id": "shop", "Evenkeel-Sequence": "5"}
    lines = "\n".join(json.dumps(order(number)) for number in (7, 8))
    third = push(http, server, lines, JSON_LINES, **headers)
    assert [row["status"] for row in third["rows"]] == ["duplicate", "logged"]
    # Without a producer it is the event's id that tells.
    rows = [order(6), order(7, amount=1.0), order(9, amount="much")]
    fourth = push(http, server, json.dumps(rows), "application/json")
    assert [row["status"] for row in fourth["rows"]] == ["duplicate", "conflict", "rejected"]
    # Of two payloads the smaller one stands, whichever came first.
    assert of_grace(http, server, session=fourth["session"]) == [3, 6.5 + 1.0 + 8.5]


READ = "/v1/features"
PUSH = "/v1/sources/orders/events"
ASK = {"service": "customer_model", "entities": []}


@pytest.mark.parametrize(
    ("method", "path", "parts", "status", "code"),
    [
        ("POST", READ, {"data": "{", "headers": {"Content-Type": "application/json"}}, 400, "JSON"),
        ("POST", READ, {"json": {**ASK, "entites": []}}, 400, "UNKNOWN_FIELD"),
        ("POST", READ, {"json": {**ASK, "as_of": "soon"}}, 400, "INVALID"),
        ("POST", READ, {"json": {**ASK, "timeout_ms": 0}}, 400, "TIMEOUT_RANGE"),
        ("POST", READ, {"json": {**ASK, "cut": "orders/0@99"}}, 400, "CUT_BEYOND"),
        ("POST", READ, {"json": {**ASK, "service": "custmer_model"}}, 404, "NOT_FOUND"),
        ("POST", READ, {"data": "a=1"}, 415, "CONTENT_TYPE"),
        ("POST", READ, {"data": b"no", "headers": {"Content-Type": ARROW}}, 400, "ARROW"),
        ("POST", READ, {"json": ASK, "headers": {"Content-Encoding": "br"}}, 415, "CONTENT_ENCODING"),
        ("POST", READ, {"json": ASK, "headers": {"Host": "shop.example"}}, 421, "HOST"),
        ("POST", READ, {"json": ASK, "headers": {"X-Long": "x" * 20_000}}, 431, "HEADERS_TOO_LARGE"),
        ("POST", READ, {"json": {**ASK, "timeout_ms": 1, "consistency": "at_least",
                                 "min_positions": "orders/0@99"}}, 504, "DEADLINE"),
        ("POST", PUSH, {"json": [{}] * 100_001}, 413, "TOO_MANY_ROWS"),
        ("POST", "/v1/sources/ordres/events", {"json": []}, 404, "NOT_FOUND"),
        ("GET", READ, {}, 405, "METHOD"),
        ("GET", "/v1/feature", {}, 404, "NOT_FOUND"),
    ],
)
def test_errors_have_one_shape(server, http, method, path, parts, status, code):
    error = refused(http.request(method, server.url + path, timeout=30, **parts), status, code)
    # Where a name is nearly right, the hint has the right one.
    if code in ("NOT_FOUND", "UNKNOWN_FIELD"):
        assert error["hint"].startswith("did you mean `")


def test_a_connection_is_kept_also_after_errors(server, http):
    for _ in range(3):
        assert http.get(f"{server.url}/v1/views", timeout=30).status_code == 200
        assert http.get(f"{server.url}/v1/view", timeout=30).status_code == 404
        assert of_grace(http, server)[0] == 0
        push(http, server, json.dumps([order(20)]), "application/json")
    pools = http.get_adapter(server.url).poolmanager.pools
    [pool] = [pools[key] for key in pools.keys()]
    assert (pool.num_requests, pool.num_connections) == (12, 1)


def with_tokens(project):
    """Settings with a token per scope, and what the server finds them in."""
    text = (project / "evenkeel.toml").read_text()
    for scope in TOKENS:
        text += f'\n[[server.tokens]]\nname = "{scope}"\nscopes = ["{scope}"]\nenv = "OF_{scope}"\n'
    (project / "evenkeel.toml").write_text(text)
    return {f"OF_{scope}": token for scope, token in TOKENS.items()}


def test_tokens_allow_what_their_scopes_say(project, http):
    allowed = {"read": {"read"}, "write": {"write"}, "admin": {"read", "write", "admin"}}
    calls = {
        "read": (READ, ASK),
        "write": (PUSH, [order(6)]),
        "admin": ("/v1/sources/orders/dead-letters/redrive", {"ids": "all"}),
    }
    with Server(project, **with_tokens(project)) as server:
        for scope, (path, body) in calls.items():
            url = server.url + path
            refused(http.post(url, json=body, timeout=30), 401, "UNAUTHENTICATED")
            for of_token, token in TOKENS.items():
                headers = {"Authorization": f"Bearer {token}"}
                answer = http.post(url, json=body, headers=headers, timeout=30)
                if scope in allowed[of_token]:
                    assert answer.status_code == 200, answer.text
                else:
                    refused(answer, 403, "FORBIDDEN")
            headers = {"Authorization": "Bearer a-token-that-nobody-gave"}
            answer = http.post(url, json=body, headers=headers, timeout=30)
            refused(answer, 401, "UNAUTHENTICATED")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert http.get(f"{server.url}/readyz", timeout=30).status_code == 200


def certified(project):
    """Gives the server a certificate that vouches for itself; the path of the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of the tests")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (project / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (project / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    text = (project / "evenkeel.toml").read_text()
    text += '\n[server]\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'
    (project / "evenkeel.toml").write_text(text)
    return project / "server.pem"


@pytest.fixture
def secure(project):
    """A server with TLS and tokens, and its certificate."""
    certificate = certified(project)
    with Server(project, **with_tokens(project)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        yield server, certificate


def test_tls_is_for_those_who_trust_the_certificate(secure, http):
    server, certificate = secure
    with pytest.raises(requests.exceptions.SSLError):
        http.get(f"{server.url}/healthz", timeout=30)
    with pytest.raises(requests.exceptions.ConnectionError):
        http.get(server.url.replace("https:", "http:") + "/healthz", timeout=30)
    http.verify = str(certificate)
    refused(http.get(f"{server.url}/v1/status", timeout=30), 401, "UNAUTHENTICATED")
    http.headers["Authorization"] = f"Bearer {TOKENS['admin']}"
    pushed = push(http, server, json.dumps([order(6)]), "application/json")
    assert of_grace(http, server, session=pushed["session"]) == [1, 6.5]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_speaks_both_versions_over_tls(secure, option, version):
    server, certificate = secure

    def curl(path, body, *options):
        done = subprocess.run(
            ["curl", "-sS", option, *options, "-w", "\n%{http_version} %{http_code}",
             "--json", json.dumps(body), server.url + path],
            capture_output=True,
            text=True,
            check=False,
        )
        answer, _, last = done.stdout.rpartition("\n")
        return done.returncode, answer, last

    trusted = ("--cacert", str(certificate))
    admitted = (*trusted, "-H", f"Authorization: Bearer {TOKENS['admin']}")
    not_trusted = 60
    assert curl(READ, ASK)[0] == not_trusted
    code, answer, last = curl(READ, ASK, *trusted)
    assert (code, last, json.loads(answer)["error"]["code"]) == (0, f"{version} 401", "UNAUTHENTICATED")
    code, answer, last = curl(PUSH, [order(6)], *admitted)
    assert (code, last) == (0, f"{version} 200")
    ask = {**ASK, "entities": [{"customer_id": "grace"}], "as_of": AS_OF,
           "session": json.loads(answer)["session"]}
    code, answer, last = curl(READ, ask, *admitted)
    assert (code, last) == (0, f"{version} 200")
    assert json.loads(answer)["rows"][0]["values"] == [1, 6.5, 6.5]
