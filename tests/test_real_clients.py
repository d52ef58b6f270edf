"""Clients that nobody here wrote, on the course's two loops: redis-benchmark, redis-cli, the redis package, curl, wrk."""

import re
import shutil
import subprocess
from contextlib import ExitStack

import pytest
import redis
from loop_server import ASKED, HTTP, PATIENCE, RESP, Server, answered
from redis.backoff import NoBackoff
from redis.retry import Retry

from course_lib.kernel import wait_until

INSTALLED_BY = {"redis-benchmark": "redis-tools", "redis-cli": "redis-tools", "curl": "curl", "wrk": "wrk"}
BINARY = bytes(range(256)) + b"\r\n$3\r\n*1\r\n"


@pytest.fixture(scope="module", params=["exercise", "scheduler"])
def server(request, tmp_path_factory):
    server = Server(request.param, tmp_path_factory.mktemp("clients") / "errors")
    yield server
    server.close()


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"sudo apt-get install {INSTALLED_BY[program]}")


def run(command: str, said: str = "") -> str:
    """What the program wrote. It must end well."""
    done = subprocess.run(command.split(), input=said, capture_output=True, text=True, timeout=4 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("redis-benchmark")
@pytest.mark.parametrize("at_once", [1, 16])
def test_redis_benchmark(server, at_once):
    said = run(f"redis-benchmark -p {server.ports[RESP]} -t ping,set,get -n 20000 -c 50 -P {at_once} --csv")
    assert re.findall(r'^"(\w+)"', said, re.MULTILINE)[1:] == ["PING_INLINE", "PING_MBULK", "SET", "GET"]
    assert "rror" not in said
    server.left_nothing()


@needs("redis-cli")
@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_redis_cli(server, protocol):
    said = run(
        f"redis-cli {protocol} --no-raw -p {server.ports[RESP]}",
        'ping\nset a "two\\r\\nlines"\nget a\nget nothing\nconfig get save\nget\nset a b ex 10\nget a\n',
    )
    assert [line for line in said.splitlines() if line] == [
        "PONG", "OK", '"two\\r\\nlines"', "(nil)", "(error) ERR unknown command 'config'", "(error) ERR wrong number of arguments",
        "(error) ERR wrong number of arguments", '"two\\r\\nlines"',
    ]  # fmt: skip
    server.left_nothing()


@pytest.mark.parametrize("protocol", [{}, {"protocol": 2}, {"protocol": 3}], ids=["default", "RESP2", "RESP3"])
def test_the_redis_package(server, protocol):
    with redis.Redis(port=server.ports[RESP], socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 0), **protocol) as client:
        assert client.ping() and client.set("binary", BINARY) and client.set(BINARY, "") and client.set("ä", "中文")
        assert client.get("binary") == BINARY and client.get(BINARY) == b"" and client.get("ä") == "中文".encode()
        assert client.get("nothing") is None
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            client.set("binary", "soon over", ex=10)
        with pytest.raises(redis.ResponseError, match="unknown command"):
            client.lpush("list", "value")
        pipeline = client.pipeline(transaction=False)
        for number in range(500):
            pipeline.set(f"key {number}", number).get(f"key {number}")
        assert pipeline.execute() == [answer for number in range(500) for answer in (True, b"%d" % number)]
    server.left_nothing()


@needs("curl")
def test_50_requests_of_curl_at_once(server):
    url = f"http://127.0.0.1:{server.ports[HTTP]}/?[1-50]"
    said = run(
        f"curl -q --noproxy * -sS --parallel --parallel-immediate --parallel-max 50 -w %{{http_code}}\\n -o /dev/null {url}"
    )
    assert said.split() == ["200"] * 50
    server.left_nothing()


@needs("wrk")
@pytest.mark.parametrize("path", ["/", "/big"])
def test_wrk_meets_no_socket_error(server, path):
    said = run(f"wrk -t 1 -c 100 -d 1s --timeout 60s http://127.0.0.1:{server.ports[HTTP]}{path}")
    assert int(re.search(r"(\d+) requests in", said)[1]) > 0
    assert "Socket errors" not in said and "Non-2xx" not in said
    server.left_nothing()


@pytest.mark.parametrize("protocol", ASKED)
def test_400_idle_clients_cost_the_others_nothing(server, protocol):
    with ExitStack() as active:
        clients = [active.enter_context(server.connect(protocol)) for _ in range(20)]

        def cost() -> float:
            """Seconds of CPU time for 1000 requests."""
            used = server.cpu()
            for _ in range(50):
                for client in clients:
                    client.sendall(ASKED[protocol][0])
                for client in clients:
                    answered(client, protocol)
            return server.cpu() - used

        without, with_idle = [], []
        for _ in range(3):  # by turns: what else the machine does meets both
            without.append(cost())
            with ExitStack() as idle:
                for _ in range(400):
                    idle.enter_context(server.connect(protocol))
                assert wait_until(lambda: server.descriptors() == server.own + len(clients) + 400, PATIENCE)  # all are accepted
                with_idle.append(cost())
        assert min(with_idle) < 2 * min(without)
    server.left_nothing()
