"""A film as a page: one file, offline, small; the still says what matters; text of the network stays text."""

import json
import re
import socket

import pytest

from course_lib.film import film
from course_lib.film.page import MOST_ROWS, data, fragment, still
from course_lib.servers import BlockingServer, CoroutineServer, EpollServer, SelectServer

pytestmark = pytest.mark.usefixtures("nothing_is_left")

MARKUP = b"</script><img src=x onerror=alert(1)><!--"


def markup(connect):
    connect()
    yield
    connect("<b>bold</b>").send(MARKUP)
    yield


def many(connect):
    clients = [connect() for _ in range(19)]
    yield
    for client in clients[:10]:
        client.send(b"hello from " + client.name.encode())
    yield


@pytest.fixture(scope="module")
def blocked():
    return film(BlockingServer(), markup)


def outside_of_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_a_file_of_forty_calls_is_small_and_asks_for_nothing_else(tmp_path):
    for server in (EpollServer(), SelectServer(), CoroutineServer()):
        path = film(server, many, calls=40).save(tmp_path / "film.html")
        text = path.read_text()
        assert len(text.encode()) <= 250_000
        assert set(re.findall(r"https?://[^\"' )]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, no address


def test_where_no_script_runs_the_decisive_moment_is_told(blocked):
    seen = outside_of_scripts(blocked._repr_html_())
    assert (
        "The server sleeps in recv(): it waits for alice alone. Meanwhile &lt;b&gt;bold&lt;/b&gt; stands in the accept queue."
        in seen
    )
    assert "<code>while data := connection.recv(" in seen and "<td>listener</td>" in seen


def test_text_of_the_network_is_no_markup(blocked, tmp_path):
    served = film(EpollServer(), markup)
    for page in (
        fragment(blocked),
        fragment(served),
        served.save(tmp_path / "film.html").read_text(),
        blocked.beside(served)._repr_html_(),
    ):
        assert page.count("</script>") == 1 and "<img" not in page and "<b>bold" not in page and "<!--" not in page
    # and all of it is there
    assert any(
        client[4].startswith("</script>"[:5]) or "onerror" in client[4] for state in data(served)["clients"] for client in state
    )


def test_the_data_tell_each_moment(blocked):
    told = json.loads(json.dumps(data(blocked)))
    assert len(told["moments"]) == len(blocked)
    for number, (m, shown) in enumerate(zip(blocked, told["moments"])):
        assert (
            shown["call"] == str(m.call or "")
            and shown["state"] == blocked.state(number)
            and shown["asks"] == blocked.asks(number)
        )
        assert told["lines"][shown["place"]["at"]].strip() == m.position.own.text
        assert [told["rows"][i]["number"] for i in shown["rows"]] == [d.number for d in m.descriptors]


def test_of_many_descriptors_those_that_calls_are_made_on_are_shown():
    with EpollServer() as server:
        clients = [socket.create_connection(server.address, timeout=60) for _ in range(40)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        server.hold()
        clients[35].sendall(b"me")
        filmed = film(server, calls=6)
        for client in clients:
            client.close()
    told = data(filmed)
    assert all(len(m["rows"]) == MOST_ROWS and m["hidden"] == 42 - MOST_ROWS for m in told["moments"])
    reads = [m for m in told["moments"] if m["label"] == "read"]
    assert reads and all(m["threads"][0][1] in [told["rows"][i]["number"] for i in m["rows"]] for m in reads)


def test_a_film_without_moments_says_why(monkeypatch):
    from course_lib.film import filming

    monkeypatch.setattr(filming, "_BUSY", 0.05)

    class Busy(BlockingServer):
        def serve(self, listener):
            while True:
                pass

    filmed = film(Busy())
    assert len(filmed) == 0 and "computes" in still(filmed)


def test_only_a_film_stands_beside_a_film(blocked):
    with pytest.raises(TypeError, match="beside another film, not str"):
        blocked.beside("a film")
