"""The report in a headless Chromium: it loads, is quiet, answers mouse and keys, fits a phone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from rosearch.report import write_report
from rosearch.report.metrics import MISSING
from tests.report import made_up
from tests.report.browser import launched

DESKTOP = {"viewport": {"width": 1100, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
LOOKS = {"light": DESKTOP, "dark": DESKTOP | {"color_scheme": "dark"}, "phone": PHONE}


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    study = made_up.study(60)
    return write_report(
        study,
        tmp_path_factory.mktemp("report") / "report.html",
        compared={"teacher": {"accuracy": 0.87, "compression": 1.0}, "TextCNN": study.trials[3]},
        reports={"best": made_up.report()},
        statistics=made_up.statistics(),
    )


@pytest.fixture
def opened(browser, file):
    """Opens the report; at the end the page must have been quiet and have asked for nothing."""
    contexts, said, asked = [], [], []

    def open_(look="light", **options):
        context = browser.new_context(**LOOKS[look], **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_wider_than_the_window(opened, look):
    page = opened(look)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("h1").inner_text() == "movie reviews"
    assert page.locator("#front-chart .point").count() == 60  # 58 evaluated, 2 compared


def test_dark_mode_has_a_dark_background(opened):
    colours = {
        look: opened(look).evaluate("getComputedStyle(document.body).backgroundColor")
        for look in ("light", "dark")
    }
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}


def test_tooltips_by_mouse(opened):
    page = opened()
    tip = page.locator("#tip")
    assert not tip.is_visible()
    page.locator("#front-chart .point.best .mark").hover(force=True)
    assert tip.is_visible()
    assert "best" in tip.inner_text()
    assert "Accuracy under attack" in tip.inner_text()
    page.mouse.move(2, 2)
    assert not tip.is_visible()


def test_tooltips_by_keyboard(opened):
    page = opened()
    tip = page.locator("#tip")
    page.locator("#axis-y").focus()
    page.keyboard.press("Tab")  # one stop for all points: the best
    assert "best" in tip.inner_text()
    seen = {tip.inner_text()}
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        seen.add(tip.inner_text())
    page.keyboard.press("Home")
    seen.add(tip.inner_text())
    assert len(seen) == 5
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#front-chart') === null")


def test_tooltips_by_touch_need_not_hit_the_mark(opened):
    page = opened("phone")
    mark = page.locator("#history-1 .point.best .mark")
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] + 3)
    assert page.locator("#tip").is_visible()
    left = page.locator("#tip").bounding_box()
    assert left["x"] >= 0
    assert left["x"] + left["width"] <= 360


def test_other_axes(opened):
    page = opened()
    best = page.locator("#front-chart .point.best")
    before = best.get_attribute("transform")
    # Drawn anew over the same axes, the script puts the point where Python did.
    page.locator("#axis-x").select_option("parameters")
    caption = page.locator("#front-title").text_content()
    assert caption == "Accuracy under attack (%) of the candidates over Parameters (millions)"
    moved = best.get_attribute("transform")
    page.locator("#axis-x").select_option("accuracy")
    numbers = [float(v) for v in before[10:-1].split()]
    again = [float(v) for v in best.get_attribute("transform")[10:-1].split()]
    assert again == pytest.approx(numbers, abs=0.06)
    assert moved != before
    assert page.locator("#front-chart .point:visible").count() == 59
    page.locator("#axis-x").select_option("latency")
    # The teacher has accuracy and compression only.
    assert page.locator("#front-chart .point.gone").count() == 1
    page.locator("#axis-x").select_option("compression")
    page.locator("#axis-y").select_option("accuracy")
    assert page.locator("#front-chart .point:visible").count() == 60
    page.locator("#axis-x").select_option("latency")
    assert "ms" in page.locator("#front-chart .x .name").inner_html()


def test_the_table_sorts_and_searches(opened):
    page = opened()
    first = page.locator("#trials tbody tr:visible td:first-child")
    head = page.locator("#trials th", has_text="Clean accuracy")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    column = head.evaluate("th => th.cellIndex") + 1
    cells = page.locator(f"#trials tbody td:nth-child({column})").all_inner_texts()
    figures = [float(cell) for cell in cells if cell != MISSING]
    assert len(figures) == 58
    assert figures == sorted(figures)
    assert cells[-2:] == [MISSING, MISSING]  # the failed and the running one
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    page.locator("#search").fill("out of memory")
    assert first.all_inner_texts() == ["5"]
    assert page.locator("#found").inner_text() == "1 of 60 candidates"


def test_the_code_is_copied(opened):
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.locator(".copy").click()
    page.wait_for_function("document.getElementById('copied').textContent !== ''")
    assert "rs.Genome.from_json" in page.locator("#load-code").inner_text()
    assert page.locator("#copied").inner_text() in (
        "Copied.", "Selected; press Ctrl+C to copy.",
    )  # fmt: skip


def test_without_javascript_all_content_is_shown(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("#front-chart .point title").count() == 60
    assert page.locator("#trials tbody tr").count() == 60
    assert not page.locator("#axis-x").is_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_accessibility(opened, look):
    # axe-core (Deque), the rules of WCAG 2.1 at the levels A and AA and its best practices.
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("needs axe-core: pip install axe-playwright-python")
    script = next(Path(found.origin).parent.glob("**/axe.min.js"))
    page = opened(look, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.evaluate(script.read_text(encoding="utf-8"))
    result = page.evaluate("axe.run({resultTypes: ['violations']})")
    wrong = [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in result["violations"]]
    assert wrong == []
    assert len(result["passes"]) > 20
