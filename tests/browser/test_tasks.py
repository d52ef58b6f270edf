"""The tasks of a coroutine server in the page: the ready queue, and what each task waits for."""

from panel_page import button, choose, panel_of
from places import at_last, expect_fits
from playwright.sync_api import expect

SERVER = (
    "from course_lib.servers import CoroutineServer\nfrom course_lib.clients import crowd\n"
    "server = CoroutineServer().start()\nclients = crowd(server, 3)\nobserve(server)"
)


def tasks(panel):
    return panel.get_by_role("table", name="tasks")


def queue(panel):
    return panel.get_by_role("list", name="ready queue").get_by_role("listitem")


def test_the_ready_queue_gets_shorter_call_by_call_a_slow_reader_is_waited_for_and_other_servers_have_none(open_cells):
    notebook = open_cells(
        SERVER, "server.hold()\nfor client in clients: client.send(b'hello')", "observe(BlockingServer().start())"
    )
    panel = panel_of(notebook.run_cell(1))
    expect(tasks(panel).get_by_role("row")).to_have_count(5)  # the head, the listener's task, three clients
    expect(tasks(panel).get_by_role("row").filter(has_text="alice")).to_contain_text("read ")
    expect(queue(panel)).to_have_text(["empty"])
    notebook.run_cell(2)
    expect(panel.locator(".doing")).to_contain_text("held before recv(")
    expect(panel.locator(".stage svg")).to_contain_text("▶ alice")
    # The wait in flight may have come back with the first client only.
    expect(queue(panel).first).to_contain_text("▶ serve_client alice (running)")
    expect(tasks(panel).get_by_role("row").nth(1)).to_contain_text("running")
    button(panel, "One call").click()
    expect(panel.locator(".doing")).to_contain_text("held before send(")
    for client in ("bob", "carol"):
        for _ in range(10):
            if f"serve_client {client} (running)" in queue(panel).first.text_content():
                break
            before = panel.locator(".doing").text_content()
            button(panel, "One call").click()
            expect(panel.locator(".doing")).not_to_have_text(before)
            expect(panel.locator(".doing")).to_contain_text("held before ")  # the queue came with the same message
        expect(queue(panel).first).to_contain_text(f"serve_client {client} (running)")
    button(panel, "Run on").click()
    expect(queue(panel)).to_have_text(["empty"])

    choose(panel, "bob")
    button(panel, "Read slowly").click()
    button(panel, "Send 8 MB").click()
    expect(tasks(panel).get_by_role("row").filter(has_text="bob")).to_contain_text("write ")

    other = panel_of(notebook.run_cell(3))
    expect(button(other, "Hold")).to_be_visible()
    expect(tasks(other)).to_have_count(0)
    assert notebook.errors == []


def test_it_fits_850_pixels_and_a_name_is_shown_as_text(open_cells):
    notebook = open_cells(
        "from course_lib.servers import CoroutineServer\nfrom course_lib.servers.scheduler import sleep\n"
        "server = CoroutineServer().start()\npanel = observe(server)\n"
        "server.answer = lambda request: server.loop.spawn(sleep(3600), '<b>a task with a long name </b>' * 20) and request\npanel"
    )
    notebook.page.set_viewport_size({"width": 850, "height": 900})
    panel = panel_of(notebook.run_cell(1))
    button(panel, "Connect a client").click()
    button(panel, "Send text").click()
    expect(tasks(panel)).to_contain_text("<b>a task")
    expect(tasks(panel)).to_contain_text("sleeping 3")
    drawn = panel.locator(".stage svg text").all_text_contents
    shown = at_last(notebook.page, drawn, lambda words: {"accept_", "serve_", "clients", "client"} <= {*words})
    assert not any("…" in words for words in shown)
    expect(panel.locator("b").filter(has_text="a task")).to_have_count(0)
    for theme in notebook.themes():
        expect_fits(panel)
        expect_fits(panel.locator(".tasks"))
