"""The servers: their life, their honesty towards clients, and that nothing of them is left."""

import asyncio
import os
import signal
import socket
import threading
from contextlib import nullcontext, suppress

import pytest
import uvloop
from every_server import answers, ask, asleep, connect, serving
from held import a_port, course, interrupted_in, together
from jupyter_client.manager import KernelManager
from outputs import execute

from course_lib.checks.ends import fill
from course_lib.grading.local_kernels import local_sockets
from course_lib.kernel import descriptors, doing, wait_until
from course_lib.lab import reset
from course_lib.servers import MODELS, BlockingServer, NonBlockingServer, PortInUse, Server, base, echo, live_servers, stop_all


def ended(server: Server) -> Server:
    """It is started, and has ended by itself."""
    server.start().wait()
    return server


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return request.param


@pytest.mark.usefixtures("nothing_is_left", "servers_stop")
class TestEveryModel:
    def test_it_listens_on_loopback_only_at_a_free_port(self, model):
        with model() as one, model() as two:
            assert one.address[0] == two.address[0] == "127.0.0.1"
            assert one.address[1] != two.address[1] != 0

    def test_it_answers_every_piece_until_the_client_has_finished(self, model):
        with model(answer=bytes.upper) as server, connect(server) as client:
            for piece in (b"one", b"two"):
                assert ask(client, piece) == piece.upper()

    @pytest.mark.parametrize("answer", [echo, lambda request: b"", bytearray, memoryview])
    def test_a_half_closed_client_gets_its_answer_of_any_kind_of_bytes_and_then_the_end(self, model, answer):
        with model(answer=answer) as server, connect(server) as client:
            client.sendall(b"last words")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == answer(b"last words") and client.recv(100) == b"" and server.running

    def test_a_client_that_resets_does_no_harm_to_the_next(self, model):
        with model() as server:
            rude = connect(server)
            rude.sendall(b"x")
            reset(rude)
            assert answers(server)

    def test_a_client_that_came_and_went_before_accept_does_no_harm(self, model):
        with model() as server:
            for _ in range(20):
                connect(server).close()
            assert answers(server)

    @pytest.mark.parametrize("late", [False, True])
    def test_much_comes_back_whole(self, model, late):
        data = os.urandom(16_000_000 if late else 1_000_000)
        with model() as server, connect(server) as client:
            for size in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                client.setsockopt(socket.SOL_SOCKET, size, 65536)  # or the kernel would hold it all
            sender = threading.Thread(target=client.sendall, args=(data,))
            sender.start()
            # late: the client reads only when nobody can send any more
            assert not late or wait_until(lambda: full(server), 10)
            received = bytearray()
            while len(received) < len(data):
                received += client.recv(65536)
            sender.join()
            assert received == data


def its_port(server):
    """A listener at its port; where another program's client was given that number meanwhile, nothing of ours may stand there."""
    try:
        return socket.create_server(server.address)
    except OSError:
        assert not [row for row in descriptors() if row.local == server.address]
        return nullcontext()


def full(server):
    """Has it a connection that takes no more, for its peer does not read?"""
    return any(row.peer and not row.writable for row in server.descriptors())


@pytest.fixture(params=[asyncio, uvloop], ids=["asyncio", "uvloop"], scope="module")
def make_loop(request):
    make = request.param.new_event_loop
    make().close()  # libuv keeps two descriptors for its signals, the same for all its loops
    return make


@pytest.mark.usefixtures("nothing_is_left", "servers_stop")
class TestLife:
    def test_two_hundred_starts_and_stops_with_clients_leave_nothing(self, model):
        clients = []
        for _ in range(200):
            server = model().start()
            silent, talking = connect(server), connect(server)
            talking.sendall(b"hello")
            server.stop()
            with its_port(server):  # it is free again
                pass
            clients += [silent, talking]
            assert not server.running and not server.descriptors()
        for client in clients:
            client.close()

    def test_stopped_while_it_sleeps_in_accept_recv_or_send(self, model):
        never_sleeps = model is NonBlockingServer
        server = model().start()
        assert never_sleeps or wait_until(lambda: server.doing().asleep)
        server.stop()
        assert not server.running

        server.start()
        with connect(server):
            assert wait_until(lambda: len(server.descriptors()) > 1 and (never_sleeps or server.doing().asleep))
            server.stop()
        assert not server.running

        server.start()
        with connect(server) as deaf:
            deaf.settimeout(0.05)
            with pytest.raises(TimeoutError):
                fill(deaf)
            server.stop()
        assert not server.running

    def test_stop_from_many_threads_and_many_times(self, model):
        with model() as server:
            together(*[server.stop] * 8)
            assert not server.running
        server.stop()

    def test_stop_from_its_own_thread(self, model):
        server = model(answer=lambda request: server.stop() or request).start()
        with connect(server) as client:
            client.sendall(b"x")
            server.wait()
        assert server.doing().ended == "stopped"

    def test_a_serve_that_swallows_every_error_is_stopped(self):
        def accepts(listener):
            while True:
                with suppress(OSError):
                    listener.accept()

        def spins(listener):
            while True:
                pass

        for stubborn in (serving(accepts).start(), serving(spins).start()):
            stubborn.stop()
            assert not stubborn.running

    def test_a_thread_that_cannot_be_stopped_is_said_in_a_sentence_and_its_port_is_free(self):
        release = threading.Event()
        server = BlockingServer(answer=lambda request: release.wait() and request).start()
        with connect(server) as client:
            client.sendall(b"x")
            assert asleep(server, "futex")
            with pytest.warns(RuntimeWarning, match="does not stop: its thread is still asleep in futex"):
                server.stop()
            with its_port(server):
                pass
            with pytest.raises(RuntimeError, match="make a new server"):
                server.start()
            release.set()

    def test_started_again_it_takes_its_old_port(self, model):
        server = model().start()
        before = server.address
        with connect(server):
            server.stop()
        assert server.start().address == before
        server.stop()

    def test_started_again_with_its_port_taken_it_finds_another(self, model):
        server = model().start()
        server.stop()
        with socket.create_server(server.address):
            assert server.start().address[1] != 0
            assert answers(server, b"x")
            server.stop()

    def test_start_twice_is_one_server(self, model):
        with model() as server:
            before = server.address
            assert server.start().address == before and live_servers() == [server]

    def test_stop_all_stops_all(self, model):
        servers = [model().start() for _ in range(3)]
        assert live_servers() == servers
        stop_all()
        assert not live_servers() and not any(server.running for server in servers)

    @pytest.mark.parametrize("reply", [None, "text", 5, ["a"], [104, 105]], ids=repr)
    def test_an_answer_that_is_no_bytes_ends_every_model_with_the_same_sentence_and_closes_everything(self, model, reply):
        with model(answer=lambda request: reply) as server, connect(server) as client:
            client.sendall(b"x")
            server.wait()
            assert client.recv(1) == b""
            assert server.fate.startswith(f"ended by TypeError: answer must return bytes, and returned {type(reply).__name__}")
            assert server.fate == (fate := server.doing().ended) and not server.descriptors()
        assert server.fate == fate  # still known after stop()

    def test_a_default_timeout_of_the_notebook_is_not_the_servers(self, model):
        socket.setdefaulttimeout(0.05)
        try:
            with model() as server, connect(server) as client:
                for text in (b"x", b"y"):
                    assert not server._thread.join(0.2) and server.running  # longer than that timeout
                    assert ask(client, text) == text
        finally:
            socket.setdefaulttimeout(None)

    @pytest.mark.parametrize("interrupted", ["wait", "stop"])
    def test_an_interrupt_of_wait_or_stop_leaves_it_running_and_stoppable(self, interrupted, monkeypatch):
        release, main = threading.Event(), threading.main_thread()
        server = BlockingServer(answer=lambda request: release.wait() and request).start()
        its_wait = Server.wait if interrupted == "wait" else Server._ends_within
        with connect(server) as client:
            client.sendall(b"x")
            assert asleep(server, "futex")
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(base, "_LOOK", 120.0)  # stop() does not give up before
                with interrupted_in(its_wait, lambda: doing(main).call == "futex"):
                    getattr(server, interrupted)()
            assert server.running and server.doing().asleep and server.fate is None and live_servers() == [server]
            release.set()
            if interrupted == "wait":
                assert client.recv(100) == b"x"
            server.stop()
            assert not server.running and not live_servers() and not server.descriptors()

    def test_a_forked_child_has_no_server(self):
        with BlockingServer() as server:
            child = os.fork()
            if not child:
                server.wait(), server.stop()
                os._exit(server.running)
            assert os.waitpid(child, 0)[1] == 0 and server.running

    def test_wait_in_its_own_thread_is_an_error_and_no_deadlock(self, model):
        with model(answer=lambda request: server.wait() or request) as server, connect(server) as client:
            client.sendall(b"x")
            server.wait()
            assert "cannot wait in its own thread" in server.fate

    def test_no_more_threads_leaves_nothing(self, monkeypatch):
        server = BlockingServer()

        def no_thread(self):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="new thread"):
            patch.setattr(threading.Thread, "start", no_thread)
            server.start()
        assert not server.running and not live_servers() and not server.descriptors()
        with server:
            assert answers(server, b"x")

    @pytest.mark.parametrize("way", ["asyncio.Runner", "a local", "an attribute"])
    def test_one_of_the_learners_own_on_asyncio_stops_without_a_word(self, make_loop, way, caplog):
        class Own(Server):
            def serve(self, listener):
                async def talk(reader, writer):
                    writer.write(await reader.read(100))
                    await asyncio.Event().wait()

                async def main():
                    await (await asyncio.start_server(talk, sock=listener)).serve_forever()

                if way == "asyncio.Runner":
                    with asyncio.Runner(loop_factory=make_loop) as runner:
                        return runner.run(main())
                loop = make_loop()
                if way == "an attribute":
                    self.loop, loop = loop, None
                try:
                    (loop or self.loop).run_until_complete(main())
                finally:
                    (loop or self.loop).close()

        with Own() as server, connect(server) as client:
            assert ask(client, b"x") == b"x"
        assert not server.running and caplog.records == []

    def test_the_loop_of_another_thread_runs_on(self):
        async def start_and_stop():
            server = BlockingServer()
            server.notebook = asyncio.get_running_loop()
            with server:
                assert await asyncio.to_thread(answers, server, b"x")
            for _ in range(3):  # what stop() may have asked of this loop is done by then
                await asyncio.sleep(0)
            return server.running

        assert asyncio.run(start_and_stop()) is False

    @pytest.mark.parametrize("name", ["tasks", "calls", "descriptors", "threads", "address"])
    def test_a_name_that_a_server_has_already_is_refused_in_a_sentence(self, name):
        class Own(Server):
            def serve(self, listener):
                setattr(self, name, [])

        server = ended(Own())
        assert server.fate.startswith(f"ended by AttributeError: a Server has `{name}` already, which panels ask: choose another")

    def test_serve_that_returns_is_said(self):
        server = ended(serving(lambda listener: None))
        assert server.doing().ended == "ended because serve() returned"


@pytest.mark.usefixtures("nothing_is_left", "servers_stop")
class TestBlocking:
    def test_the_second_client_waits_while_the_first_is_silent(self):
        with BlockingServer() as server, connect(server) as silent, connect(server) as second:
            assert asleep(server, "recv")
            second.sendall(b"hello")
            listener, first = server.descriptors()
            assert wait_until(lambda: server.descriptors()[0].accept_queue == 1)
            assert first.peer == silent.getsockname() and server.doing().descriptor == first.number
            silent.close()
            assert second.recv(100) == b"hello"

    def test_a_non_blocking_listener_is_its_end_and_start_its_return(self):
        with BlockingServer() as server:
            assert asleep(server, "accept")  # it began before: a client has to come
            server.set_blocking(False, of="listener")
            connect(server).close()
            server.wait()
            assert isinstance(server.error, BlockingIOError) and server.error.errno == 11
            assert "listener.accept()" in server.fate
            server.start()
            assert server.fate is None and answers(server, b"back")

    def test_non_blocking_connections_leave_the_listener_alone(self):
        with BlockingServer() as server, connect(server) as client:
            assert asleep(server, "recv")  # a recv that began later would end it at once
            server.set_blocking(False, of="connections")
            assert [(d.kind, d.blocking) for d in server.descriptors()] == [("listener", True), ("connection", False)]
            client.sendall(b"x")
            server.wait()
            assert isinstance(server.error, BlockingIOError)


@pytest.mark.usefixtures("nothing_is_left", "servers_stop")
class TestMistakes:
    def test_a_taken_port_is_one_sentence(self, model, listener):
        port = listener.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} is in use: .* choose another port"):
            model(port=port).start()

    @pytest.mark.parametrize("port", [-1, 65536, "80", 1.5, True])
    def test_a_port_that_is_none(self, model, port):
        with pytest.raises(ValueError, match="from 0 .* to 65535"):
            model(port=port)

    def test_an_answer_that_is_no_function(self, model):
        with pytest.raises(TypeError, match="function from bytes to bytes"):
            model(answer=b"hello")

    def test_an_address_before_the_start(self, model):
        with pytest.raises(RuntimeError, match="call start"):
            model().address

    def test_set_blocking_of_something_else(self, model):
        with model() as server, pytest.raises(ValueError, match='"listener", "connections" or "all"'):
            server.set_blocking(False, of="clients")


def test_a_cell_run_again_stops_what_it_left_and_a_loop_in_a_cell_does_not(tmp_path):
    import nbformat

    cells = [
        "from course_lib.servers import *",
        "s = BlockingServer().start()",
        "print(len(live_servers()))",
        "s = BlockingServer().start()",
        "print(len(live_servers()), s.running)",
        "many = [BlockingServer().start() for _ in range(3)]\nfor _ in range(2): BlockingServer().start()",
        "print(len(live_servers()))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    execute(notebook, tmp_path)
    printed = ["".join(output["text"] for output in cell.outputs) for cell in notebook.cells]  # one print may come in parts
    assert printed == ["", "", "1\n", "", "1 True\n", "", "6\n"]


def test_a_cell_that_was_rewritten_stops_what_it_left_and_its_twin_does_not():
    manager = KernelManager(kernel_name="python3", **local_sockets())
    manager.start_kernel()
    kernel = manager.blocking_client()
    kernel.start_channels()
    kernel.wait_for_ready(timeout=300)

    def left_after(code: str, cell: str) -> str:
        """Run a cell as JupyterLab does, which tells its id; which servers live then."""
        content = {"code": code, "silent": False, "user_expressions": {"left": "live_servers()"}}
        kernel.shell_channel.send(message := kernel.session.msg("execute_request", content, metadata={"cellId": cell}))
        while (reply := kernel.get_shell_msg(timeout=300))["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            pass
        return reply["content"]["user_expressions"]["left"]["data"]["text/plain"]

    try:
        with a_port() as port:
            assert left_after("from course_lib.servers import *", "1") == "[]"
            assert left_after(f"s = BlockingServer(port={port}).start()", "2") == "[<BlockingServer, running>]"
            assert left_after(f"s = EpollServer(port={port}).start()", "2") == "[<EpollServer, running>]"
        assert left_after("PollServer().start()", "3") == "[<EpollServer, running>, <PollServer, running>]"
        assert left_after("PollServer().start()", "4").count("PollServer") == 2
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


class TestFromATerminal:
    @pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
    def test_it_says_where_it_serves_and_ends_quietly(self, sign):
        with a_port() as port, course("course_lib", "serve", "blocking", "--port", str(port)) as process:
            assert process.stdout.readline() == f"serving blocking on 127.0.0.1:{port}\n"
            with socket.create_connection(("127.0.0.1", port)) as client:
                assert ask(client) == b"hello"
                process.send_signal(sign)
                out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (0, "", "")

    @pytest.mark.parametrize(
        "words, sentence",
        [
            (["serve", "nonesuch"], "there is no server 'nonesuch'; choose one of: blocking"),
            (["serve", "blocking", "--port", "70000"], "a port is a number from 0"),
            (["serve", "blocking", "--port", "{taken}"], "is in use"),
            (["check", "99"], "there is no notebook '99'; name a file or a folder, or one of: 00_start_here"),
        ],
    )
    def test_a_mistake_is_one_sentence_and_status_2(self, words, sentence, listener):
        port = listener.getsockname()[1]
        with course("course_lib", *(word.format(taken=port) for word in words)) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 2 and out == "" and err.count("\n") == 1 and sentence in err
