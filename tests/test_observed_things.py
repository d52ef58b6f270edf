"""The panel on whatever has descriptors: it is looked at and never read, and each button works or says why not."""

import asyncio
import contextlib
import http.server
import os
import queue
import select
import selectors
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace

import pytest
import redis
import uvloop
from tornado.tcpserver import TCPServer

from course_lib.kernel import descriptors, wait_until
from course_lib.servers import BlockingServer
from course_lib.widgets import observe

CLOSED = "All that this panel shows is closed. Run the cell again."
EMPTY = "What this panel shows holds no descriptor now."


def rows(thing) -> list[tuple[int, str]]:
    return [(row["number"], row["kind"]) for row in observe(thing).state()["rows"]]


def refused(thing, why: str) -> None:
    for look in observe, descriptors:
        with pytest.raises(TypeError, match=why):
            look(thing)


def cannot_connect(panel, why: str) -> None:
    state = panel.state()
    assert not state["can_connect"] and state["why_not"].startswith(why)


def beside_asyncio_server(look, loop_factory=None, **more) -> None:
    """`look(server)`, while a server of asyncio listens on loopback."""

    async def serve():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, **more)
        look(server)
        server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve())


TLS = "This listener speaks TLS"

# In a process of its own, for such a library keeps a loop, and what its loop has open.
LOOKS = """
from course_lib.widgets import observe

def look(thing, sock):
    for each in thing, [thing], sock:
        ((number, kind),) = [(row["number"], row["kind"]) for row in observe(each).state()["rows"]]
        assert number == sock.fileno(), each
    print(kind)
"""

GEVENT = """
from gevent import Timeout, event, server, socket

came = event.AsyncResult()
listening = server.StreamServer(("127.0.0.1", 0), lambda sock, address: came.set(look(sock, sock)))
listening.start()
look(listening, listening.socket)
with socket.create_connection(listening.address) as client:
    look(client, client)
    came.get(timeout=60)
listening.stop()
"""

TRIO = """
import trio, trio.testing

async def main():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    look(listener, listener.socket)
    client = await trio.testing.open_stream_to_socket_listener(listener)
    look(client, client.socket)
    stream = await listener.accept()
    look(stream, stream.socket)

trio.run(main)
"""


class TestWhatIsTaken:
    def test_a_number_a_pair_and_every_kind_of_collection(self, ends):
        one, other = ends
        both = sorted([(one.fileno(), "unix socket"), (other.fileno(), "unix socket")])
        assert rows(one.fileno()) == both[:1] or rows(one.fileno()) == both[1:]
        for many in (
            [one, other],
            (one, other.fileno()),
            {one.fileno(), other.fileno()},
            deque([one, other]),
            {"a": one, "b": other},
            {one.fileno(): one, other.fileno(): other}.values(),
        ):
            assert rows(many) == both and len(descriptors(many if not isinstance(many, dict) else many.values())) == 2
        assert repr(observe([one, other])) == "observe(2 sockets)" and repr(observe(one.fileno())) == "observe(1 thing)"

    def test_pipes_and_files_are_not_read(self, kept, ends, tmp_path):
        read, write = os.pipe()
        reader, writer = kept(open(read)), kept(open(write, "w"))
        assert rows(reader) == [(read, "pipe")]  # and does not hang
        assert rows([reader, writer]) == [(read, "pipe"), (write, "pipe")]
        (tmp_path / "text").write_text("one\ntwo\n")
        file = kept(open(tmp_path / "text"))
        assert rows(file) == [(file.fileno(), "file")] and file.read() == "one\ntwo\n"
        one, other = ends
        stream = kept(one.makefile())
        other.sendall(b"line\n")
        assert rows(stream) == [(one.fileno(), "unix socket")] and stream.readline() == "line\n"

    def test_the_pipes_of_a_child(self, kept):
        child = kept(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert {kind for _, kind in rows([child.stdin, child.stdout])} == {"pipe"}
        child.stdin.close()

    def test_an_epoll_with_its_interest_list(self, ends):
        one, other = ends
        for thing in (select.epoll(), selectors.EpollSelector()):
            with contextlib.closing(thing):
                assert rows(thing) == [(thing.fileno(), "epoll")]
                thing.register(one, 1)
                panel = observe(thing)
                shown = {row["number"]: row["watched"] for row in panel.state()["rows"]}
                assert shown == {thing.fileno(): "", one.fileno(): f"{thing.fileno()}: IN"}
                thing.register(other, 1)
                assert len(panel.state()["rows"]) == 3

    @pytest.mark.parametrize("kind", [selectors.SelectSelector, selectors.PollSelector])
    def test_a_selector_without_a_descriptor_of_its_own(self, kept, ends, kind):
        one, _ = ends
        selector = kept(kind())
        panel = observe(selector)
        selector.register(one, selectors.EVENT_READ)
        assert [row["number"] for row in panel.state()["rows"]] == [one.fileno()]
        selector.close()
        assert panel.state()["note"] == EMPTY

    @pytest.mark.parametrize("kind", [socketserver.TCPServer, socketserver.ThreadingTCPServer, http.server.HTTPServer])
    def test_servers_of_the_standard_library(self, kept, kind):
        server = kept(kind(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler))
        state = observe(server).state()
        assert [(row["number"], row["kind"]) for row in state["rows"]] == [(server.fileno(), "listener")] and state["can_connect"]

    def test_asyncio_servers_and_streams(self):
        async def look():
            async def talk(reader, writer):
                connections.append(rows(writer))
                writer.close()

            connections = []
            server = await asyncio.start_server(talk, "127.0.0.1", 0)
            listener = server.sockets[0].fileno()
            assert rows(server) == rows(server.sockets) == rows(list(server.sockets)) == [(listener, "listener")]
            panel = observe(server)
            panel._click("blocking", {"of": "listener", "blocking": True})
            assert os.get_blocking(listener)
            os.set_blocking(listener, False)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            assert [kind for _, kind in connections[0]] == ["connection"]
            writer.close()
            server.close()
            assert panel.state()["note"] == EMPTY

        asyncio.run(look())

    def test_servers_that_speak_tls_say_so(self, kept):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        beside_asyncio_server(lambda server: cannot_connect(observe(server), TLS), ssl=context)
        server = kept(socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        cannot_connect(observe(server), TLS)

    def test_uvloops_server(self):
        def look(server):
            assert rows(server) == rows(server.sockets) == [(server.sockets[0].fileno(), "listener")]

        beside_asyncio_server(look, uvloop.new_event_loop)

    def test_tornados_server(self, listener):
        async def look():
            server = TCPServer()
            server.add_socket(listener)
            assert rows(server) == [(listener.fileno(), "listener")]
            server.stop()

        asyncio.run(look())

    @pytest.mark.parametrize("library", [GEVENT, TRIO], ids=["gevent", "trio"])
    def test_the_server_and_the_sockets_of_another_library(self, library):
        ran = subprocess.run([sys.executable, "-c", LOOKS + library], capture_output=True, text=True)
        assert ran.stdout.split() == ["listener", "connection", "connection"], ran.stderr

    @pytest.mark.parametrize(
        "names",
        [
            ["socket"],  # gevent's StreamServer, trio's SocketListener, tornado's IOStream
            ["sockets", 1],
            ["_sockets", {}],  # tornado's TCPServer
            ["servers", 1, "sockets", 1],  # uvicorn
            ["sites", 1, "_server", "sockets", 1],  # aiohttp's AppRunner
            ["_server", "sockets", 1],  # its TCPSite
            ["_listener", "_socket"],  # multiprocessing.connection.Listener
            ["sock"],  # http.client and all that is made like it
            ["connection"],  # socketserver's handler of a request
        ],
        ids=lambda names: ".".join(name for name in names if isinstance(name, str)),
    )
    def test_a_thing_that_holds_its_listener_in_another_thing(self, listener, names):
        held = listener
        for name in reversed(names):
            held = [held] if name == 1 else {7: held} if name == {} else type("Holder", (), {name: held})()
        assert rows(held) == rows([held]) == [(listener.fileno(), "listener")] and len(descriptors(held)) == 1
        assert observe(held).state()["can_connect"]

    def test_an_asyncio_loop_with_all_that_it_watches(self):
        def look(server):
            assert (server.sockets[0].fileno(), "listener") in rows(asyncio.get_running_loop())

        beside_asyncio_server(look)

    def test_a_selectors_key_and_its_map(self, kept, ends):
        one, other = ends
        selector = kept(selectors.DefaultSelector())
        key = selector.register(one, selectors.EVENT_READ)
        selector.register(other, selectors.EVENT_READ)
        assert rows(key) == [(one.fileno(), "unix socket")] and rows(selector.get_map()) == rows(selector)

    def test_servers_of_the_course_in_a_list(self):
        with BlockingServer() as one, BlockingServer() as other:
            assert rows([one, other]) == sorted((*rows(one), *rows(other))) and len(rows([one, other])) == 2

    def test_a_number_that_is_none_of_pythons(self):
        class Number:  # as numpy's
            def __index__(self):
                return 0

        assert [number for number, _ in rows(Number())] == [0] and rows([Number()]) == rows(0)

    def test_more_than_can_be_looked_at_is_one_sentence(self):
        assert observe(range(2000)).state()["rows"]
        with pytest.raises(TypeError, match="a list may have 65,536 of these, and this range has 1,000,000$"):
            observe(range(1_000_000))

    @pytest.mark.parametrize("number", [-1, 1 << 31, 1 << 32, 10**30])
    def test_a_number_that_names_nothing_is_closed(self, number):
        assert "is closed" in observe(number).state()["note"] and descriptors(number) == []

    @pytest.mark.parametrize("name", ["fileno", "pid", "sockets", "socket"])
    def test_a_thing_that_refuses_to_tell_is_one_sentence(self, name):
        def refuses(self):
            raise RuntimeError("not started")

        thing = type("Shy", (), {name: property(refuses)})()
        with pytest.raises(TypeError, match="; this Shy has no descriptor now$"):
            observe(thing)
        if name == "fileno":
            with pytest.raises(TypeError, match="this Shy has no descriptor"):
                observe(type("Shy", (), {name: refuses})())

    def test_what_it_held_is_gone(self, listener):
        holder = type("Client", (), {"sock": listener})()
        panel = observe(holder)
        holder.sock = None
        assert panel.state()["note"] == EMPTY

    def test_what_is_closed_is_said(self):
        one, other = socket.socketpair()
        file = open(os.devnull)
        for thing in (one, other, file):
            thing.close()
        for thing in (one, [one, other], file, 10_000):
            assert observe(thing).state()["note"] == CLOSED

    @pytest.mark.parametrize(
        "thing",
        [selectors.SelectSelector(), selectors.PollSelector(), SimpleNamespace(sockets=[]), SimpleNamespace(sites=[])],
        ids=["select", "poll", "a Poller of zmq", "an AppRunner of aiohttp"],
    )
    def test_what_holds_nothing_yet_is_not_said_to_be_closed(self, thing):
        assert observe(thing).state()["note"] == EMPTY and descriptors(thing) == []

    def test_of_a_dict_the_sockets_are_meant(self, ends):
        one, other = ends
        number, seen = one.fileno(), [(one.fileno(), "unix socket")]
        for many in (
            {one: 0},  # as bytes for each socket
            {one: b""},
            {one: None},
            {one: queue.Queue()},
            weakref.WeakKeyDictionary({one: 1}),
            MappingProxyType({one: other}),
            {"a": one},
            {0: one},
            {number: 0},
            {number: "a"},
            {"a": number},
            {type("Writer", (), {"sock": one})(): "a"},
        ):
            assert rows(many) == seen == [(row.number, row.kind) for row in descriptors(many)]
            assert rows(SimpleNamespace(sockets=many)) == seen or not isinstance(many, Mapping)
        with pytest.raises(TypeError, match="in this dict, at 1, this str has no descriptor now"):
            observe({one: 0, "text": 1})

    def test_what_notes_its_process_is_no_process(self, ends):
        sock, _ = ends
        assert rows(SimpleNamespace(pid=os.getpid(), sock=sock)) == [(sock.fileno(), "unix socket")]
        client = redis.Connection()
        assert client.pid == os.getpid()
        with pytest.raises(TypeError, match="; this Connection has no descriptor now$"):
            observe(client)
        client._sock = sock
        assert rows(client) == [(sock.fileno(), "unix socket")]
        client._sock = None

    def test_a_connection_that_knows_its_server_is_the_connection(self, kept):
        found = []

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.connection = self.request  # as StreamRequestHandler
                found.append(rows(self) == rows(self.request))

        class Protocol(asyncio.Protocol):  # as websockets'
            def connection_made(self, transport):
                self.transport, self.server = transport, server
                found.append([kind for _, kind in rows(self)] == ["connection"])
                transport.close()

        async def look():
            await asyncio.get_running_loop().create_connection(Protocol, *server.server_address)

        server = kept(socketserver.TCPServer(("127.0.0.1", 0), Handler))
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        asyncio.run(look())
        thread.join()
        assert found == [True, True]

    def test_a_method_that_makes_a_socket_is_not_one(self, listener):
        assert rows(SimpleNamespace(socket=lambda: None, sock=listener)) == rows(listener)  # imaplib's

    def test_the_sentence_names_what_was_passed(self, kept):
        class Context:  # as zmq's, which makes sockets
            def socket(self): ...

        loop = kept(contextlib.closing(uvloop.new_event_loop()))
        asks = "this Loop has no selector to ask: pass its servers, streams or sockets"
        for thing, why in (Context(), "this Context has no descriptor now"), (loop, asks):
            refused(thing, f"{why}$")

    def test_a_thing_with_no_configuration_yet(self, kept):
        class Lazy:
            def __getattr__(self, name):
                raise RuntimeError("not configured")

        class Sock(Lazy):
            def fileno(self):
                return 0

        for thing in Lazy(), [Lazy()]:
            refused(thing, "this Lazy has no descriptor now$")
        sock = Sock()
        assert rows(sock) == rows([sock]) == rows(0) and observe(sock)

    def test_a_proxy_of_what_is_gone(self):
        sock = socket.socket()
        proxy = weakref.proxy(sock)
        panel = observe(proxy)
        assert [number for number, _ in rows([proxy])] == [sock.fileno()]
        del sock
        assert panel.state()["note"] == CLOSED and panel.picture() and repr(panel) == "observe(1 thing)"
        assert not observe(0).is_its(proxy)
        panel._click("blocking", {"of": "connections", "blocking": True})
        for thing in proxy, [proxy]:
            refused(thing, "what this .*[Pp]roxy.* stands for is gone$")


def talks_through(panel, listener) -> None:
    """One client connects by a click, is accepted, known by its name, and gets an answer; another is cut off."""
    assert panel.state()["can_connect"] and panel.state()["why_not"] == ""
    panel._act({"type": "connect"})
    connection, _ = listener.accept()
    with connection:
        panel.subject.things.append(connection)
        alice = panel.clients.by_name["alice"]
        assert panel._note == "" and wait_until(lambda: alice.look() or alice.state == "connected")
        assert "alice" in [row["peer"] for row in panel.state()["rows"]]
        panel._act({"type": "send", "client": "alice", "text": "hello"})
        assert connection.recv(10) == b"hello"
        connection.sendall(b"back")
        assert wait_until(lambda: alice.look() or alice.last == b"back")
        panel._act({"type": "reset", "client": "alice"})
        assert not alice.open and panel._note == ""
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(10) == b""


class TestButtons:
    @pytest.mark.parametrize(
        "family, host",
        [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")],
    )
    def test_clients_of_a_tcp_listener(self, kept, family, host):
        listener = kept(socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::"))
        talks_through(observe([listener]), listener)

    def test_an_ipv4_client_of_a_dual_stack_listener_is_known_by_its_name(self, kept):
        listener = kept(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        client = kept(socket.create_connection(("127.0.0.1", listener.getsockname()[1])))
        connection = kept(listener.accept()[0])
        assert [row["peer"] for row in observe([listener, connection], mine=client).state()["rows"]] == ["", "mine"]

    @pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
    @pytest.mark.parametrize("name", ["path", "abstract"])
    def test_clients_of_a_unix_listener(self, kept, tmp_path, name, type_):
        listener = kept(socket.socket(socket.AF_UNIX, type_))
        listener.bind(str(tmp_path / "door") if name == "path" else "\0course-" + os.urandom(4).hex())
        listener.listen()
        talks_through(observe([listener]), listener)

    def test_a_full_accept_queue_of_a_unix_listener_is_said(self, kept, tmp_path):
        listener = kept(socket.socket(socket.AF_UNIX))
        listener.bind(str(tmp_path / "door"))
        listener.listen(0)
        panel = observe(listener)
        panel._act({"type": "connect", "many": True})
        assert "refused: the accept queue is full" in {client.state for client in panel.clients.by_name.values()}
        panel.clients.close()

    @pytest.mark.parametrize("family, address", [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, "")])
    def test_a_datagram_socket_says_why_not(self, kept, family, address):
        one = kept(socket.socket(family, socket.SOCK_DGRAM))
        one.bind(address)
        panel = observe(one)
        cannot_connect(panel, "A datagram socket has no connections")
        panel._act({"type": "connect"})
        assert panel._note == panel.state()["why_not"]

    def test_a_connection_alone_says_that_nobody_listens(self, ends):
        assert observe(ends[0]).state()["why_not"] == "Nobody listens, so a client would be refused."

    def test_modes_of_what_is_no_tcp_socket(self, kept):
        read, write = os.pipe()
        kept(open(read)), kept(open(write, "w"))
        udp = kept(socket.socket(type=socket.SOCK_DGRAM))
        panel = observe([read, udp])
        assert panel.state()["connections"] == "blocking"
        panel._act({"type": "blocking", "of": "connections", "blocking": False})
        assert panel.state()["connections"] == "non-blocking" and udp.gettimeout() == 0.0 and not os.get_blocking(read)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_tls_what_openssl_holds_is_said_and_its_listener_says_why_not(kept, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    how = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(how.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    listener = kept(context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True))
    cannot_connect(observe(listener), TLS)
    accepted = []
    server = threading.Thread(target=lambda: accepted.append(kept(listener.accept()[0])))
    server.start()
    client = kept(trusting.wrap_socket(socket.create_connection(listener.getsockname())))
    server.join()
    client.sendall(b"hello world")
    assert accepted[0].recv(1) == b"h"
    row = observe(accepted[0]).state()["rows"][0]
    assert row["receive"] == "0 + 10 in OpenSSL" and not row["readable"]
