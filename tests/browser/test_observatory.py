"""The observatory in a real page: stepping, recording, time lanes, its clients, and whether all can use it."""

import re

import pytest
from axe import needs_axe, violations
from panel_page import Lanes, button, choose, panel_of, row
from places import at_last, expect_contrast, expect_fits
from playwright.sync_api import expect

SERVER = "server = BlockingServer().start()\nobserve(server)"
PAIRS = "pairs = [socket.socketpair() for _ in range({})]\nobserve([end for pair in pairs for end in pair])"


def test_hold_one_call_and_run_on_and_stop_while_held(open_cells):
    notebook = open_cells(SERVER, "server = BlockingServer()\nserver.hold()\nserver.start()\nobserve(server)")
    panel = panel_of(notebook.run_cell(1))
    step, doing, last = button(panel, "One call"), panel.locator(".doing"), panel.locator(".pending")
    expect(doing).to_contain_text("asleep in accept()")
    expect(step).to_be_disabled()
    button(panel, "Hold").click()
    expect(last).to_contain_text("it will be held before its next call")
    expect(step).to_be_disabled()
    button(panel, "Connect a client").click()
    expect(doing).to_contain_text(re.compile(r"held before recv\(\d+\)"))
    expect(last).to_contain_text(re.compile(r"accept\(\d+\) = \d+ <"))
    button(panel, "Send text").click()
    expect(row(panel, "alice").locator(".receive")).to_have_text("5")
    step.click()
    expect(doing).to_contain_text(re.compile(r"held before sendall\(\d+\)"))
    expect(last).to_contain_text(re.compile(r"recv\(\d+\) = 5 b'hello'"))
    expect(row(panel, "alice").locator(".receive")).to_have_text("0")
    expect(panel).not_to_contain_text("bytes came back")
    step.click()
    expect(doing).to_contain_text(re.compile(r"held before recv\(\d+\)"))
    expect(last).to_contain_text(re.compile(r"sendall\(\d+\) = 5 b'hello'"))
    expect(panel).to_contain_text(re.compile("alice: .*5 bytes came back: 'hello'"))
    step.click()  # nothing to read: it sleeps in the call
    expect(doing).to_contain_text("asleep in recv()")
    expect(step).to_be_disabled()
    button(panel, "Run on").click()
    button(panel, "Send text").click()
    expect(panel).to_contain_text(re.compile("alice: .*10 bytes came back"))
    expect(button(panel, "Hold")).to_be_visible()

    panel = panel_of(notebook.run_cell(2))
    doing = panel.locator(".doing")
    expect(doing).to_contain_text("held before accept")
    button(panel, "Stop").click()
    expect(button(panel, "Start")).to_be_visible()
    expect(button(panel, "One call")).to_be_disabled()
    expect(doing).not_to_contain_text("held before")
    button(panel, "Start").click()
    expect(doing).to_contain_text("held before accept")
    button(panel, "Run on").click()
    expect(doing).to_contain_text("asleep in accept()")


def test_record_lists_the_calls_and_markup_is_shown_as_text(open_cells):
    notebook = open_cells(SERVER)
    panel = panel_of(notebook.run_cell(1))
    listing = panel.locator("pre.calls")
    expect(listing).to_be_hidden()
    button(panel, "Record").click()
    expect(button(panel, "✓ Recording")).to_have_attribute("aria-pressed", "true")
    button(panel, "Connect a client").click()
    button(panel, "Send text").click()
    expect(listing).to_contain_text(
        re.compile(r"accept\(\d+\) = \d+ <[\d.]+>\nrecv\(\d+\) = 5 b'hello' <[\d.]+>\nsendall\(\d+\) = 5 b'hello'")
    )
    panel.get_by_label("text to send").fill("<img src=x onerror='harmed=1'><b>bold</b>")
    panel.get_by_label("text to send").press("Enter")
    expect(listing).to_contain_text("<img src=x")
    expect(panel.get_by_label("what each client sees")).to_contain_text("<b>bold</b>")
    expect(panel.locator("img, pre.calls b, .clients b")).to_have_count(0)
    assert notebook.page.evaluate("() => window.harmed") is None
    button(panel, "✓ Recording").click()
    expect(button(panel, "Record")).to_have_attribute("aria-pressed", "false")


def test_lanes_show_the_thread_and_what_arrives_and_a_pause_freezes_them(open_cells):
    notebook = open_cells(SERVER, PAIRS.format(1), "pairs[0][0].send(b'12345')")
    thread = Lanes(panel_of(notebook.run_cell(1)))
    thread.expect(0, r"the server's thread, \d+\.\d+ s before now: asleep in accept\(\).*\(sampled\)")
    assert thread.pixels(0)[0] > 0
    panel = panel_of(notebook.run_cell(2))
    lanes = Lanes(panel)
    lanes.expect(1, "not readable, writable")
    empty = lanes.pixels(1)
    button(panel, "Pause").click()
    expect(button(panel, "Resume")).to_be_visible()
    notebook.run_cell(3)
    expect(panel.get_by_role("row").nth(2).locator(".readable")).to_contain_text("yes")  # the table goes on
    lanes.expect(1, "before the pause: not readable")
    lanes.canvas.blur()
    lanes.painted()
    frozen = lanes.canvas.evaluate("canvas => canvas.toDataURL()")
    notebook.page.evaluate(
        "() => new Promise(done => { let left = 20; const next = () => --left ? requestAnimationFrame(next) : done(); next(); })"
    )
    assert lanes.canvas.evaluate("canvas => canvas.toDataURL()") == frozen
    button(panel, "Resume").click()
    lanes.expect(1, "before now: readable, writable, 5 waiting")
    lanes.expect(0, "not readable")
    assert lanes.pixels(1)[0] > empty[0]


def test_the_span_is_chosen_the_arrows_move_the_cursor_and_recorded_calls_are_in_the_lanes(open_cells):
    panel = panel_of(open_cells(SERVER).run_cell(1))
    lanes = Lanes(panel)

    def seconds_back(said: str) -> float:
        return float(re.search(r", (\d+\.\d+) s before", said)[1])

    lanes.expect(0, "the server's thread", 20)
    button(panel, "Pause").click()
    ten = seconds_back(lanes.expect(0, "the server's thread.* before the pause", 20))
    panel.get_by_label("seconds shown").select_option("60")

    def sixty(steps_back: int) -> float:
        return seconds_back(lanes.expect(0, "before the pause", steps_back))

    assert at_last(panel.page, lambda: sixty(20), lambda back: back == pytest.approx(6 * ten, rel=0.05)) < sixty(21)
    lanes.expect(1, "listener")
    at_last(panel.page, lambda: lanes.keys("ArrowLeft", "ArrowDown", "ArrowUp"), lambda said: "the server's thread" in said)

    button(panel, "Resume").click()
    button(panel, "Record").click()
    expect(panel.locator(".legend")).to_contain_text("recorded, exact")
    button(panel, "Connect a client").click()
    expect(panel.locator(".doing")).to_contain_text(re.compile(r"asleep in recv\(\).*, [1-9][\d.]* (s|min)"))  # it sleeps so long
    button(panel, "Close").click()
    expect(panel.locator("pre.calls")).to_contain_text("close(")
    button(panel, "Pause").click()
    said = []
    for steps in range(150):  # with 60 seconds shown a step is less than one
        said.append(lanes.left() if said else lanes.at(0))
        if re.search(r"recv\(\d+\) \(recorded, \d{7,} µs\)", said[-1]):
            break
    else:
        pytest.fail(f"no recorded call in {said}")


def test_a_slow_reader_fills_the_send_buffer(open_cells):
    panel = panel_of(open_cells(SERVER).run_cell(1))
    button(panel, "Connect a client").click()
    expect(row(panel, "alice")).to_be_visible()
    button(panel, "Read slowly").click()
    expect(button(panel, "Read fast")).to_be_visible()
    for _ in range(3):  # 24 MB: more than the buffers of both ends hold
        button(panel, "Send 8 MB").click()
    expect(panel.locator(".doing")).to_contain_text("asleep in send()")
    expect(row(panel, "alice").locator(".send")).to_have_text(re.compile(r"^\d[\d, ]{4,}"))
    expect(row(panel, "alice").locator(".writable")).to_have_text("no")
    button(panel, "Read fast").click()
    expect(row(panel, "alice").locator(".send")).to_have_text("0")


def test_five_hundred_descriptors_stay_responsive(open_cells):
    notebook = open_cells(PAIRS.format(250), "pairs[249][0].send(b'last of all')")
    panel = panel_of(notebook.run_cell(1))
    expect(panel.get_by_role("row")).to_have_count(61)
    expect(panel).to_contain_text("440 more descriptors are not shown; the active ones come first")
    notebook.run_cell(2)
    expect(row(panel, "11").filter(has_text="● yes").locator(".receive").filter(has_text=re.compile("^11$"))).to_have_count(1)
    button(panel, "Pause").click()
    expect(button(panel, "Resume")).to_be_visible()
    Lanes(panel).expect(59, "before the pause")
    assert notebook.errors == []


@needs_axe
def test_twenty_clients_are_named_and_all_can_be_read_in_both_themes(open_cells):
    notebook = open_cells(SERVER)
    panel = panel_of(notebook.run_cell(1))
    button(panel, "Connect 20").click()
    clients = panel.get_by_label("what each client sees").get_by_role("listitem")
    expect(clients).to_have_count(20)
    expect(clients.first).to_contain_text("alice: connected")
    expect(clients.last).to_contain_text("client 20: connected, not accepted yet")
    expect(row(panel, "alice")).to_contain_text("BlockingServer in recv")
    expect(row(panel, "listener")).to_contain_text("19 waiting")
    button(panel, "Record").click()
    button(panel, "Send text").click()
    choose(panel, "alice")
    button(panel, "Send text").click()
    expect(panel.locator("pre.calls")).to_contain_text("sendall")
    button(panel, "Hold").click()
    expect(button(panel, "Run on")).to_be_visible()
    Lanes(panel).at(0)
    names = panel.get_by_role("button").evaluate_all("all => all.map(b => b.getAttribute('aria-label') || b.textContent)")
    assert all(names) and len(names) == len(set(names))
    for theme in notebook.themes():
        expect_contrast(panel, 7)
        expect_fits(panel)
        report = [
            f"{one['impact']}: {one['id']}: {one['help']}: {[n['target'][-1] + ' ' + n['html'][:120] for n in one['nodes'][:4]]}"
            for one in violations(notebook.page, "() => axe.run('.observatory', { resultTypes: ['violations'] })")
        ]
        assert not [line for line in report if line.startswith(("serious", "critical"))], (theme, report)
