"""The panel in a real page: what a learner clicks, and what the table then shows."""

import re

from panel_page import Lanes, button, choose, panel_of, row
from places import at_last, boxes, expect_places
from playwright.sync_api import expect
from real_lab import SIZE


def test_two_clients_toggle_and_return_and_a_sleeping_listener_shows_its_fate_at_once(open_cells):
    notebook = open_cells("observe(BlockingServer().start())")
    panel = panel_of(notebook.run_cell(1))
    button(panel, "Connect a client").click()
    expect(row(panel, "alice")).to_contain_text("BlockingServer in recv")
    button(panel, "Connect a client").click()
    choose(panel, "bob")
    button(panel, "Send text").click()
    expect(row(panel, "listener")).to_contain_text("1 waiting")
    expect(panel).to_contain_text("bob: connected, not accepted yet: it waits in the accept queue")
    expect(panel.locator(".doing")).to_contain_text("asleep in recv() on descriptor")

    button(panel, "listener: non-blocking").click()
    expect(button(panel, "listener: non-blocking")).to_have_attribute("aria-pressed", "true")
    expect(row(panel, "listener")).to_contain_text("non-blocking")
    expect(panel.get_by_role("status")).to_contain_text("errno 11")
    for client in ("alice", "bob"):
        choose(panel, client)
        button(panel, "Close").click()
        expect(panel).to_contain_text(f"{client}: closed")
    expect(panel.get_by_role("status")).to_contain_text("accept() found nobody waiting")
    expect(panel.get_by_role("status")).to_contain_text("BlockingIOError, errno 11")
    expect(panel.get_by_role("row")).to_have_count(1)  # the head only: every descriptor is closed
    button(panel, "Start").click()
    expect(panel.locator(".doing")).to_contain_text("asleep in accept()")
    expect(row(panel, "listener")).to_be_visible()
    expect(panel.get_by_role("status")).to_be_hidden()
    button(panel, "listener: non-blocking").click()
    expect(panel.get_by_role("status")).to_contain_text("BlockingIOError, errno 11")
    expect(button(panel, "Start")).to_be_visible()
    assert notebook.errors == []


# One more client, and the panel has heard of it: by then it has drawn it, or will in the next frame.
ONE_MORE = """async () => {
    const kernel = theNotebook().sessionContext.session.kernel;
    const heard = new Promise(done => kernel.iopubMessage.connect((_, { content }) => content.data?.content?.state && done()));
    await kernel.requestExecute({ code: "clients.append(socket.create_connection(server.address))" }).done;
    await heard;
}"""
# From now on no frame comes: the page is as one that has too much to do.
HOLD_FRAMES = """panel => {
    window.drawn = 0;
    new MutationObserver(() => drawn++).observe(panel.querySelector("table"), { childList: true, subtree: true });
    window.frames = [requestAnimationFrame];
    window.requestAnimationFrame = draw => frames.push(draw);
}"""
LET_FRAMES_COME = "() => { window.requestAnimationFrame = frames.shift(); frames.forEach(draw => requestAnimationFrame(draw)); }"


def test_it_says_when_it_hears_nothing_and_a_page_that_is_too_slow_for_the_messages_draws_the_newest_only(open_cells):
    notebook = open_cells(
        "from course_lib.servers import EpollServer\nclients, server = [], EpollServer().start()\n"
        "panel = observe(server)\npanel.on_msg(panel._hear, remove=True)\npanel",
        "panel.on_msg(panel._hear)",
    )
    panel = panel_of(notebook.run_cell(1))
    expect(panel.get_by_role("status")).to_contain_text("Nothing has come from the notebook's process yet")
    notebook.run_cell(2)
    expect(panel.get_by_role("status")).to_be_hidden()

    expect(row(panel, "listener")).to_be_visible()
    panel.evaluate(HOLD_FRAMES)
    for _ in range(5):
        notebook.page.evaluate(ONE_MORE)
    assert notebook.page.evaluate("drawn") == 0
    notebook.page.evaluate(LET_FRAMES_COME)
    expect(row(panel, "connection")).to_have_count(5)
    assert notebook.page.evaluate("drawn") > 0
    button(panel, "Connect a client").click()
    expect(row(panel, "alice")).to_be_visible()
    assert notebook.errors == []


def test_another_process_is_shown_and_a_grey_button_says_why(open_cells):
    notebook = open_cells(
        "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-m', 'course_lib', 'serve', 'epoll'], stdout=subprocess.PIPE)\n"
        "line = child.stdout.readline()\nobserve(child)",
        "observe(socket.socket(type=socket.SOCK_DGRAM))",
        "child.kill()",
    )
    panel = panel_of(notebook.run_cell(1))
    expect(row(panel, "epoll")).to_contain_text("in epoll_wait")
    button(panel, "Connect a client").click()
    expect(row(panel, "alice")).to_contain_text("IN")
    # It changes with each look, so it is no status: nobody has to hear it each time.
    expect(panel.locator(".process")).to_contain_text("asleep in epoll_wait() on descriptor")
    expect(panel.get_by_role("status")).to_have_count(0)
    udp = panel_of(notebook.run_cell(2))
    expect(button(udp, "Connect a client")).to_be_disabled()
    expect(button(udp, "Connect a client")).to_have_attribute("title", re.compile("datagram socket"))
    notebook.run_cell(3)
    expect(panel.get_by_role("status")).to_contain_text("has ended")
    assert notebook.errors == []


def test_everything_works_while_a_cell_is_blocked_in_accept_is_interrupted_or_computes(open_cells):
    notebook = open_cells(
        "listener = socket.create_server(('127.0.0.1', 0))\nobserve(listener)",
        "server = BlockingServer().start()\nobserve(server)",
        "connection, peer = listener.accept()\nprint('came back')",
        "print(6 * 7)",
        "client = socket.create_connection(server.address)\nwhile True: sum(range(1000))",
    )
    own, panel = panel_of(notebook.run_cell(1)), panel_of(notebook.run_cell(2))
    notebook.run_cell(3, wait=False)
    expect(row(own, "listener")).to_contain_text("a notebook cell in accept")
    button(panel, "Connect a client").click()
    expect(row(panel, "alice")).to_contain_text("BlockingServer in recv")
    button(panel, "connections: non-blocking").click()
    expect(button(panel, "connections: non-blocking")).to_have_attribute("aria-pressed", "true")
    button(panel, "Send text").click()
    expect(panel.get_by_role("status")).to_contain_text("recv() found nothing to read")
    button(panel, "Start").click()
    expect(row(panel, "listener")).to_be_visible()
    expect(notebook.output(3)).not_to_contain_text("came back")
    button(own, "Connect a client").click()
    expect(notebook.output(3)).to_contain_text("came back")
    notebook.wait_idle()

    notebook.run_cell(3, wait=False)
    expect(row(own, "listener")).to_contain_text("a notebook cell in accept")
    notebook.interrupt()  # what is asked for before the cell has ended, an error takes away with it
    expect(notebook.output(3)).to_contain_text("KeyboardInterrupt")
    expect(notebook.run_cell(4)).to_contain_text("42")
    button(own, "Connect a client").click()
    expect(row(own, "listener")).to_contain_text("1 waiting")

    expect(panel.get_by_role("row")).to_have_count(2)  # the head, and the listener of the server that was started again
    notebook.run_cell(5, wait=False)
    expect(row(panel, "connection")).to_contain_text("BlockingServer in recv")
    button(panel, "Connect a client").click()
    expect(row(panel, "listener")).to_contain_text("1 waiting")
    notebook.interrupt()


# On a slow page the time that anywidget gives a module is over before the module has come: here always.
NO_TIME = """AbortSignal.timeout = () => {
    const over = new AbortController();
    queueMicrotask(() => over.abort());
    return over.signal;
}"""


def test_on_a_slow_page_it_hears_from_the_process_all_the_same_and_a_dead_one_sends_nothing(lab, open_cells):
    lab.context.add_init_script(NO_TIME)
    notebook = open_cells(*["observe(BlockingServer().start())"] * 2, anew=True)
    assert "over.abort" in notebook.page.evaluate("() => String(AbortSignal.timeout)")
    notebook.page.clock.install()  # before a panel has asked for the time
    notebook.run_cell(1)
    panel_of(notebook.output(1))
    notebook.errors.clear()  # before the first module has come, nobody can take the complaint
    panel = panel_of(notebook.run_cell(2))
    button(panel, "Connect a client").click()
    expect(row(panel, "alice")).to_be_visible()
    notebook.restart()
    expect(panel.get_by_role("status")).to_contain_text("is gone")
    notebook.page.clock.run_for(60_000)
    assert notebook.errors == []


def test_by_keyboard_alone_until_its_kernel_is_gone_which_is_said_and_the_next_one_has_a_panel_again(open_cells):
    notebook = open_cells("observe(BlockingServer().start())")
    panel = panel_of(notebook.run_cell(1))
    page = notebook.page
    button(panel, "Connect a client").focus()
    page.keyboard.press("Enter")
    expect(row(panel, "alice")).to_be_visible()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(panel.get_by_label("text to send")).to_be_focused()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("dd a b")  # letters that are commands of the notebook
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(panel).to_contain_text("6 bytes came back: 'dd a b'")
    button(panel, "connections: non-blocking").focus()
    page.keyboard.press("Space")
    expect(button(panel, "connections: non-blocking")).to_have_attribute("aria-pressed", "true")

    notebook.restart()
    expect(panel.get_by_role("status")).to_contain_text("The notebook's process that this panel showed is gone")
    expect(panel.get_by_role("status")).to_contain_text(re.compile("Run the cells? again"))
    expect(panel.get_by_role("button")).to_have_count(0)
    expect_places(notebook.output(1), lambda panels: panels[0].height < 80, panels=".observatory")
    notebook.run_cell(0)
    anew = panel_of(notebook.run_cell(1))
    button(anew, "Connect a client").click()
    expect(row(anew, "alice")).to_be_visible()
    assert notebook.errors == []


def test_a_cell_run_again_has_one_panel_on_one_server_and_no_pump_is_left_and_each_part_comes_alone(open_cells):
    notebook = open_cells(
        "server = BlockingServer().start()\nobserve(server)",
        "import threading\nfrom course_lib.kernel import wait_until\nfrom course_lib.servers import live_servers\n"
        "pumps = lambda: [t for t in threading.enumerate() if t.name == 'panel']\n"
        "wait_until(lambda: len(pumps()) == 1, 120)\nprint(len(live_servers()), 'server', len(pumps()), 'pump')",
        "observe(server, parts=['lanes'])",
        "observe(server, parts='table')",
    )
    for _ in range(3):
        panel_of(notebook.run_cell(1))
    expect(notebook.run_cell(2)).to_have_text(re.compile("1 server 1 pump"))
    lanes, table = panel_of(notebook.run_cell(3)), panel_of(notebook.run_cell(4))
    expect(lanes.locator("canvas")).to_be_visible()
    expect(lanes.get_by_role("row")).to_have_count(0)
    expect(row(table, "listener")).to_be_visible()
    expect(table.locator("canvas")).to_have_count(0)
    expect(button(table, "Stop")).to_be_visible()


# One more panel, once the process has heard how "more" was left.
AGAIN = """from course_lib.kernel import wait_until
from course_lib.widgets import panel as module
assert wait_until(lambda: module._opened is {}, 120)
observe(server)"""


class TestCompact:
    """As it opens: the picture, the modes and three buttons."""

    def test_it_opens_with_the_picture_and_more_is_remembered_and_no_click_is_sent_that_nobody_made(self, open_cells):
        notebook = open_cells("server = BlockingServer().start()\nobserve(server)", AGAIN.format(True), AGAIN.format(False))
        notebook.page.evaluate(
            """() => {
                window.clicks = [];
                theNotebook().sessionContext.session.kernel.anyMessage.connect((_, { msg, direction }) => {
                    const told = msg.content.data?.content;
                    if (direction === "send" && told?.type === "more") clicks.push(told.on);
                });
            }"""
        )
        panel = panel_of(notebook.run_cell(1), more=False)
        picture = panel.get_by_role("img", name=re.compile("^The listener: nobody in the accept queue"))
        expect(picture).to_be_visible()
        expect(panel.locator(".asks")).to_have_text("The server sleeps in accept(): it waits for a client.")
        expect(panel.locator(".live .line")).to_contain_text("connection, peer = listener.accept()")
        for name in ("Hold", "Connect 20", "Pause", "Reset"):
            expect(button(panel, name)).to_be_hidden()
        for name in ("Film", "Stop", "Connect a client", "Send text", "Close", "listener: non-blocking"):
            expect(button(panel, name)).to_be_visible()
        panel.locator("summary", has_text="more").click()
        expect(row(panel, "listener")).to_be_visible()
        notebook.page.wait_for_function("() => clicks.length")
        # The browser tells of each `details` that is drawn open, as if somebody had opened it.
        again = panel_of(notebook.run_cell(2), more=False)
        expect(button(again, "Hold")).to_be_visible()
        again.locator("summary", has_text="more").click()
        expect(button(again, "Hold")).to_be_hidden()
        notebook.page.wait_for_function("() => clicks.length > 1")
        assert notebook.page.evaluate("() => clicks") == [True, False]
        expect(button(panel_of(notebook.run_cell(3), more=False), "Hold")).to_be_hidden()

    def test_no_button_moves_from_under_the_pointer(self, open_cells):
        notebook = open_cells(
            "server = BlockingServer().start()\npanel = observe(server)\npanel.clients.connect(server.address)\npanel"
        )
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        panel = panel_of(notebook.run_cell(1))
        places = []

        def keep_place() -> None:
            """How far below the top of the panel one of its last buttons stands."""
            found = boxes(notebook.output(1), panels=".observatory", buttons="button")
            [reset] = [button for button in found["buttons"] if button.text == "Reset"]
            places.append(reset.top - found["panels"][0].top)

        for name in ("Send 8 MB", "Read slowly", "Half-close"):  # its help takes one line, or two
            expect(button(panel, name)).to_be_enabled()
            button(panel, name).hover()
            expect(panel.locator(".help")).to_contain_text("the chosen client" if name != "Half-close" else "SHUT_WR")
            keep_place()
        button(panel, "Send 8 MB").click()
        expect(panel.get_by_label("what each client sees")).to_contain_text("8,388,608 bytes came back")
        keep_place()
        assert len(set(places)) == 1, places

    def test_what_has_changed_is_marked_for_a_while_only(self, open_cells):
        notebook = open_cells("server = BlockingServer().start()\nobserve(server)")
        for motion in "reduce", "no-preference":
            self.expect_marked_for_a_while(notebook, motion)

    def expect_marked_for_a_while(self, notebook, motion):
        notebook.page.emulate_media(reduced_motion=motion)
        notebook.page.set_viewport_size(SIZE)
        panel = panel_of(notebook.run_cell(1), more=False)
        expect(panel.locator(".asks")).to_contain_text("it waits for a client")
        button(panel, "Connect a client").click()
        expect(panel.locator(".asks")).to_contain_text("it waits for alice alone")
        # However slow the page is: the marks stand still from the moment when they appear.
        panel.locator(".live svg").evaluate(
            """svg => svg.addEventListener("animationstart", () => {
                for (const mark of svg.getAnimations({ subtree: true })) if (mark.animationName) mark.pause();
            })"""
        )
        button(panel, "Connect a client").click()  # one change and no more: nothing comes after it that would be marked instead
        expect(panel.locator(".asks")).to_contain_text("Meanwhile bob stands in the accept queue.")
        expect(panel.locator(".live svg .changed")).not_to_have_count(0)
        strokes = panel.locator(".live svg").evaluate(
            """async svg => {
                const marks = () => svg.getAnimations({ subtree: true }).filter(one => one.animationName === "fresh");
                const frame = () => new Promise(requestAnimationFrame);
                while (!marks().some(one => one.playState === "paused")) await frame();
                await frame();
                const [mark] = marks();
                const at = share => {
                    mark.currentTime = share * mark.effect.getComputedTiming().endTime;
                    return getComputedStyle(mark.effect.target).stroke;
                };
                const strokes = [0, 0.9, 1].map(at);
                mark.finish();
                return strokes;
            }"""
        )
        assert strokes[0] != strokes[2] and (strokes[1] == strokes[0]) == (motion == "reduce")
        # What is drawn anew later, for another reason, is not marked again.
        expect(panel.locator(".live svg .changed")).not_to_have_count(0)
        notebook.page.set_viewport_size({"width": 1100, "height": 900})
        expect(panel.locator(".live svg .changed")).to_have_count(0)

    def test_a_row_that_has_another_place_takes_along_what_is_in_it(self, open_cells):
        notebook = open_cells("from course_lib.servers import EpollServer\nobserve(EpollServer().start())")
        panel = panel_of(notebook.run_cell(1), more=False)
        picture = panel.locator(".live svg")
        for name in "alice", "bob":
            button(panel, "Connect a client").click()
            expect(picture).to_contain_text(name)
        expect(picture.locator("[data-key^=interest]")).to_have_count(3)
        notebook.page.evaluate(
            """() => {
                const animate = Element.prototype.animate;
                window.glide = [];
                Element.prototype.animate = function (...how) { glide.push(this.dataset.key); return animate.apply(this, how); };
            }"""
        )
        choose(panel, "alice")
        button(panel, "Close").click()
        expect(picture.locator("[data-key^=interest]")).to_have_count(2)
        expect(picture.locator("[data-key=thread]")).to_contain_text("epoll_wait z z")
        assert not [key for key in notebook.page.evaluate("glide") if key and key.startswith("interest")]

    def test_the_picture_is_lower_again_when_a_crowd_has_gone(self, open_cells):
        notebook = open_cells(
            "from course_lib.servers import EpollServer\nserver = EpollServer().start()\nobserve(server)",
            "server.stop(), server.start()",
        )
        panel = panel_of(notebook.run_cell(1), more=False)
        picture = panel.locator(".live svg")
        expect(picture).to_contain_text("listener")

        def height() -> float:
            return picture.evaluate("svg => svg.getBoundingClientRect().height")

        low = height()
        panel.locator("summary", has_text="more").click()
        button(panel, "Connect 20").click()
        expect(picture).to_contain_text("more, which are not drawn")
        at_last(notebook.page, height, lambda tall: tall > 2 * low)
        notebook.run_cell(2)
        expect(picture).not_to_contain_text("alice")
        at_last(notebook.page, height, lambda tall: tall < 1.5 * low)

    def test_a_newcomer_goes_back_from_a_film_to_live_flips_the_toggle_and_sees_what_changed(self, open_cells):
        notebook = open_cells("observe(BlockingServer().start())")
        panel = panel_of(notebook.run_cell(1), more=False)
        button(panel, "Film").click()
        film = panel.locator(".filmed .player")
        expect(film).to_be_visible()
        expect(film.locator("output")).to_have_text(re.compile(r"^1 of \d+$"))
        film.get_by_role("slider").press("End")
        expect(film.locator(".asks")).to_contain_text("The server sleeps")
        button(panel, "Back to live").click()
        expect(film).to_have_count(0)
        expect(panel.locator(".live .asks")).to_be_visible()
        button(panel, "Connect a client").click()
        expect(panel.locator(".live .asks")).to_contain_text("it waits for alice alone")
        button(panel, "Connect a client").click()
        expect(panel.locator(".asks")).to_contain_text("Meanwhile bob stands in the accept queue.")
        expect(panel.locator("svg text.who")).to_have_text(["listener", "alice"])
        button(panel, "connections: non-blocking").hover()
        expect(panel.locator(".help")).to_have_text("O_NONBLOCK on: a call that finds nothing comes back at once, with EAGAIN")
        button(panel, "connections: non-blocking").click()
        expect(panel.locator("svg text.hot")).to_have_text("non-blocking")
        expect(panel.get_by_role("status")).to_contain_text("The server still sleeps in the recv() that it began before")
        assert notebook.errors == []

    def test_who_is_chosen_changes_no_time_asleep_and_who_is_closed_keeps_a_lane_while_it_can_be_seen(self, open_cells):
        notebook = open_cells("observe(BlockingServer().start())")
        panel = panel_of(notebook.run_cell(1))
        for _ in range(2):
            button(panel, "Connect a client").click()
        expect(panel.locator(".doing")).to_contain_text("asleep in recv()")
        expect(panel.get_by_label("client", exact=True).locator("option", has_text="bob")).to_have_count(1)  # who comes is chosen

        def seconds() -> float:
            return float(re.search(r"([\d.]+) s", panel.locator(".doing").inner_text())[1])

        notebook.page.wait_for_function(
            "() => parseFloat(document.querySelector('.doing').textContent.match(/([\\d.]+) s/)?.[1]) > 2"
        )
        before = seconds()
        choose(panel, "alice")
        assert seconds() >= before

        # A lane belongs to one socket: bob's has alice's number.
        button(panel, "Close").click()
        expect(row(panel, "bob")).to_be_visible()
        panel.get_by_label("seconds shown").select_option("60")
        lanes = Lanes(panel)
        lanes.expect(2, r"^\d+ alice \(closed\), ")
        lanes.expect(3, r"^\d+ bob, ")
