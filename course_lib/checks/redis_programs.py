"""Exercise 9.1, asked by programs that others have written: redis-benchmark and the Python package."""

import importlib.util
import re
import shutil
import subprocess

from course_lib.sandbox import Wrong
from course_lib.sandbox.files import memory_file
from course_lib.sandbox.words import printable

from .protocol_trial import part
from .redis_clients import BINARY, Redis


def redis_benchmark(redis: Redis) -> None:
    if not (program := shutil.which("redis-benchmark")):
        redis.attempt.note("redis-benchmark is not installed, so it did not ask: sudo apt-get install redis-tools")
        return
    host, port = redis.trial.address
    for pipeline in 1, 16:
        command = f"redis-benchmark -t ping,set,get -n 500 -c 20 -P {pipeline}"
        with memory_file("said") as output:
            asked = subprocess.Popen(
                [program, *command.split()[1:], "-q", "-h", host, "-p", str(port)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
            try:
                through = redis.process.until(lambda: asked.poll() is not None, 3.0)
            finally:
                asked.kill()
                asked.wait()
            output.seek(0)
            said = output.read().decode(errors="replace")
        if not through:
            redis.left_open()
            what = f"`{command}` is not through after 3 s"
            redis.ask(redis.first, (b"PING",), b"+PONG\r\n", f"{what}, and another client sent")
            raise Wrong(f"{what}: it still waits for an answer.")
        if asked.returncode or said.count("requests per second") < 4:
            redis.raised(f"`{command}` asked")
            lines = [line for line in re.split(r"[\r\n]+", said) if "rror" in line] or [said.strip()[-200:]]
            raise Wrong(f"`{command}` was not content: {printable(lines[0].strip())}")
    redis.attempt.good("redis-benchmark: PING, SET and GET, one by one and 16 at once")


def redis_package(redis: Redis) -> None:
    if not importlib.util.find_spec("redis"):
        redis.attempt.note("the Python package redis is not installed, so it did not ask: pip install redis")
        return
    package, backoff = importlib.import_module("redis"), importlib.import_module("redis.backoff")
    once = importlib.import_module("redis.retry").Retry(backoff.NoBackoff(), 0)
    host, port = redis.trial.address
    for protocol in 2, 3:
        what = f"redis.Redis(protocol={protocol})"
        client = package.Redis(host=host, port=port, protocol=protocol, socket_timeout=5, retry=once)
        try:
            asked = "set() and get()"
            got = client.set("binary", BINARY), client.get("binary"), client.get("nothing")
            if got != (True, BINARY, None):
                raise Wrong(f"{what}: set() and get() gave {part(repr(got).encode())}.")
            asked = "a pipeline of 1000 commands"
            pipeline = client.pipeline(transaction=False)
            for number in range(500):
                pipeline.set(f"key {number}", number).get(f"key {number}")
            got = pipeline.execute()
            if got != [each for number in range(500) for each in (True, b"%d" % number)]:
                raise Wrong(f"{what}: in a pipeline of 1000 commands, not all answers were right.")
        except package.RedisError as error:
            redis.raised(f"{what}, {asked}")
            raise Wrong(f"{what}, {asked}: {type(error).__name__}: {printable(str(error))[:200]}") from None
        finally:
            client.close()
    redis.attempt.good("the redis package: bytes of all values, a pipeline of 1000, RESP2 and RESP3")
