"""The screening page in real Chromium: keys, grid, undo, a server that goes away, phones, screen readers."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Literal

import pytest
from sqlalchemy import select

from building import present
from chromium import CONTRAST, INSECURE, NEEDS_CHROMIUM
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.outcomes import fates, judgements
from pellucid.data.rounds.tables import Sample, Verdict
from screening import PLAIN, judge_all, served
from sites import Site

playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, Page, expect  # noqa: E402

pytestmark = NEEDS_CHROMIUM
Opened = Callable[..., Store]


def enter(context: BrowserContext, site: Site, name: str = "Ann") -> Page:
    """Opens the page, gives a name and waits for the first image."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    page.goto(site.address)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin", exact=True).click()
    seen(page)
    return page


def seen(page: Page) -> None:
    """Waits until what is to be judged can be seen."""
    expect(page.locator(".stage canvas[data-ready=true]").first).to_be_visible()
    expect(page.locator(".stage canvas[data-ready=false]")).to_have_count(0)


def settled(store: Store, count: int) -> list[Verdict]:
    """Waits until the log has so many lines, and returns them."""
    found: list[Verdict] = []
    for _ in range(200):
        with store.reading() as session:
            found = list(session.scalars(select(Verdict).order_by(Verdict.id)))
        if len(found) >= count:
            break
        time.sleep(0.05)
    assert len(found) == count
    return found


def decisions(store: Store) -> list[str]:
    with store.reading() as session:
        return [each.decision for each in judgements(session, 1)]


def test_one_key_is_one_verdict_and_the_next_image_follows(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        for key in ("ArrowRight", "k", "ArrowLeft", "x", "3"):
            page.keyboard.press(key)
            seen(page)
        lines = settled(store, 5)
        assert [line.decision for line in lines] == ["keep", "keep", "reject", "reject", "reject"]
        assert [line.reason for line in lines] == ["", "", "", "", "halo or fringe"]
        assert len({line.sample_id for line in lines}) == 5
        assert {line.background for line in lines} == {"checker"}
        assert all(0 < line.dwell_ms < 20_000 for line in lines)
        expect(page.get_by_text("5 of 30")).to_be_visible()
        # for those who cannot see the page
        expect(page.get_by_role("status")).to_contain_text("Rejected. Next:")


def test_undo_reaches_into_earlier_visits(opened: Opened, browser: Browser, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        first = page.get_by_role("img").get_attribute("aria-label")
        for _ in range(3):
            page.keyboard.press("k")
            seen(page)
        settled(store, 3)
        page.close()
        other = browser.new_context()  # another machine, as far as the server knows
        page = enter(other, site)
        expect(page.get_by_role("button", name="Undo")).to_be_enabled()
        for key in "uzu":
            page.keyboard.press(key)
            seen(page)
        settled(store, 6)
        assert decisions(store) == []
        assert page.get_by_role("img").get_attribute("aria-label") == first
        page.keyboard.press("x")
        settled(store, 7)
        assert decisions(store) == ["reject"]
        other.close()


def test_keys_are_letters_in_text_fields_and_can_be_changed(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = context.new_page()
        page.goto(site.address)
        page.get_by_label("Your name").press_sequentially("kx ub1")
        expect(page.get_by_label("Your name")).to_have_value("kx ub1")
        page.keyboard.press("Enter")
        seen(page)
        page.keyboard.press("?")
        page.get_by_role("button", name="Change: Keep").click()
        page.keyboard.press("q")
        expect(page.get_by_role("row", name="Keep").first).to_contain_text("Q")
        page.keyboard.press("q")  # the dialog is open: nothing is judged
        page.keyboard.press("Escape")
        page.keyboard.press("q")
        assert settled(store, 1)[0].decision == "keep"
        page.reload()
        page.get_by_role("button", name="Begin", exact=True).click()
        seen(page)
        page.keyboard.press("q")
        settled(store, 2)
        page.keyboard.press("Control+k")  # belongs to the browser
        page.wait_for_timeout(200)
        settled(store, 2)


def test_views_change_what_is_seen_and_nothing_else(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        pictures = [page.locator(".stage").screenshot()]
        for key in ("b", "b", "b", "b", "a", "f", " "):
            page.keyboard.press(key)
            page.wait_for_timeout(100)
            pictures.append(page.locator(".stage").screenshot())
        assert len(set(pictures)) == len(pictures)
        page.keyboard.press("f")
        page.keyboard.press("k")
        assert settled(store, 1)[0].background == "photo"


def test_a_grid_page_is_marked_committed_and_taken_back_as_one(
    opened: Opened, context: BrowserContext
) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        page.keyboard.press("g")
        page.get_by_role("combobox").select_option("20")
        cells = page.locator(".cells .cell")
        expect(cells).to_have_count(20)
        seen(page)
        page.keyboard.press("2")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("1")
        cells.nth(12).click()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("x")
        expect(page.locator(".cell[aria-pressed=true]")).to_have_count(4)
        page.keyboard.press(" ")
        expect(page.locator(".overlay")).to_be_visible()
        page.keyboard.press(" ")
        page.keyboard.press("Enter")
        lines = settled(store, 20)
        assert sorted(str(line.decision) for line in lines) == ["keep"] * 16 + ["reject"] * 4
        assert len({line.batch for line in lines}) == 1
        expect(cells).to_have_count(10)
        page.keyboard.press("u")
        settled(store, 40)
        assert decisions(store) == []
        expect(cells).to_have_count(20)


def test_a_grid_of_one_row_shows_its_images(opened: Opened, context: BrowserContext) -> None:
    with served(opened(replace(PLAIN, samples=3))) as site:
        page = enter(context, site)
        page.keyboard.press("g")
        cells = page.locator(".cells .cell")
        expect(cells).to_have_count(3)
        stage = page.locator(".grid-stage").bounding_box()
        for cell in cells.all():
            box = cell.bounding_box()
            assert box is not None
            assert stage is not None
            assert box["height"] < 1.5 * box["width"]
            assert box["y"] + box["height"] <= stage["y"] + stage["height"]


def test_a_grid_page_may_mark_the_kept_instead(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        page.keyboard.press("g")
        page.get_by_role("button", name="Mark the kept").click()
        seen(page)
        page.locator(".cells .cell").nth(0).click()
        page.get_by_role("button", name="Commit page").click()
        settled(store, 30)
        assert sorted(decisions(store)) == ["keep"] + ["reject"] * 29


def test_the_best_of_a_group_is_chosen_by_its_number(opened: Opened, context: BrowserContext) -> None:
    store = opened(replace(PLAIN, grouping="prompt", samples=120))
    with served(store) as site:
        page = enter(context, site)
        before = 0
        while page.locator(".group .cell").count() < 2:
            page.keyboard.press("x")
            before += 1
            page.wait_for_timeout(60)
            seen(page)
        count = page.locator(".group .cell").count()
        settled(store, before)  # none is on its way any more
        page.keyboard.press("2")
        assert [line.decision for line in settled(store, before + count)[before:]].count("keep") == 1


def test_verdicts_outlive_a_server_that_goes_away(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        page.keyboard.press("k")
        settled(store, 1)
        page.wait_for_timeout(500)
        port = int(site.address.rpartition(":")[2])
    for _ in range(5):
        page.keyboard.press("x")
        seen(page)  # the next ones are decoded already
    expect(page.get_by_role("alert")).to_contain_text("5 verdicts wait in this browser")
    page.close()  # they lie in the browser's own database
    with served(store, port=port) as site:
        page = context.new_page()
        page.goto(site.address)
        page.get_by_role("button", name="Begin", exact=True).click()
        seen(page)
        settled(store, 6)
        expect(page.get_by_role("alert")).to_have_count(0)
    assert decisions(store) == ["keep", *["reject"] * 5]


def test_a_server_that_comes_back_gets_what_waited(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        port = int(site.address.rpartition(":")[2])
    page.keyboard.press("x")
    page.keyboard.press("u")
    page.keyboard.press("k")
    expect(page.get_by_role("alert")).to_contain_text("3 verdicts wait")
    with served(store, port=port):
        settled(store, 3)
        expect(page.get_by_role("alert")).to_have_count(0)
    assert decisions(store) == ["keep"]


def test_disputes_are_settled_on_their_own_queue(opened: Opened, context: BrowserContext) -> None:
    store = opened(replace(PLAIN, overlap=1, samples=4))
    judge_all(store, "bob", lambda _: "keep")
    judge_all(store, "cid", lambda each: "keep" if each.place else "reject")
    with served(store) as site:
        page = context.new_page()
        page.goto(site.address)
        page.get_by_label("Your name").fill("Ann")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Nothing is left for you")).to_be_visible()
        page.get_by_role("button", name="Disputed (1)").click()
        expect(page.get_by_text("What you say decides")).to_be_visible()
        seen(page)
        page.keyboard.press("x")
        expect(page.get_by_text("Nothing is disputed")).to_be_visible()
        settled(store, 9)
        with store.reading() as session:
            found = fates(session, 1)
            disputed = session.scalar(select(Sample.id).where(Sample.place == 0))
        assert found[present(disputed)] == "reject"


def test_history_lists_decisions_and_takes_one_back(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        for key in ("k", "4", "k"):
            page.keyboard.press(key)
            seen(page)
        settled(store, 3)
        page.keyboard.press("h")
        rows = page.get_by_role("listitem")
        expect(rows).to_have_count(3)
        expect(rows.nth(1)).to_contain_text("Rejected: holes in the subject")
        rows.nth(1).get_by_role("button", name="Take back").click()
        expect(rows.nth(1)).to_contain_text("taken back")
        page.keyboard.press("Escape")
        settled(store, 4)
        assert decisions(store) == ["keep", "keep"]


def test_a_phone_swipes_and_has_two_large_buttons(opened: Opened, browser: Browser) -> None:
    store = opened()
    phone = browser.new_context(viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    with served(store) as site:
        page = enter(phone, site)
        for name in ("Keep", "Reject"):
            box = page.get_by_role("button", name=name, exact=True).bounding_box()
            assert box is not None
            assert box["width"] > 100
            assert box["height"] >= 60
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="Keep", exact=True).tap()
        seen(page)
        session = phone.new_cdp_session(page)
        for start, end in ((200, 320), (200, 60)):
            for kind, x in (("touchStart", start), ("touchMove", (start + end) // 2), ("touchMove", end)):
                points = [{"x": x, "y": 300}]
                session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            seen(page)
        assert [line.decision for line in settled(store, 3)] == ["keep", "keep", "reject"]
    phone.close()


def test_everything_can_be_done_by_tab_and_enter(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    with served(store) as site:
        page = enter(context, site)
        buttons = page.get_by_role("button")
        names = buttons.evaluate_all("all => all.map(b => b.ariaLabel || b.innerText.trim())")
        assert len(names) > 10
        assert all(names)
        assert page.get_by_role("img").get_attribute("aria-label")
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText").startswith("Keep"):
                break
        page.keyboard.press("Enter")
        assert settled(store, 1)[0].decision == "keep"


def test_nothing_comes_from_elsewhere_and_nothing_is_complained_of(
    opened: Opened, context: BrowserContext
) -> None:
    said: list[str] = []
    hosts: set[str] = set()
    context.on("console", lambda message: said.append(message.text))
    context.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    with served(opened()) as site:
        page = enter(context, site)
        for key in ("k", "b", "a", "f", "g", "?", "Escape"):
            page.keyboard.press(key)
            page.wait_for_timeout(100)
        assert {host for host in hosts if not host.startswith("blob:")} == {site.address}
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(
    opened: Opened, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    themed = browser.new_context(color_scheme=scheme)
    with served(opened()) as site:
        page = enter(themed, site)
        ratios = page.evaluate(CONTRAST)
        assert len(ratios) > 20
        assert min(ratios.values()) >= 4.5, {name: ratio for name, ratio in ratios.items() if ratio < 4.5}
    themed.close()


NEXT_FRAME = """() => new Promise((resolve) => {
  const text = () => document.querySelector(".numbers").innerText;
  const before = text();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "k", bubbles: true }));
  requestAnimationFrame(() => resolve([before, text()]));
})"""


def test_a_verdict_is_seen_at_once_and_soon_on_the_disk(opened: Opened, context: BrowserContext) -> None:
    store = opened(replace(PLAIN, samples=60))
    with served(store) as site:
        page = enter(context, site)
        loaded = "performance.getEntriesByType('resource').filter(e => /images/.test(e.name)).length"
        while page.evaluate(loaded) < 30:  # decoded ahead
            page.wait_for_timeout(100)
        # a frame begins by asking for callbacks: by then the page says the new number already
        assert page.evaluate(NEXT_FRAME) == ["0 of 60", "1 of 60"]
        for _ in range(20):
            page.keyboard.press("k")
            page.wait_for_timeout(50)
        settled(store, 21)
        page.wait_for_timeout(300)
        for name in ("verdict-to-frame", "verdict-to-durable"):
            spent = page.evaluate(f"performance.getEntriesByName('{name}').map(e => e.duration)")
            assert len(spent) == 21
            # sanity alone: a machine that tests is busy; benchmarks/review_latency.py measures
            assert median(spent) < 2000, (name, spent)


def test_verdicts_come_from_other_machines_without_https(opened: Opened, context: BrowserContext) -> None:
    store = opened()
    context.add_init_script(INSECURE)
    with served(store) as site:
        page = enter(context, site)
        page.keyboard.press("k")
        settled(store, 1)
