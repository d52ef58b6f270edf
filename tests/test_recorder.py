"""The recorder: what it sees of a plain server, that it can hold one, and that it costs nothing when off."""

import asyncio
import contextlib
import copy
import ctypes
import gc
import inspect
import itertools
import json
import os
import pickle
import pydoc
import re
import select
import selectors
import shutil
import socket
import struct
import subprocess
import threading
import types
import warnings
import weakref

import pytest
from every_server import ask, asleep, connect, serving
from every_server import visit as one_visit
from held import python, together

from course_lib.kernel import Call, Recorder, recordable, wait_until
from course_lib.kernel import recorder as recorder_module
from course_lib.lab import reset
from course_lib.servers import BlockingServer, Server, stop_all
from course_lib.widgets.words import fate

# Servers as a learner would write them


class SelectServer(Server):
    def serve(self, listener):
        connections = []
        while True:
            readable, _, _ = select.select([listener, *connections], [], [])
            for sock in readable:
                if sock is listener:
                    connections.append(sock.accept()[0])
                elif data := sock.recv(4096):
                    sock.sendall(self.answer(data))
                else:
                    connections.remove(sock)
                    sock.close()


class PollServer(Server):
    def serve(self, listener):
        self.serve_by(select.poll(), select.POLLIN, listener)

    def serve_by(self, waiter, reading, listener):
        connections = {}
        waiter.register(listener, reading)
        while True:
            for number, _ in waiter.poll():
                if number == listener.fileno():
                    connection, _ = listener.accept()
                    connections[connection.fileno()] = connection
                    waiter.register(connection, reading)
                elif data := connections[number].recv(4096):
                    connections[number].sendall(self.answer(data))
                else:
                    waiter.unregister(number)
                    connections.pop(number).close()


class EpollServer(PollServer):
    def serve(self, listener):
        with select.epoll() as self.epoll:
            self.serve_by(self.epoll, select.EPOLLIN, listener)


class SelectorServer(Server):
    selector_class = selectors.DefaultSelector

    def serve(self, listener):
        with self.selector_class() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is listener:
                        selector.register(listener.accept()[0], selectors.EVENT_READ)
                    elif data := key.fileobj.recv(4096):
                        key.fileobj.sendall(self.answer(data))
                    else:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()


WAITING = {
    BlockingServer: "accept",
    SelectServer: "select",
    PollServer: "poll",
    EpollServer: "epoll_wait",
    SelectorServer: "epoll_wait",
}
MODELS = list(WAITING)
EACH = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


@pytest.fixture(autouse=True)
def no_server_is_left():
    yield
    stop_all()
    assert not recordable._of_thread


def names(calls: list[Call]) -> list[str]:
    return [call.name for call in calls]


def note(server: Server) -> str:
    """What a panel says of it."""
    return fate(server, server.descriptors(), server.doing())


def stands(server: Server) -> bool:
    """Does it come to stand before a call?"""
    return wait_until(lambda: server.pending)


def into(receive) -> bytes:
    """What a method that fills a buffer received."""
    buffer = bytearray(100)
    return bytes(buffer[: receive(buffer)[0]])


def visit(server: Server) -> None:
    """One client that comes, asks, and goes; afterwards its server waits for the next one."""
    one_visit(server)
    assert asleep(server, WAITING.get(type(server), "accept"))


def put(server: Server, client: socket.socket, state: str) -> None:
    """Into one of the states "running", "recording" and "held": before the call that serves this client."""
    server.record(state == "recording")
    if state == "held":
        server.hold()
        client.sendall(b"x")
        assert stands(server)


@pytest.fixture(params=MODELS, ids=lambda model: model.__name__)
def server(request):
    with request.param() as server:
        assert asleep(server, WAITING[request.param])
        yield server


class TestOnALiveServer:
    def test_on_and_off_while_it_sleeps(self, server):
        visit(server)
        assert server.calls() == [] and not server.recording
        for times in (1, 2):
            server.record()
            assert server.recording
            visit(server)
            server.record(False)
            seen = names(server.calls())
            assert [seen.count(name) for name in ("accept", "recv", "sendall", "close")] == [times, 2 * times, times, times]
        before = server.calls()
        visit(server)
        # The waiting call that was under way when recording ended may still be entered; no call that began later is.
        assert names(server.calls())[len(before) :] in ([], [WAITING[type(server)]])

    def test_the_waiting_calls_are_seen(self, server):
        server.record()
        visit(server)
        visit(server)
        server.record(False)
        waiting = [call for call in server.calls() if call.name == WAITING[type(server)]]
        assert len(waiting) >= 2
        assert all(call.result and not call.error for call in waiting)

    def test_on_while_it_sleeps_in_recv(self):
        with BlockingServer() as server, connect(server) as client:
            assert asleep(server, "recv")
            server.record()
            assert ask(client, b"one") == b"one" and ask(client, b"two") == b"two"
            assert wait_until(lambda: len(server.calls()) >= 3)
            # The recv that slept when recording began was a plain one.
            assert names(server.calls())[:3] == ["sendall", "recv", "sendall"]

    def test_it_goes_on_after_a_stop_and_a_new_start(self, server):
        server.record()
        server.stop()
        before = len(server.calls())
        server.start()
        visit(server)
        assert "accept" in names(server.calls()[before:])

    def test_a_learners_own_function(self):
        def my_loop(listener):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while data := connection.recv(100):
                        connection.send(data[::-1])

        with serving(my_loop) as server:
            server.record()
            with connect(server) as client:
                assert ask(client, b"abc") == b"cba"
            assert wait_until(lambda: "close" in names(server.calls()))
            assert names(server.calls())[:5] == ["accept", "recv", "send", "recv", "close"]


class TestWhatACallSays:
    def test_the_values(self):
        with BlockingServer(answer=bytes.upper) as server:
            assert asleep(server, "accept")
            server.record()
            visit_text = b"hello " * 20
            with connect(server) as client:
                assert ask(client, visit_text) == visit_text.upper()
            assert wait_until(lambda: len(server.calls()) == 5)
            accept, recv, sendall, end, close = server.calls()
            number = accept.result
            assert isinstance(number, int) and {call.descriptor for call in (recv, sendall, end, close)} == {number}
            listener = server.descriptors()[0].number
            assert (accept.name, accept.descriptor, accept.error, accept.data) == ("accept", listener, None, b"")
            assert (recv.name, recv.result, recv.data) == ("recv", 120, visit_text[:32])
            assert (sendall.name, sendall.result, sendall.data) == ("sendall", 120, visit_text[:32].upper())
            assert (end.name, end.result, end.data) == ("recv", 0, b"")
            assert (close.name, close.error) == ("close", None)
            assert all(call.seconds > 0 for call in server.calls())
            assert all(a.entered + a.seconds <= b.entered for a, b in itertools.pairwise(server.calls()))

    @pytest.mark.parametrize(
        ("entry", "line"),
        [
            ((1.0, 1.000004, 7, b"hello"), "recv(7) = 5 b'hello' <0.000004>"),
            ((1.0, 1.000004, 7, b"x" * 40), f"recv(7) = 40 b'{'x' * 32}'… <0.000004>"),
            ((1.0, 1.000004, 7, 2, b"hello"), "send(7) = 2 b'he' <0.000004>"),
            ((1.0, 1.000004, 7, "recv", 4096, 0, b"x" * 32), f"recv(7) = 4096 b'{'x' * 32}'… <0.000004>"),
            ((1.0, 1.000004, 7, "recv", None, 11, b""), "recv(7) = -1 EAGAIN <0.000004>"),
            ((1.0, 2.5, 7, "close", None, 0, b""), "close(7) = 0 <1.500000>"),
            ((1.0, 1.000001, None, "select", [[7], [], []], 0, b""), "select() = [7], [], [] <0.000001>"),
            (
                (1.0, 1.000001, 9, "epoll_wait", [(7, select.EPOLLIN | select.EPOLLHUP)], 0, b""),
                "epoll_wait(9) = [(7, EPOLLIN | EPOLLHUP)] <0.000001>",
            ),
            ((1.0, 1.000001, None, "poll", [(7, select.POLLIN)], 0, b""), "poll() = [(7, POLLIN)] <0.000001>"),
        ],
    )
    def test_printed_like_strace(self, entry, line):
        recorder = Recorder()
        recorder.append(entry)
        assert str(recorder.calls()[0]) == line

    def test_a_running_server_prints_such_lines(self, server):
        server.record()
        visit(server)
        lines = list(map(str, server.calls()))
        assert all(re.fullmatch(r"\w+\([^)]*\) = .+ <\d+\.\d{6}>", line) for line in lines)
        assert any(re.fullmatch(r"recv\(\d+\) = 5 b'hello' <.*>", line) for line in lines)

    def test_eagain(self):
        def impatient(listener):
            connection, _ = listener.accept()
            connection.setblocking(False)
            try:
                connection.recv(10)
            except BlockingIOError:
                connection.sendall(b"nothing yet")
                connection.setblocking(True)
            connection.recv(10)

        with serving(impatient) as server:
            server.record()
            with connect(server) as client:
                assert client.recv(100) == b"nothing yet"
            server.wait()
            failed = server.calls()[1]
            assert (failed.name, failed.error, failed.result, failed.data) == ("recv", "EAGAIN", None, b"")
            assert failed.outcome == "-1 EAGAIN"

    def test_a_reset(self):
        with BlockingServer() as server:
            assert asleep(server, "accept")
            server.record()
            client = connect(server)
            assert ask(client, b"x") == b"x"
            reset(client)
            assert wait_until(lambda: len(server.calls()) == 5)
            assert [(call.name, call.error) for call in server.calls()[-2:]] == [("recv", "ECONNRESET"), ("close", None)]


class TestTheRing:
    def test_it_is_bounded_and_the_newest_stay(self):
        recorder = Recorder()
        for number in range(3 * recorder_module.KEPT):
            recorder.append((1 + number, 2 + number, number, "close", None, 0, b""))
        kept = recorder.calls()
        assert len(kept) == recorder_module.KEPT and kept[-1].descriptor == 3 * recorder_module.KEPT - 1
        assert recorder.calls(3) == kept[-3:] and recorder.calls(0) == [] and len(recorder.calls(10**9)) == len(kept)

    def test_of_a_server(self, monkeypatch):
        monkeypatch.setattr(recorder_module, "KEPT", 30)
        with BlockingServer() as server:
            server.record()
            with connect(server) as client:
                for number in range(100):
                    assert ask(client, b"%d" % number)
            assert wait_until(lambda: server.calls(1)[0].name == "close")
            assert len(server.calls()) == 30 and b"99" in [call.data for call in server.calls()]

    def test_calls_a_second_are_those_of_this_recording(self, monkeypatch):
        clock = itertools.count(step=0.5)
        monkeypatch.setattr(recorder_module, "now", lambda: next(clock))
        recorder = Recorder()
        assert recorder.rate() == 0
        recorder.record(True)
        for number in range(1, 9):
            recorder.append((number, number, 3, b"x"))
        clock = itertools.count(5)
        assert recorder.rate() == 8 / (5 - 1)
        recorder.record(False)
        assert recorder.rate() == 0
        recorder.record(True)
        assert recorder.rate() == 0  # the kept calls are of the first recording


class TestOffItIsNotThere:
    @pytest.mark.parametrize("after", ["never on", "on and off", "held and run on"])
    def test_the_methods_are_those_of_the_standard_library(self, after):
        with EpollServer() as server, connect(server) as client:
            assert ask(client, b"x") == b"x"
            if after == "on and off":
                put(server, client, "recording")
                assert ask(client, b"x") == b"x"
                server.record(False)
            if after == "held and run on":
                put(server, client, "held")
                server.run_on()
                assert client.recv(1) == b"x"
            with connect(server) as newer:
                assert ask(newer, b"x") == b"x"
                sockets = server._open_sockets()
                assert len(sockets) == 3
                for sock in sockets:
                    for name in ("recv", "recv_into", "send", "sendall", "shutdown", "close"):
                        assert getattr(type(sock), name) is getattr(socket.socket, name)
            for name in ("poll", "register", "modify", "unregister"):
                method = getattr(server.epoll, name)
                assert type(method) is types.BuiltinMethodType and type(method.__self__).__name__ == "epoll"

    @pytest.mark.parametrize("state", ["running", "recording", "held"])
    @pytest.mark.parametrize("where", ["main thread", "another thread"])
    def test_others_have_the_raw_things(self, state, where):
        def use_everything():
            use_select(), use_selectors(), asyncio.run(use_asyncio())
            assert subprocess.run(["cat"], input=b"cat", capture_output=True).stdout == b"cat"

        with EpollServer() as server, connect(server) as client:
            assert ask(client, b"x") == b"x"
            put(server, client, state)
            before = server.calls()
            if where == "main thread":
                use_everything()
            else:
                together(use_everything)
            assert server.calls() == before

    def test_a_server_that_is_collected_leaves_no_recorder(self):
        server = EpollServer().start()
        server.record()
        visit(server)
        recorder, epoll, sock = weakref.ref(server._recorder), weakref.ref(server.epoll), weakref.ref(server._open_sockets()[0])
        server.stop()
        del server
        gc.collect()
        assert (recorder(), epoll(), sock()) == (None, None, None)

    def test_waiters_of_a_server_that_was_started_often_do_not_pile_up(self):
        server = EpollServer()
        for _ in range(20):
            server.start()
            assert asleep(server, "epoll_wait")
            server.stop()
        server.epoll = None
        gc.collect()
        assert len(server._recorder._switches) == 1  # the server's own


def use_select() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        assert select.select([listener], [], [], 10)[0] == [listener]
        epoll = select.epoll()
        assert isinstance(epoll, select.epoll) and type(epoll).__name__ == "epoll" and type(epoll).__module__ == "select"
        with epoll:
            epoll.register(listener, select.EPOLLIN)
            assert epoll.poll(10) == [(listener.fileno(), select.EPOLLIN)]
            with select.epoll.fromfd(os.dup(epoll.fileno())) as same:
                assert same.poll(10)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        assert poll.poll(10_000) == [(listener.fileno(), select.POLLIN)]
        assert type(poll).__module__ == "select"


def use_selectors() -> None:
    for kind in (selectors.DefaultSelector, selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector):
        one, other = socket.socketpair()
        with one, other, kind() as selector:
            selector.register(one, selectors.EVENT_READ)
            other.send(b"x")
            assert [key.fileobj for key, _ in selector.select(10)] == [one]


async def use_asyncio() -> None:
    async def echo(reader, writer):
        writer.write(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        writer.close()


def seen_by_a_server(look, recorded: bool = False):
    """What `look()` returns in the thread of a server."""
    found = []
    server = serving(lambda listener: found.append(look()))
    server.record(recorded)
    server.start().wait()
    assert server.error is None, server.error
    return found[0]


def library() -> tuple:
    """What a program finds of the standard library's waits, as this thread sees it."""
    waits = select.select, select.poll, select.epoll
    return type(select), *waits, dir(select.epoll), *map(pydoc.render_doc, waits), select.epoll.register, select.epoll.fromfd


def parameters(function) -> inspect.Signature | None:
    """Its signature; None where there is none (Python 3.13 and later cannot read that of `epoll.register`)."""
    try:
        return inspect.signature(function)
    except AttributeError:
        return None


def selectors_own() -> tuple:
    return selectors.SelectSelector._select, selectors.PollSelector._selector_cls, selectors.EpollSelector._selector_cls


class TestTheStandardLibraryIsAsItWas:
    @pytest.fixture(autouse=True)
    def afterwards(self):
        stop_all()
        before, own = library(), selectors_own()
        assert type(select) is types.ModuleType and type(select.epoll) is type
        assert own == (select.select, select.poll, select.epoll)
        yield
        stop_all()
        assert library() == before and selectors_own() == own

    @pytest.mark.parametrize("state", ["running", "recording", "held"])
    def test_for_other_threads_while_a_server_runs(self, state):
        before = library()
        with EpollServer() as server:
            assert asleep(server, "epoll_wait")
            server.record(state == "recording")
            if state == "held":
                server.hold()
            assert library()[1:] == before[1:] and isinstance(select, types.ModuleType)
            from select import epoll

            assert epoll is before[3]
            assert isinstance(server.epoll, select.epoll) and dir(server.epoll) == before[4]
            assert server.epoll.poll.__doc__ == select.epoll.poll.__doc__
            assert repr(server.epoll).startswith("<select.epoll object")
            assert pickle.loads(pickle.dumps(select)) is select and copy.copy(select) is select

    def test_what_a_recordable_thread_finds_looks_and_works_like_it(self):
        def look():
            raw, found = library_in_main[3], select.epoll
            assert set(dir(raw)) <= set(dir(found)) and found.__doc__ == raw.__doc__ and f"{found}" == f"{raw}"
            for name in ("register", "modify", "unregister", "poll", "close", "fileno", "fromfd", "closed"):
                assert getattr(found, name).__doc__ == getattr(raw, name).__doc__
                assert name == "closed" or parameters(getattr(found, name)) == parameters(getattr(raw, name))
            assert select.poll.__doc__ == library_in_main[2].__doc__ and not hasattr(select, "nothing")
            with found() as epoll, found.fromfd(os.dup(epoll.fileno())) as same, raw() as other:
                assert all(isinstance(one, kind) for one in (epoll, same, other) for kind in (found, raw))
                one, peer = socket.socketpair()
                with one, peer:
                    for way in (epoll, other):
                        found.register(way, one, select.EPOLLOUT)
                    assert epoll.poll(0) == same.poll(0) == found.poll(other, 0) == [(one.fileno(), select.EPOLLOUT)]
            assert epoll.closed and found.closed.fget(epoll)
            with pytest.raises(TypeError):
                found("many")
            return True

        library_in_main = library()
        assert seen_by_a_server(look)

    def test_a_program_that_puts_something_else_there_keeps_it(self):
        def look():
            return select.select([], [], []), hasattr(select, "poll")

        with pytest.MonkeyPatch.context() as patch:
            with EpollServer():
                patch.setattr(select, "select", lambda *lists: "own")
                patch.delattr(select, "poll")
                assert seen_by_a_server(look, recorded=True) == ("own", False) == look()
            assert look() == ("own", False)

    def test_each_of_many_is_recordable_while_others_come_and_go(self):
        def come_and_go():
            for _ in range(25):
                with EpollServer() as server:
                    assert asleep(server, "epoll_wait")
                    assert type(server.epoll) is not select.epoll, "it was not recordable from its first line on"

        with EpollServer() as lasting:
            together(*[come_and_go] * 4)
            lasting.record()
            visit(lasting)
            assert "epoll_ctl" in names(lasting.calls())
        together(*[come_and_go] * 4)

    def test_in_a_forked_child_which_has_no_such_thread(self):
        with EpollServer() as server:
            assert asleep(server, "epoll_wait")
            child = os.fork()
            if not child:
                os._exit(not (type(select) is types.ModuleType and selectors_own() == (select.select, select.poll, select.epoll)))
            assert os.waitpid(child, 0)[1] == 0

    def test_in_a_child_of_a_recordable_thread_it_is_still_recordable(self):
        def look():
            child = os.fork()
            if not child:
                os._exit(type(select.epoll()) is library_in_main[3])
            return os.waitpid(child, 0)[1]

        library_in_main = library()
        assert seen_by_a_server(look) == 0


def says_hello(sock: socket.socket) -> None:
    assert ask(sock) == b"hello"


class TestWhatALearnerMayWrite:
    """Recording must not change what a program does."""

    def run(self, serve, client=says_hello) -> list[Call]:
        """Calls of a server that serves one client by `serve(connection)`, while `client(socket)` talks to it; it must not fail."""
        server = serving(lambda listener: serve(listener.accept()[0]))
        server.record()
        with server, connect(server) as sock:
            client(sock)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(10)
            server.wait()
            assert server.error is None
        return server.calls()

    def test_recv_into_with_keywords(self):
        def serve(connection):
            buffer = bytearray(100)
            connection.send(buffer[: connection.recv_into(buffer, nbytes=50)])

        assert [(call.name, call.result) for call in self.run(serve)][1:3] == [("recv_into", 5), ("send", 5)]

    @pytest.mark.parametrize(
        "name, receive",
        [
            ("recvfrom", lambda sock: sock.recvfrom(100)[0]),
            ("recvmsg", lambda sock: sock.recvmsg(100)[0]),
            ("recvfrom_into", lambda sock: into(sock.recvfrom_into)),
            ("recvmsg_into", lambda sock: into(lambda buffer: sock.recvmsg_into([buffer]))),
        ],
    )
    @pytest.mark.parametrize(
        "sends, send",
        [
            ("sendmsg", lambda sock, data: sock.sendmsg([data[:2], memoryview(data)[2:]])),
            ("sendmsg", lambda sock, data: sock.sendmsg(iter([data]))),
            ("sendto", lambda sock, data: sock.sendto(data, sock.getpeername())),
        ],
        ids=["sendmsg", "sendmsg of an iterator", "sendto"],
    )
    def test_the_other_ways_to_receive_and_to_send(self, name, receive, sends, send):
        def serve(connection):
            with pytest.raises(BlockingIOError):
                connection.setblocking(False)
                receive(connection)
            connection.setblocking(True)
            connection.sendall(b"now")
            send(connection, receive(connection))

        def client(sock):
            assert sock.recv(10) == b"now"
            says_hello(sock)

        _, early, _, received, sent, *_ = self.run(serve, client)
        assert (early.name, early.error) == (name, "EAGAIN")
        assert (received.name, received.result, received.data) == (name, 5, b"" if name.endswith("into") else b"hello")
        assert (sent.name, sent.result) == (sends, 5) and sent.data in (b"hello", b"")

    def test_what_is_detached_is_seen_for_the_last_time(self):
        def serve(connection):
            number = connection.detach()
            os.write(number, os.read(number, 10))
            os.close(number)

        accept, detach = self.run(serve)
        assert (accept.name, detach.name) == ("accept", "detach")
        assert str(detach).startswith(f"detach({accept.result}) = {accept.result} <")

    @pytest.mark.parametrize("name", ["select", "poll", "epoll"])
    def test_a_name_bound_by_from_select_import_goes_past_and_that_is_said(self, name):
        def wait_for(listener, how):
            if name == "select":
                return how([listener], [], [])
            waiter = how()
            waiter.register(listener, 1)
            waiter.poll()

        space = {"Server": Server, "wait_for": wait_for}
        serve = f"    def serve(self, listener):\n        wait_for(listener, {name})"
        exec(f"from select import {name}\nclass Mine(Server):\n{serve}", space)
        server = space["Mine"]()
        server.record()
        with server:
            call = "epoll_wait" if name == "epoll" else name
            assert asleep(server, call) and server.unseen == [name]
            said = f"A wait through the name {name}, which `from select import` has bound, is neither recorded nor held."
            assert said in note(server)
            with contextlib.suppress(ConnectionError):
                connect(server).close()
            server.wait()
            assert call not in names(server.calls())

    def test_nothing_is_said_of_a_server_whose_waits_are_seen(self, server):
        server.record()
        visit(server)
        assert server.unseen == [] and note(server) == ""

    @pytest.mark.parametrize(
        "data",
        [bytearray(b"hello"), memoryview(b"hello"), memoryview(b""), b"", memoryview(struct.pack("5i", *range(5))).cast("i")],
        ids=["bytearray", "memoryview", "empty memoryview", "empty", "integers"],
    )
    @pytest.mark.parametrize("method", ["send", "sendall"])
    def test_whatever_can_be_sent(self, data, method):
        def serve(connection):
            getattr(connection, method)(data)
            connection.sendall(b".")

        def client(sock):
            with sock.makefile("rb") as file:
                assert file.read() == bytes(data) + b"."

        sent = self.run(serve, client)[1]
        assert (sent.result, sent.data) == (len(bytes(data)), bytes(data))

    def test_files_on_sockets(self):
        def serve(connection):
            with connection, connection.makefile("rwb") as file:
                file.write(file.readline())

        def client(sock):
            assert ask(sock, b"line\n") == b"line\n"

        assert {"recv_into", "send"} <= set(names(self.run(serve, client)))

    def test_a_timeout_is_still_a_timeout(self):
        def serve(connection):
            connection.settimeout(0.01)
            with pytest.raises(TimeoutError):
                connection.recv(10)
            connection.sendall(b"timed out")

        def client(sock):
            assert sock.recv(100) == b"timed out"

        assert names(self.run(serve, client))[:3] == ["accept", "recv", "sendall"]

    def test_what_is_no_system_call_is_not_listed(self):
        def serve(connection):
            with connection:
                connection.recv(10)
                connection.close()
                connection.close()

        calls = self.run(serve, lambda sock: None)
        assert [str(call) for call in calls if call.descriptor == -1] == []

    def test_a_duplicate_is_not_recorded_when_off(self):
        def duplicates(listener):
            connection, _ = listener.accept()
            with connection.dup() as server.copy:
                connection.close()
                while data := server.copy.recv(10):
                    server.copy.sendall(data)

        server = serving(duplicates)
        server.record()
        with server, connect(server) as client:
            assert ask(client, b"x") == b"x"
            server.record(False)
            assert asleep(server, "recv")
            before = server.calls()
            assert ask(client, b"x") == b"x" and ask(client, b"x") == b"x"
            assert type(server.copy).recv is socket.socket.recv
            assert len(server.calls()) <= len(before) + 1  # the recv that was under way

    @pytest.mark.parametrize("switch", ["record", "hold"])
    def test_its_epoll_may_be_closed(self, switch):
        def tidy(listener):
            epoll = select.epoll()
            epoll.close()
            listener.accept()

        with serving(tidy) as server:
            assert asleep(server, "accept")
            getattr(server, switch)()
            server.run_on()
            server.record(False)

    def test_after_it_died_in_the_middle_of_an_epoll_loop(self):
        def dies(listener):
            with select.epoll() as epoll:
                epoll.register(listener, select.EPOLLIN)
                epoll.poll()
                raise ValueError("a learner's mistake")

        server = serving(dies).start()
        with contextlib.suppress(ConnectionError):
            connect(server).close()
        server.wait()
        server.record()
        server.record(False)
        assert isinstance(server.error, ValueError)

    def test_select_selector(self):
        server = SelectorServer()
        server.selector_class = selectors.SelectSelector
        with server:
            assert asleep(server, "select")
            server.record()
            with connect(server) as client:
                assert ask(client, b"x") == b"x" and ask(client, b"x") == b"x"
            assert "select" in names(server.calls())

    def test_what_the_base_does_is_not_taken_for_the_servers_calls(self):
        with BlockingServer() as server:
            server.record()
            visit(server)
            server.stop()
            assert "shutdown" not in names(server.calls())


class TestHold:
    @pytest.fixture
    def client(self, server):
        """It has come and spoken while the server slept, which is held before its next call."""
        server.hold()
        assert server.pending is None
        with connect(server) as client:
            client.sendall(b"x")
            assert stands(server)
            yield client

    @EACH
    def test_before_its_first_call(self, model):
        server = model()
        server.hold()
        with server:
            assert stands(server)
            assert server.held and server.recording and server.calls() == []
            first = {BlockingServer: "accept", SelectServer: "select", PollServer: "poll"}.get(model, "epoll_ctl")
            assert server.pending.name == first
            server.run_on()
            assert asleep(server, WAITING[model])

    def test_a_sleeping_call_goes_on_and_the_next_is_held(self, server, client):
        assert server.pending.name == ("recv" if isinstance(server, BlockingServer) else "accept")
        assert str(server.pending) == f"{server.pending.name}({server.pending.descriptor})"
        server.run_on()
        assert client.recv(1) == b"x"
        assert not server.held and server.pending is None

    def test_two_clients_one_call_at_a_time(self):
        server = BlockingServer(answer=bytes.upper)
        server.hold()
        with server, connect(server) as one, connect(server) as two:
            for client, text in ((one, b"one"), (two, b"two")):
                client.sendall(text)
                client.shutdown(socket.SHUT_WR)
            expected = ["accept", "recv", "sendall", "recv", "close"] * 2
            steps = []
            for name in expected:
                assert stands(server)
                assert server.pending.name == name
                assert names(server.calls()) == expected[: len(steps)]
                steps.append(server.step(60))
            assert names(steps) == expected and steps == server.calls()
            assert [step.data for step in steps if step.data] == [b"one", b"ONE", b"two", b"TWO"]
            assert (one.recv(10), two.recv(10)) == (b"ONE", b"TWO")
            assert wait_until(lambda: server.pending) and server.pending.name == "accept"

    def test_a_call_that_sleeps_comes_back_later(self):
        server = BlockingServer()
        server.hold()
        with server:
            assert stands(server)
            assert server.step(0.01) is None
            assert server.pending is None and asleep(server, "accept") and server.calls() == []
            assert server.step(0.01) is None  # it stands before no call: nothing is released
            with connect(server):
                assert stands(server)
                assert server.pending.name == "recv" and names(server.calls()) == ["accept"]

    def test_a_step_that_waits_gets_the_call(self):
        server, got = BlockingServer(), []
        server.hold()
        with server:
            assert stands(server)
            stepper = threading.Thread(target=lambda: got.append(server.step(60)))
            stepper.start()
            assert asleep(server, "accept")
            with connect(server):
                stepper.join(10)
                assert names(got) == ["accept"]

    def test_a_step_of_a_server_that_is_not_held(self, server):
        assert server.step(0.01) is None
        server.run_on()

    def test_run_on_serves_what_has_piled_up(self, server, client):
        server.step(60)
        server.run_on()
        assert client.recv(1) == b"x" and ask(client, b"y") == b"y"
        assert not server.recording

    def test_recording_goes_on_after_run_on_when_it_was_asked_for(self, server):
        server.record()
        server.hold()
        server.run_on()
        assert server.recording
        server.record(False)
        assert not server.recording

    def test_hold_survives_a_new_start(self):
        with BlockingServer() as server:
            server.hold()
            server.stop()
            server.start()
            assert wait_until(lambda: server.pending) and server.held
            server.run_on()
            visit(server)

    def test_the_thread_of_a_held_server_ends_when_it_is_stopped(self, server, client):
        server.stop()
        assert not server.running and server.error is None and server.pending is None


class TestFromManyThreads:
    @pytest.mark.parametrize("model", [BlockingServer, EpollServer], ids=lambda model: model.__name__)
    def test_stop_wins_over_hold(self, model):
        for number in range(100):
            server = model()
            if number % 2:
                server.hold()
            server.start()
            with connect(server) as client:
                client.sendall(b"x")
                with warnings.catch_warnings(record=True) as said:  # stop() itself says when a second was not enough
                    warnings.simplefilter("ignore")
                    warnings.simplefilter("always", RuntimeWarning)
                    together(server.hold, server.stop, server.hold, lambda: server.step(0), server.stop)
                assert not said and not server.running, f"round {number}"

    @EACH
    def test_switched_wildly_beside_a_load(self, model):
        with model() as server:
            enough = threading.Event()

            def load():
                try:
                    for _ in range(60):
                        with connect(server) as client:
                            assert ask(client) == b"hello"
                finally:
                    enough.set()

            def switch(*switches):
                for change in itertools.cycle(switches):
                    if enough.is_set():
                        break
                    change()
                server.run_on()

            together(
                load,
                lambda: switch(server.record, lambda: server.record(False)),
                lambda: switch(server.hold, lambda: server.step(0.001), server.run_on),
                lambda: switch(server.hold, server.run_on),
            )
            server.run_on()
            server.record(False)
            assert server.error is None and server.running
            with connect(server) as client:
                assert ask(client, b"x") == b"x"
                assert all(type(sock).recv is socket.socket.recv for sock in server._open_sockets())
                server.record()
                assert all(type(sock).recv is not socket.socket.recv for sock in server._open_sockets())
                assert ask(client, b"x") == b"x" and ask(client, b"x") == b"x"
                assert wait_until(lambda: "sendall" in names(server.calls()[-4:]))

    def test_a_connection_accepted_at_the_moment_of_the_switch_is_recorded(self):
        """The server's thread looks whether it is recorded; before it acts on that, recording begins."""

        class Slow(Recorder):
            @property
            def on(self):
                was = super().on
                if threading.current_thread() is server._thread and self.waits is not None:
                    seen.set()
                    self.waits.wait(0.2)
                return was

        server, seen = BlockingServer(), threading.Event()
        server._recorder.__class__, server._recorder.waits = Slow, None
        with server:
            assert asleep(server, "accept")
            server._recorder.waits = threading.Event()
            with connect(server) as client:
                assert seen.wait(10)
                server.record()
                server._recorder.waits.set()
                assert ask(client, b"x") == b"x"
                assert all(type(sock).recv is not socket.socket.recv for sock in server._open_sockets())


# Beside strace

SCRIPT = """
from test_recorder import *
server = {model}()
server.record()
with server:
    thread = server._thread.native_id
    visit(server)
    with connect(server) as one, connect(server) as two:
        assert ask(one, b"more than thirty-two bytes, so that not all are kept")
        one.shutdown(socket.SHUT_WR)
        assert ask(two, b"two") == b"two"
        if {model} is BlockingServer:
            reset(two)
    assert wait_until(lambda: len(server._open_sockets()) == 1)
    assert asleep(server, WAITING[{model}])
    print(json.dumps([thread, [[c.name, c.descriptor, c.error or c.result] for c in server.calls()]]))
"""
SYSTEM_CALLS = {name: name for name in ("accept", "close", "epoll_wait", "epoll_ctl", "poll", "select", "shutdown")} | {
    "accept4": "accept", "recvfrom": "recv", "read": "recv", "sendto": "send", "write": "send", "epoll_pwait": "epoll_wait",
    "ppoll": "poll", "pselect6": "select",
}  # fmt: skip


def strace_works() -> bool:
    command = ["strace", "-o", os.devnull, "true"]
    return bool(shutil.which("strace")) and subprocess.run(command, capture_output=True).returncode == 0


def traced(line: str) -> tuple[str, int | None, object] | None:
    """(call, descriptor, what came back) of one line of strace; None for a call that never returned, and for a signal."""
    found = re.match(r"(\w+)\((\d+)?.*\) += (-?\d+)(?: (E[A-Z]+))?", line)
    if not found or found[1] not in SYSTEM_CALLS:
        return None
    name = SYSTEM_CALLS[found[1]]
    moved = int(found[3]) if name in ("accept", "recv", "send") else None
    return name, None if name in ("poll", "select") else int(found[2]), found[4] or moved


@pytest.mark.skipif(not strace_works(), reason="strace is not installed, or may not trace here")
@EACH
def test_the_listing_agrees_with_strace(model, tmp_path):
    calls = "trace=network,read,write,close,epoll_wait,epoll_pwait,epoll_ctl,select,pselect6,poll,ppoll"
    strace = "strace", "-ff", "-o", tmp_path / "trace", "-e", calls
    with python(SCRIPT.format(model=model.__name__), behind=strace, stderr=subprocess.PIPE) as run:
        said, wrong = run.communicate(timeout=600)
    assert run.returncode == 0, wrong
    thread, recorded = json.loads(said)
    shown = [traced(line) for line in (tmp_path / f"trace.{thread}").read_text().splitlines()]
    shown = [line for line in shown if line]
    moved = {"accept", "recv", "send"}
    listed = []
    for name, descriptor, outcome in recorded:
        name = "send" if name == "sendall" else name
        told = name in moved or str(outcome).startswith("E") and outcome.isupper()
        listed.append((name, descriptor, outcome if told else None))
    assert len(listed) >= 15
    assert listed == shown[: len(listed)]
    # What follows is the call in which it slept, and its end.
    assert {name for name, _, _ in shown[len(listed) :]} <= {WAITING[model], "accept", "close", "recv"}


class TestWhatWaitsSay:
    def test_select_what_was_handed_in_and_what_came_back(self):
        with SelectServer() as server:
            listener = server.descriptors()[0].number
            assert server.handed_in() is None and server.came_back() is None
            server.record()
            with connect(server) as client:
                assert ask(client) == b"hello"
                connection = next(d.number for d in server.descriptors() if d.kind == "connection")
                assert wait_until(lambda: server.handed_in() == {listener: "read", connection: "read"})
                assert server.came_back() == {connection: "read"}  # of the select before the one it sleeps in
                last = [call for call in server.calls() if call.name == "select"][-1]
                assert (last.asked, last.result) == (f"[{listener}, {connection}], [], []", f"[{connection}], [], []")
                assert str(last).startswith(f"select([{listener}, {connection}], [], []) = [{connection}], [], [] <")
            server.record(False)
            assert server.handed_in() is None and server.came_back() is None

    @pytest.mark.parametrize("model, words", [(PollServer, "POLLIN"), (EpollServer, "EPOLLIN"), (SelectorServer, "EPOLLIN")])
    def test_poll_and_epoll(self, model, words):
        with model() as server:
            assert asleep(server, WAITING[model])
            server.record()
            with connect(server) as client:
                assert ask(client) == b"hello"
                connection = next(d.number for d in server.descriptors() if d.kind == "connection")
                assert server.came_back() == {connection: words}
                client.shutdown(socket.SHUT_WR)
                assert client.recv(100) == b""

    def test_a_held_select_names_its_lists(self):
        with SelectServer() as server:
            assert asleep(server, "select")
            server.hold()
            with connect(server) as client:
                client.sendall(b"x")
                assert stands(server)
                assert server.step(60).name == "accept"  # the select in flight was not seen
                assert server.pending.name == "select" and str(server.pending) == f"select({server.pending.asked})"
                assert list(server.handed_in()) == json.loads(f"[{server.pending.asked}]")[0]

    def test_a_held_poll_names_its_list_also_what_was_entered_before(self):
        with PollServer() as server, connect(server) as early:
            assert ask(early) == b"hello"
            put(server, early, "held")  # the poll in flight was not seen
            while server.pending.name != "poll":
                server.step(60)
            listener, connection = (d.number for d in server.descriptors())
            assert server.handed_in() == {listener: "POLLIN", connection: "POLLIN"}
            assert str(server.pending) == f"poll({{{listener}: POLLIN, {connection}: POLLIN}})"
            server.run_on()
            assert early.recv(1) == b"x"

    def test_the_list_of_a_poll_is_what_register_modify_and_unregister_left(self):
        def changes(listener):
            poll = select.poll()
            with contextlib.suppress(KeyError):
                poll.unregister(listener)
            poll.register(listener)
            poll.modify(listener, select.POLLOUT)
            poll.register(0, select.POLLIN)
            poll.unregister(0)
            poll.poll(0)

        server = serving(changes)
        server.hold()
        with server:
            assert stands(server)
            assert set(server.handed_in().values()) == {"POLLOUT"}

    def test_an_earlier_recording_says_nothing_of_the_select_it_is_in(self):
        with SelectServer() as server:
            server.record()
            visit(server)
            server.record(False)
            visit(server)
            server.record()
            assert server.handed_in() is None and server.came_back() is None

    @pytest.mark.parametrize(
        "arguments, error",
        [((None, [], []), "TypeError"), (([], []), "TypeError"), ((["x"], [], []), "TypeError"), (([-1], [], []), "ValueError")],
    )
    def test_select_itself_says_what_is_wrong(self, arguments, error):
        def mistaken(listener):
            select.select(*arguments, 0) if len(arguments) == 3 else select.select(*arguments)

        server = serving(mistaken)
        server.record()
        server.start().wait()
        assert type(server.error).__name__ == error

    def test_an_iterator_is_walked_once(self):
        def iterating(listener):
            select.select(iter([listener]), (), set())
            listener.accept()

        with serving(iterating) as server:
            server.record()
            assert asleep(server, "select")
            connect(server).close()
            server.wait()
            assert server.error is None


def test_a_thread_that_is_ended_by_force_leaves_the_lock_to_the_others():
    """A server that runs on when its sockets are shut down gets an exception at its next line, wherever that is."""

    class Forced(BaseException):
        pass

    def calls_again_and_again() -> None:
        began.set()
        while True:
            recorder.before("epoll_wait", 3)

    def ends_quietly() -> None:
        with contextlib.suppress(Forced):
            calls_again_and_again()

    for _ in range(100):
        recorder, began = Recorder(), threading.Event()
        recorder.hold()
        recorder.stop()
        thread = threading.Thread(target=ends_quietly, daemon=True)
        thread.start()
        began.wait()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Forced))
        thread.join()
        assert recorder.lock.acquire(timeout=10)
        recorder.lock.release()
