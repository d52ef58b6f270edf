"""What the time lanes are sent, how much of it, and that a panel left alone does not grow."""

import contextlib
import functools
import json
import math
import socket
import struct
import threading
from dataclasses import replace

import pytest
from panel_state import Page, shown_after

from course_lib.kernel import Call, descriptors, wait_until
from course_lib.kernel.recorder import KEPT
from course_lib.servers import BlockingServer, Server
from course_lib.widgets import observe
from course_lib.widgets.history import THREAD, Changes

READABLE, WRITABLE, HANG_UP, GONE, ARRIVED = 1, 2, 4, 8, 16


@pytest.fixture
def server(servers_stop):
    with BlockingServer() as server:
        yield server


@pytest.fixture
def row():
    """What the kernel says of a connection: open, nothing to read, room to write."""
    one, other = socket.socketpair()
    with one, other:
        yield replace(descriptors(one)[0], number=7)


class Told(Changes):
    """Changes, and the numbers of all lanes that were told of so far."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = {THREAD: THREAD}


@pytest.fixture
def changes():
    return Told()


def taken(changes: Told) -> tuple[dict[int, str], list[tuple]]:
    """The texts by number, and the records as (descriptor, from, to or None, what, how much)."""
    texts, lanes, records = changes.take()
    changes.numbers |= {lane: number for lane, number, _ in lanes}
    found = [
        (changes.numbers[int(lane)], start, None if math.isnan(end) else end, int(what), much)
        for lane, start, end, what, much in struct.iter_unpack("5d", records)
    ]
    return dict(texts), found


class TestChanges:
    def test_a_state_is_recorded_when_it_begins_and_not_again(self, row, changes):
        for now in (1.0, 2.0, 3.0):
            changes.look(now, [row], None)
        assert taken(changes) == ({}, [(7, 1.0, None, WRITABLE, 0)])
        changes.look(4.0, [row], None)
        assert taken(changes) == ({}, [])

    def test_each_change_is_one_record(self, row, changes):
        changes.look(1.0, [row], None)
        changes.look(2.0, [replace(row, readable=True, receive_queue=5)], None)
        changes.look(3.0, [replace(row, readable=True, receive_queue=9)], None)
        changes.look(4.0, [replace(row, readable=True, receive_queue=0, hangup=True)], None)
        assert taken(changes)[1][1:] == [
            (7, 2.0, None, READABLE | WRITABLE, 5),
            (7, 3.0, None, READABLE | WRITABLE, 9),
            (7, 4.0, None, READABLE | WRITABLE | HANG_UP, 0),
        ]

    def test_a_listener_counts_the_clients_that_wait(self, row, changes):
        changes.look(
            1.0, [replace(row, kind="listener", readable=True, writable=False, accept_queue=3, receive_queue=None)], None
        )
        assert taken(changes)[1] == [(7, 1.0, None, READABLE, 3)]

    def test_what_is_closed_ends_and_may_come_back(self, row, changes):
        changes.look(1.0, [row, replace(row, number=8)], None)
        taken(changes)
        changes.look(2.0, [row], None)
        changes.look(3.0, [row], None)
        assert taken(changes)[1] == [(8, 2.0, None, GONE, 0)]
        changes.look(4.0, [row, replace(row, number=8)], None)
        assert taken(changes)[1] == [(8, 4.0, None, WRITABLE, 0)]

    def test_data_that_came_and_was_read_between_two_looks(self, row, changes):
        changes.look(1.0, [row], None)
        taken(changes)
        changes.look(2.0, [row], None, arrived={7})
        changes.look(3.0, [row], None, arrived={9})
        assert taken(changes)[1] == [(7, 2.0, None, WRITABLE | ARRIVED, 0), (7, 3.0, None, WRITABLE, 0)]

    def test_texts_are_sent_once(self, changes):
        changes.look(1.0, [], "running")
        changes.look(2.0, [], "asleep in accept() on descriptor 3")
        changes.look(3.0, [], "running")
        texts, records = taken(changes)
        assert sorted(texts.values()) == ["asleep in accept() on descriptor 3", "running"]
        assert [(lane, texts[what]) for lane, _, _, what, _ in records] == [
            (THREAD, "running"),
            (THREAD, "asleep in accept() on descriptor 3"),
            (THREAD, "running"),
        ]
        changes.look(4.0, [], "asleep in accept() on descriptor 3")
        assert taken(changes)[0] == {}

    def test_calls_are_spans_in_the_lane_of_the_thread_and_of_the_descriptor(self, changes):
        changes.calls([Call("recv", 7, 1.5, 0.25, 5), Call("select", None, 2.0, 0.5)])
        texts, records = taken(changes)
        assert [(lane, start, end, texts[what]) for lane, start, end, what, _ in records] == [
            (THREAD, 1.5, 1.75, "recv(7)"),
            (7, 1.5, 1.75, "recv(7)"),
            (THREAD, 2.0, 2.5, "select()"),
        ]

    def test_a_new_page_is_sent_the_whole_present_state(self, row, changes):
        changes.look(1.0, [row], "running")
        taken(changes)
        changes.begin_again()
        changes.look(2.0, [row], "running")
        texts, records = taken(changes)
        assert list(texts.values()) == ["running"] and [record[:3] for record in records] == [(THREAD, 2.0, None), (7, 2.0, None)]

    def test_a_second_page_is_told_the_lanes_that_the_first_one_has(self, row, changes):
        changes.look(1.0, [row], None, names={7: "alice"})
        first = changes.take()[1]
        changes.begin_again()
        changes.look(2.0, [row], None, names={7: "alice"})
        _, lanes, records = changes.take()
        assert lanes == first == [(1, 7, "alice")] and len(records) == 40

    def test_a_lane_belongs_to_one_socket_and_not_to_its_number(self, row, changes):
        alice, bob = replace(row, peer=("127.0.0.1", 1)), replace(row, peer=("127.0.0.1", 2))
        changes.look(1.0, [alice], None, names={7: "alice"})
        changes.look(2.0, [bob], None, names={7: "bob"})
        _, lanes, records = changes.take()
        assert lanes == [(1, 7, "alice"), (2, 7, "bob")]
        told = [(lane, start, what) for lane, start, _, what, _ in struct.iter_unpack("5d", records)]
        assert told == [(1, 1.0, WRITABLE), (1, 2.0, GONE), (2, 2.0, WRITABLE)]

    def test_a_call_belongs_to_the_socket_that_had_the_number_when_it_began(self, row, changes):
        """Alice leaves, bob gets her number, and carol after him; two looks, and calls that are heard of later."""
        alice, carol = replace(row, peer=("127.0.0.1", 1)), replace(row, peer=("127.0.0.1", 3))
        changes.look(1.0, [alice], None, names={7: "alice"})
        changes.calls(
            [Call("recv", 7, 1.1, 0.1), Call("close", 7, 1.3, 0.1), Call("recv", 7, 1.5, 0.1), Call("close", 7, 1.7, 0.1)]
        )
        changes.look(2.0, [carol], None, names={7: "carol"})
        changes.calls([Call("recv", 7, 2.1, 0.1), Call("recv", 7, 1.9, 0.05)])
        _, lanes, records = changes.take()
        assert lanes == [(1, 7, "alice"), (2, 7, ""), (3, 7, "carol")]
        calls = [
            (int(lane), start) for lane, start, end, _, _ in struct.iter_unpack("5d", records) if end == end and lane != THREAD
        ]
        assert calls == [(1, 1.1), (1, 1.3), (2, 1.5), (2, 1.7), (3, 2.1), (3, 1.9)]

    def test_what_a_text_is_called_does_not_change_when_a_second_page_opens(self, changes):
        """The first page still shows records with the old numbers."""
        for text in ("asleep", "running"):
            changes.look(1.0, [], text)
        before = taken(changes)[0]
        changes.begin_again()
        changes.look(2.0, [], "running")
        after = taken(changes)[0]
        assert "running" in after.values() and all(before.get(number, text) == text for number, text in after.items())


class Looks:
    """A panel whose pump runs in this thread: one look after the other, without waiting. `sent` are its messages."""

    def __init__(self, thing, **clients) -> None:
        self.panel, self.sent = observe(thing, **clients), []
        self.panel.send = lambda message, buffers: self.sent.append((message, buffers[0]))

    def run(self, count: int, between=lambda: None) -> int:
        """Look `count` times, and call between() after each look. Returns how many messages that sent."""
        left, before = iter(range(count)), len(self.sent)

        def next_events(looked):
            if next(left, None) is None:
                return [{"type": "gone", "view": "page"}]
            between()
            return []

        self.panel._next_events = next_events
        self.panel._views = {"page"}
        self.panel._run()
        return len(self.sent) - before

    @property
    def state(self) -> dict:
        return functools.reduce(shown_after, (message for message, _ in self.sent), {})


def expect_it_ends(page: Page) -> None:
    """Its pump, when the page says that it is gone."""
    page.click("gone")
    assert wait_until(lambda: page.panel._pump is None, 10)


class TestThePump:
    def test_nothing_new_is_nothing_sent(self, server):
        assert wait_until(lambda: server.doing().call == "accept")
        looks = Looks(server)  # from now on the server uses no processor
        looks.run(2)
        before = len(looks.sent)
        looks.run(50)
        # Each run begins with the whole state; after it come looks at a server that sleeps on.
        assert len(looks.sent) - before <= 3

    def test_of_a_stopped_server_there_is_nothing_new(self, server, monkeypatch):
        looks, clock = Looks(server), iter(range(10_000))
        server.stop()
        monkeypatch.setattr("course_lib.widgets.panel.time.monotonic", lambda: next(clock) / 8)  # seconds pass between the looks
        assert looks.run(20) == 1

    def test_one_message_a_look_at_most_whatever_clients_do(self, server):
        looks = Looks(server)
        server.record()
        clients = [socket.create_connection(server.address) for _ in range(20)]

        def flood():
            for client in clients:
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.send(b"<b>" * 3000)
                    client.recv(100_000)

        assert looks.run(100, flood) <= 101
        sizes = [len(json.dumps(message)) + len(records) for message, records in looks.sent]
        assert max(sizes) < 64 * 1024
        for client in clients:
            client.close()

    def test_no_more_than_50_messages_a_second_even_when_every_message_is_followed_by_a_click(self, server):
        class Eager(Page):
            def hear(self, message, buffers):
                super().hear(message, buffers)
                if len(self.messages) <= 120:
                    self.click("record", on=bool(len(self.messages) % 2))

        page = Eager(observe(server))
        assert wait_until(lambda: len(page.messages) >= 120, 300)
        expect_it_ends(page)
        times = [message["now"] for message, _ in page.messages]
        within = [sum(start <= time < start + 1 for time in times) for start in times]
        assert max(within) <= 51

    def test_many_clicks_at_once_are_one_message(self, server):
        panel = observe(server)
        with panel._starting:  # the pump can begin when all have been heard
            for _ in range(200):
                panel._events.put({"type": "record", "on": True, "view": "page"})
        page = Page(panel)
        assert wait_until(lambda: server.recording and page.messages)
        expect_it_ends(page)
        assert len(page.messages) < 20

    def test_twenty_panels_opened_and_closed_leave_no_thread(self, server):
        before, pages = set(threading.enumerate()), [Page(observe(server)) for _ in range(20)]
        assert wait_until(lambda: sum(thread.name == "panel" for thread in threading.enumerate()) == 20, 10)
        for page in pages:
            page.click("gone")
        assert wait_until(lambda: set(threading.enumerate()) <= before, 10)

    def test_a_page_that_is_never_heard_of_again_is_given_up(self, server, monkeypatch):
        monkeypatch.setattr("course_lib.widgets.live_panel.UNSEEN", 0.1)
        page = Page(observe(server))
        assert wait_until(lambda: page.panel._pump is None, 10)


class TestLeftAloneItDoesNotGrow:
    def test_thousands_of_connections(self, server):
        looks = Looks(server)
        server.record()
        clients = looks.panel.clients

        def come_and_go():
            client = clients.connect(server.address)
            client.send(b"hello")
            assert wait_until(lambda: client.look() or client.received == 5, 60)
            client.close()

        looks.run(300, come_and_go)
        early = len(json.dumps(looks.state))
        looks.sent.clear()
        looks.run(1700, come_and_go)
        changes = looks.panel._changes
        assert len(clients.by_name) <= 20 and len(clients.labels) <= 20
        assert (
            len(changes._lanes) <= 30
            and max(map(len, changes._lanes.values())) <= 110  # of one number, with those since the last look
            and not changes._records
            and not changes._new_texts
        )
        assert len(changes._texts) <= 200  # the same few descriptors again and again
        assert len(server.calls()) <= KEPT
        assert len(json.dumps(looks.state)) < early + 2000
        assert looks.panel._events.empty()
        assert len(json.dumps(looks.panel.shown)) < 2000  # the state at the time of making

    def test_ten_thousand_looks_at_the_same(self, row, changes):
        for number in range(10_000):
            changes.look(
                number / 25,
                [replace(row, number=7 + number % 50, receive_queue=number % 3)],
                ("running", "asleep in recv() on descriptor 7")[number % 2],
            )
            taken(changes)
        assert sum(map(len, changes._lanes.values())) <= 30 and len(changes._texts) == 2

    def test_ten_megabytes_of_markup(self, server):
        looks = Looks(server)
        markup = b"<img src=x onerror=alert(1)><script>alert(2)</script>" * 200_000
        assert len(markup) > 10 << 20
        client = looks.panel.clients.connect(server.address)
        client.send(markup)
        looks.run(3)
        for _ in range(20_000):
            if client.received == len(markup):
                break
            client.look()
        assert wait_until(lambda: client.look() or client.received == len(markup), 120)
        looks.run(3)
        assert all(len(json.dumps(message)) < 5000 for message, _ in looks.sent)
        assert "came back" in looks.state["clients"][0]["state"] and "script" in looks.state["clients"][0]["state"]
        picture = looks.panel.picture()
        assert "<script" not in picture and "<img src=x" not in picture and len(picture) < 20_000
        client.close()

    def test_an_error_that_quotes_ten_megabytes(self):
        class Quotes(Server):
            def serve(self, listener):
                connection, _ = listener.accept()
                raise ValueError("<script>alert(1)</script>" * 400_000)

        with Quotes() as server:
            looks = Looks(server)
            with socket.create_connection(server.address):
                server.wait()
            looks.run(2)
            assert "ValueError" in looks.state["note"]
            assert len(json.dumps(looks.state)) < 10_000
            assert len(looks.panel.picture()) < 20_000 and "<script" not in looks.panel.picture()

    def test_more_descriptors_than_are_shown(self):
        with contextlib.ExitStack() as opened:
            ends = [opened.enter_context(end) for _ in range(250) for end in socket.socketpair()]
            looks = Looks(ends)
            ends[-2].send(b"last of all")
            looks.run(2)
            assert len(looks.state["rows"]) == 60 and looks.state["hidden"] == 440
            assert ends[-1].fileno() in [row["number"] for row in looks.state["rows"]]  # an active one comes first
            assert ends[-1].fileno() in {number for message, _ in looks.sent for _, number, _ in message["lanes"]}
