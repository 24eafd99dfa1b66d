"""The study page in real Chromium: keys, phones, undo, servers that go away, people of known taste."""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from chromium import CONTRAST, INSECURE, NEEDS_CHROMIUM
from pellucid.apps.study.app import create_app
from pellucid.evaluation.study import Vote, analyse, read_votes
from pellucid.evaluation.study.assignment import Desk
from pellucid.evaluation.study.pairs import VOTES, create_study
from pellucid.evaluation.study.plan import read_plan
from pellucid.evaluation.study.votes import read_log
from sites import Site, serving

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, Page, expect

pytestmark = NEEDS_CHROMIUM
Studied = Callable[..., Path]

MIDDLES = """() => [...document.querySelectorAll(".pair canvas")].map((canvas) => {
  const at = [canvas.width / 2, canvas.height / 2].map(Math.round);
  return [...canvas.getContext("2d").getImageData(...at, 1, 1).data];
})"""
"""Colours in the middle of both images, as they are on the screen."""


def enter(context: BrowserContext, site: Site, name: str = "ann") -> Page:
    """Opens the page, gives a name and waits for the first pair."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    page.goto(site.address)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    seen(page)
    return page


def seen(page: Page) -> None:
    """Waits until both images of a pair can be seen, or none is left."""
    expect(
        page.locator(".pair canvas[data-ready=true]").or_(page.get_by_role("heading", name="Thank you"))
    ).not_to_have_count(0)
    expect(page.locator(".pair canvas[data-ready=false]")).to_have_count(0)


def is_over(page: Page) -> bool:
    return page.get_by_role("heading", name="Thank you").count() > 0


def settled(folder: Path, count: int, taken_back: int = 0) -> list[Vote]:
    """Waits until so many votes stand and so many were taken back; returns those that stand."""
    found: tuple[list[Vote], list[Vote]] = [], []
    for _ in range(200):
        found = read_log(folder / VOTES) if (folder / VOTES).exists() else ([], [])
        if tuple(map(len, found)) == (count, taken_back):
            break
        time.sleep(0.05)
    assert tuple(map(len, found)) == (count, taken_back)
    return found[0]


def shown(page: Page) -> tuple[str, str]:
    """Tells each side's method by its colour, as a person would; a damaged copy is neither."""
    names = []
    for red, green, blue, _ in page.evaluate(MIDDLES):
        vivid = max(red, green, blue) - min(red, green, blue) > 130
        names.append("damaged" if not vivid else "green" if green > red else "red")
    return names[0], names[1]


def test_one_key_is_one_answer_and_the_next_pair_follows(studied: Studied, context: BrowserContext) -> None:
    folder = studied(attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site)
        methods: list[tuple[str, str]] = []
        for key in ("ArrowLeft", "b", "ArrowDown", "a", "ArrowRight"):
            methods.append(shown(page))
            page.keyboard.press(key)
            seen(page)
        votes = settled(folder, 5)
        assert [vote.outcome for vote in votes] == ["left", "right", "tie", "left", "right"]
        assert [(vote.left, vote.right) for vote in votes] == methods
        assert all(0 < vote.dwell_ms < 20_000 for vote in votes)
        assert len({vote.background for vote in votes}) > 1
        expect(page.get_by_text("You answered 5")).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("B chosen. Next: a disc")


def test_undo_shows_a_pair_again_and_only_the_second_answer_counts(
    studied: Studied, context: BrowserContext
) -> None:
    folder = studied(attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site)
        first = page.locator(".pair").get_attribute("data-pair")
        for key in "aau":
            page.keyboard.press(key)
            seen(page)
        page.get_by_role("button", name="Undo").click()
        seen(page)
        assert page.locator(".pair").get_attribute("data-pair") == first
        page.keyboard.press("b")
        seen(page)
        assert [(vote.pair, vote.outcome) for vote in settled(folder, 1, taken_back=2)] == [(first, "right")]


def test_both_images_are_looked_at_together(studied: Studied, context: BrowserContext) -> None:
    folder = studied(attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site)
        pair = page.locator(".pair")
        pictures = [pair.screenshot()]
        for key in ("g", "g", " ", "g"):
            page.keyboard.press(key)
            page.wait_for_timeout(80)
            pictures.append(pair.screenshot())
        box = page.locator(".pair canvas").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 5, box["y"] + 5)  # the corner of the one is the corner of the other
        page.wait_for_timeout(80)
        pictures.append(pair.screenshot())
        assert len(set(pictures)) == len(pictures)
        page.keyboard.press("a")
        seen(page)
        assert pair.locator("figure[data-zoomed=true]").count() == 0
        assert settled(folder, 1)[0].background in (
            "checkerboard",
            "#000000",
            "#ffffff",
            "#808080",
            "photograph",
        )


def test_a_visit_goes_on_where_it_stopped(studied: Studied, browser: Browser) -> None:
    folder = studied(votes=24, attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        first = browser.new_context()
        page = enter(first, site, "P 17")
        for _ in range(4):
            page.keyboard.press("a")
            seen(page)
        settled(folder, 4)
        page.reload()
        expect(page.get_by_label("Your name")).to_have_value("P 17")
        first.close()
        other = browser.new_context()  # another machine: the link of a person names them
        page = other.new_page()
        page.goto(f"{site.address}/#rater=p%2017")
        page.get_by_role("button", name="Begin").click()
        seen(page)
        expect(page.get_by_text("You answered 4")).to_be_visible()
        while not is_over(page):
            page.keyboard.press("a")
            page.wait_for_timeout(20)
            seen(page)
        votes = settled(folder, 12)
        assert len({vote.pair for vote in votes}) == 12
        assert {vote.rater for vote in votes} == {"p 17"}
        expect(page.get_by_text("every pair that is there for you")).to_be_visible()
        other.close()


def test_answers_outlive_a_server_that_goes_away(studied: Studied, context: BrowserContext) -> None:
    folder = studied(attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site)
        page.keyboard.press("a")
        settled(folder, 1)
        page.wait_for_timeout(400)
        port = int(site.address.rpartition(":")[2])
    for _ in range(3):
        page.keyboard.press("b")
        seen(page)  # the next ones are decoded already
    expect(page.get_by_role("alert")).to_contain_text("3 answers wait in this browser")
    page.close()
    with serving(create_app(Desk(folder)), port):
        page = enter(context, site)
        votes = settled(folder, 4)
        assert [vote.outcome for vote in votes] == ["left", *["right"] * 3]
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [("secret", "lacks its token"), ("disk", "No space left"), ("study", "Another study")],
)
def test_answers_outlive_a_server_that_cannot_take_them(
    studied: Studied, context: BrowserContext, monkeypatch: pytest.MonkeyPatch, trouble: str, words: str
) -> None:
    folder = studied(attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site)
        port = int(site.address.rpartition(":")[2])

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    plan = folder / "plan.toml"
    right = plan.read_text()
    with monkeypatch.context() as patch:
        if trouble == "disk":
            patch.setattr(os, "fsync", full)
        if trouble == "study":
            plan.write_text(right.replace("Green", "Blue"))
        with serving(create_app(Desk(folder), token="new" if trouble == "secret" else None), port):
            page.keyboard.press("b")
            expect(page.get_by_role("alert")).to_contain_text(words)
            expect(page.get_by_role("alert")).to_contain_text("1 answer waits in this browser")
            seen(page)  # and the next pair is there
    plan.write_text(right)
    with serving(create_app(Desk(folder)), port):
        assert [vote.outcome for vote in settled(folder, 1)] == ["right"]
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_phone_has_large_buttons_and_nothing_is_cut_off(studied: Studied, browser: Browser) -> None:
    folder = studied(attention=0, swapped=0)
    phone = browser.new_context(viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    with serving(create_app(Desk(folder))) as site:
        page = enter(phone, site)
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["y"] + box["height"] <= 780
            assert min(box["width"], box["height"]) >= 30
        a = page.get_by_role("button", name="A", exact=True)
        box = a.bounding_box()
        assert box is not None
        assert box["width"] > 100
        assert box["height"] >= 60
        page.locator(".pair canvas").first.tap()
        expect(page.locator("figure[data-zoomed=true]")).to_have_count(2)
        a.tap()
        seen(page)
        assert [vote.outcome for vote in settled(folder, 1)] == ["left"]
    phone.close()


def test_nothing_comes_from_elsewhere_and_a_screen_reader_hears_everything(
    studied: Studied, context: BrowserContext
) -> None:
    said: list[str] = []
    hosts: set[str] = set()
    context.on("console", lambda message: said.append(message.text))
    context.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    with serving(create_app(Desk(studied()))) as site:
        page = enter(context, site)
        for key in ("a", "g", " ", "?", "Escape", "s"):
            page.keyboard.press(key)
            page.wait_for_timeout(60)
        names = page.get_by_role("button").evaluate_all(
            "all => all.map(b => b.ariaLabel || b.innerText.trim())"
        )
        assert len(names) > 8
        assert all(names)
        labels = page.get_by_role("img").evaluate_all("all => all.map(each => each.ariaLabel)")
        assert [label[:6] for label in labels] == ["A: a d", "B: a d"]
        assert {host for host in hosts if not host.startswith("blob:")} == {site.address}
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(
    studied: Studied, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    themed = browser.new_context(color_scheme=scheme)
    with serving(create_app(Desk(studied()))) as site:
        page = themed.new_page()
        page.goto(site.address)
        page.get_by_role("button", name="Begin").wait_for()
        ratios = page.evaluate(CONTRAST)
        page.get_by_role("button", name="Begin").click()
        seen(page)
        ratios |= page.evaluate(CONTRAST)
        assert len(ratios) > 8
        assert min(ratios.values()) >= 4.5, {name: ratio for name, ratio in ratios.items() if ratio < 4.5}
    themed.close()


def test_what_people_of_known_taste_prefer_is_found(studied: Studied, browser: Browser) -> None:
    """Three people see only pixels: two take the green disc, one looks at nothing and takes the left."""
    folder = studied(pairs=14, votes=42, raters=3, attention=0.3)
    with serving(create_app(Desk(folder))) as site:
        for name in ("ann", "bob", "idle"):
            context = browser.new_context()
            page = enter(context, site, name)
            while not is_over(page):
                left, right = shown(page)
                takes_left = name == "idle" or left == "green" or right == "damaged"
                page.keyboard.press("ArrowLeft" if takes_left else "ArrowRight")
                page.wait_for_timeout(20)
                seen(page)
            page.wait_for_timeout(300)  # the last answer is on its way
            context.close()
    votes = read_votes(folder / VOTES)
    assert Counter(vote.rater for vote in votes if vote.kind == "plain") == {"ann": 14, "bob": 14, "idle": 14}
    found = analyse(folder / VOTES, resamples=50, min_dwell_ms=0)
    assert set(found.dropped) == {"idle"}
    (pair,) = found.questions["prefer"].pairs
    assert (pair.first, pair.second) == ("green", "red")
    assert pair.rate.value == 1


def test_images_that_a_stopped_server_owes_come_when_it_is_back(
    studied: Studied, context: BrowserContext
) -> None:
    folder = studied(votes=24, attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site)
        context.route("**/api/images/**", lambda route: route.abort())
        for _ in range(6):  # more than are decoded ahead
            page.keyboard.press("a")
            page.wait_for_timeout(50)
        expect(page.locator(".pair canvas[data-ready=false]").first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        before = int(page.locator(".numbers").inner_text().split()[-1])
        settled(folder, before)
        context.unroute("**/api/images/**")
        seen(page)
        page.keyboard.press("a")
        settled(folder, before + 1)


def test_another_study_at_the_same_address_shows_its_own_images(
    studied: Studied, context: BrowserContext
) -> None:
    folder = studied(attention=0, swapped=0)
    with serving(create_app(Desk(folder))) as site:
        first = shown(enter(context, site))
        port = int(site.address.rpartition(":")[2])
    # the same plan and names, so the same pairs; browsers keep images by their addresses
    home = folder.parent
    (home / "green").rename(home / "other")
    (home / "red").rename(home / "green")
    (home / "other").rename(home / "red")
    create_study(read_plan(home / "plan.toml"), home / "plan.toml", home / "second", home)
    with serving(create_app(Desk(home / "second")), port):
        assert shown(enter(context, site)) == first[::-1]


def test_answers_come_from_other_machines_without_https(studied: Studied, context: BrowserContext) -> None:
    folder = studied(attention=0, swapped=0)
    context.add_init_script(INSECURE)
    with serving(create_app(Desk(folder))) as site:
        page = enter(context, site, name="")
        page.keyboard.press("a")
        (vote,) = settled(folder, 1)
        assert vote.rater.startswith("anonymous-")
        page.keyboard.press("u")
        settled(folder, 0, taken_back=1)
