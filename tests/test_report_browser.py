"""report.html in a real browser: Debian's chromium, driven by Playwright's Python package."""

import re
from itertools import pairwise

import pytest

import opened
import paged
from rationem.report.page import write_page
from seen import CONTRAST, TIMEOUT

pytestmark = pytest.mark.browser

MANY = 50_000
#: Milliseconds from a choice to the new list, on a busy machine of two cores; the page itself aims at 200.
PATIENCE = 1000


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    directory = tmp_path_factory.mktemp("small")
    write_page({"run": paged.write_run(directory / "run", shots=2)}, directory / "page.html")
    return directory / "page.html"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    directory = tmp_path_factory.mktemp("several")
    runs = {
        "STaR, seed 0": paged.write_run(directory / "a"),
        "RS(4), seed 0": paged.write_run(directory / "b", seed=4, attempts=1),
    }
    write_page(runs, directory / "page.html")
    return directory / "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_a_complaint_and_asks_for_nothing(look, small, scheme):
    seen = look(small, color_scheme=scheme)
    seen.page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    assert seen.page.locator("img").count() >= 5
    used = seen.page.evaluate("[...document.images].map(i => i.currentSrc)")
    dark = seen.page.evaluate("[...document.querySelectorAll('source')].map(s => s.srcset)")
    assert (used == dark) == (scheme == "dark")
    seen.calm()


def test_filters_pages_and_rows_by_keyboard_alone(look, small):
    seen = look(small)
    page, keys = seen.page, seen.page.keyboard
    total = int(seen.count.split(" of ")[1])
    for _ in range(200):  # from the top of the page, by tabs alone
        keys.press("Tab")
        if page.evaluate("document.activeElement.id") == "filter-outcome":
            break
    assert page.evaluate("document.activeElement.id") == "filter-outcome"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    keys.press("ArrowDown")
    accepted = page.evaluate("Array.from(document.querySelectorAll('.row .accepted')).length")
    assert accepted == seen.shown() == min(50, int(seen.count.split(" of ")[0]))
    for _ in range(3):
        keys.press("Tab")
    assert page.evaluate("document.activeElement.id") == "filter-text"
    keys.type("test-3")
    seen.until("[...document.querySelectorAll('.row')].length < 20")
    keys.press("Tab")
    keys.press("Enter")  # "Show all"
    seen.until(f"document.getElementById('count').textContent === '{total} of {total}'")
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")  # "Next"
    assert page.inner_text("#where") == f"page 2 of {-(-total // 50)}"
    keys.press("Tab")
    first = page.locator(".row").first
    assert first.evaluate("e => e === document.activeElement")
    keys.press("Enter")
    assert first.get_attribute("aria-expanded") == "true"
    assert page.locator(".detail:not([hidden]) pre").count() >= 1
    keys.press("Enter")
    assert first.get_attribute("aria-expanded") == "false"
    seen.calm()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The page that a fit of a one-layer model left."""
    import checkpoints
    from rationem.config import read_config
    from rationem.run.launch import start

    root = tmp_path_factory.mktemp("real")
    lines = [f"what is {n} ?,{n} kind,{n % 5 + 1}" for n in range(60)]
    (root / "data.csv").write_text("\n".join(["prompt,response,rating", *lines]))
    settings = {"data": (str(root / "data.csv"),), "scale": "1-5", "model": checkpoints.grader(root), "scheme": "star"}
    sizes = {"iterations": 1, "steps": 2, "batch_size": 4, "micro_batch_size": 4, "max_new_tokens": 24}
    limits = {"max_prompt_tokens": 600, "draws": 2, "device": "cpu", "threads": 1, "test_share": 0.3}
    return start(read_config(None, {**settings, **sizes, **limits}), root / "run") / "report.html"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_of_a_real_run_opens_without_a_complaint(look, real, scheme):
    seen = look(real, color_scheme=scheme)
    page = seen.page
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    assert page.locator("img").count() >= 6  # the evidence is measured, too
    choose(page, "purpose", "test")
    assert seen.shown() > 0
    page.locator(".row").first.click()
    page.evaluate("document.querySelectorAll('.detail details').forEach(d => d.open = true)")
    detail = page.locator(".detail:not([hidden])")
    assert detail.locator("summary").all_inner_texts() == [
        "Forward: the question alone (as the model saw it)",
        "Hinted: the label shown (as the model saw it)",
    ]
    assert "assistant" in detail.locator(".template").nth(1).text_content()
    assert page.evaluate(CONTRAST)[1] == []
    seen.calm()


def choose(page, name, label):
    page.select_option(f"#filter-{name}", label=label)


def test_every_filter_shows_what_it_names(look, comparison):
    seen = look(comparison)
    page = seen.page
    data = page.evaluate("JSON.parse(document.getElementById('trials').textContent)")
    trials = data["trials"]
    wanted = {
        "run": (lambda row: row[0] == 1, "RS(4), seed 0"),
        "iteration": (lambda row: row[1] == 2, "2"),
        "purpose": (lambda row: data["purposes"][row[2]] == "test", "test"),
        "outcome": (lambda row: data["outcomes"][row[6]][1] == "another level", "another level"),
        "label": (lambda row: data["levels"][data["examples"][row[3]][1]] == "3", "3"),
        "gap": (lambda row: data["gaps"][row[10]] == "off by more", "off by more"),
    }
    for name, (fits, label) in wanted.items():
        page.goto(seen.url)
        choose(page, name, label)
        matching = [row for row in trials if fits(row)]
        assert 0 < len(matching) < len(trials)
        assert seen.count == f"{len(matching)} of {len(trials)}"
        assert seen.shown() == min(50, len(matching))
    for name, (_, label) in wanted.items():
        choose(page, name, label)
    assert seen.count.split(" of ")[0] == str(sum(all(fits(row) for fits, _ in wanted.values()) for row in trials))
    assert seen.complaints == []


def test_an_opened_row_shows_texts_prompts_and_before_and_after(look, small):
    seen = look(small)
    page = seen.page
    choose(page, "purpose", "test")
    choose(page, "iteration", "2")
    page.locator(".row").first.click()
    detail = page.locator(".detail:not([hidden])")
    data = page.evaluate("JSON.parse(document.getElementById('trials').textContent)")
    row = next(r for r in data["trials"] if r[1] == 2 and data["purposes"][r[2]] == "test")
    before = next(r for r in data["trials"] if [r[1], *r[2:5]] == [0, *row[2:5]])
    titles = ["Before: the base model", "After: iteration 2, the chosen one", "Prompts"]
    assert detail.locator("h3").all_inner_texts() == titles
    texts = detail.locator("pre").all_text_contents()
    assert texts[0] == before[11]
    x = data["examples"][row[3]]
    detail.locator("summary").nth(1).click()
    before, behind = data["runs"][0]["common"]
    forward = before + x[2][0] + behind
    assert texts[-2:] == [forward, forward + data["hints"][x[3]]]
    assert forward == paged.TASK.prompt(paged.examples("test", 10)[0].fields).text
    assert "bare text" in detail.locator("summary").first.inner_text()
    page.locator("button[type=reset]").click()
    seen.until("document.querySelectorAll('.row').length === 50")
    page.fill("#filter-text", "as the HINT says")
    page.press("#filter-text", "Enter")
    page.locator(".row").first.click()
    assert page.locator("mark").first.inner_text().lower() == "the hint"
    seen.calm()


def test_hostile_texts_stay_texts(look, tmp_path):
    hostile = [text.replace("\ud800", "") for text in paged.HOSTILE]

    def say(purpose, iteration, x, attempt):
        return hostile[(attempt + int(x.id.split("-")[1]) + iteration) % len(hostile)], x.answer

    run = paged.write_run(
        tmp_path / "run", say=say, tricky=paged.HOSTILE, scheme=hostile[0], model=hostile[1], note=hostile
    )
    write_page({hostile[0]: run, hostile[3]: run}, tmp_path / "page.html", title=hostile[1])
    seen = look(tmp_path / "page.html")
    page = seen.page
    while True:
        for row in page.locator(".row").all():
            row.click()
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        if page.get_by_role("button", name="Next").get_attribute("aria-disabled") == "true":
            break
        page.get_by_role("button", name="Next").click()
    page.fill("#filter-text", hostile[0])
    page.press("#filter-text", "Enter")
    page.locator(".row").first.click()
    assert hostile[0] in page.locator(".detail:not([hidden]) pre").first.text_content()
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 2
    assert page.locator("iframe, base, link, object, [onerror], [onload]").count() == 0
    assert page.locator("h1").text_content() == hostile[1]
    seen.calm()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    directory = tmp_path_factory.mktemp("many")

    def say(purpose, iteration, x, attempt):
        rationale, level = paged.said(purpose, iteration, x, attempt)
        return f"{rationale} {'It weighs one thing against another. ' * 3}", level

    run = paged.write_run(directory / "run", train=21_000, test=200, say=say)
    write_page({"run": run}, directory / "page.html")
    return directory / "page.html"


def test_fifty_thousand_rows_stay_smooth(look, many):
    seen = look(many)
    page = seen.page
    shown, total = (int(part.replace(",", "")) for part in seen.count.split(" of "))
    assert MANY - 2 < shown == total <= MANY
    assert re.search(rf"^{shown:,} of 6\d,\d{{3}} draws are shown", page.inner_text("#rationales > p").strip())
    took = []
    for name, label in (("outcome", "accepted"), ("iteration", "2"), ("gap", "agrees"), ("label", "3")):
        took.append(
            page.evaluate(
                """([name, label]) => {
                    const one = document.getElementById(`filter-${name}`);
                    const start = performance.now();
                    one.value = [...one.options].find((o) => o.textContent === label).value;
                    one.dispatchEvent(new Event("change", { bubbles: true }));
                    document.body.offsetHeight;
                    return performance.now() - start;
                }""",
                [name, label],
            )
        )
        assert seen.shown() == 50
    page.locator("button[type=reset]").click()
    seen.until("document.querySelector('#filter-outcome').value === ''")
    for words in ("try 1", "train-777"):
        began = page.evaluate("performance.now()")
        before = seen.count
        page.fill("#filter-text", words)
        seen.until(f"document.getElementById('count').textContent !== '{before}'")
        took.append(page.evaluate("performance.now()") - began)
    print("milliseconds of filters, then of two searches:", [round(one) for one in took])
    assert max(took) < PATIENCE
    page.locator("button[type=reset]").click()
    seen.until(f"document.querySelector('#count').textContent === '{shown:,} of {total:,}'")
    for name, told in (("Next", "2"), ("Next", "3"), ("Previous", "2")):
        page.get_by_role("button", name=name).click()
        assert page.inner_text("#where") == f"page {told} of 1,000"
    seen.calm()


@pytest.mark.parametrize("which", ["small", "comparison"])
def test_a_phone_needs_no_sideways_scrolling(look, request, which):
    seen = look(request.getfixturevalue(which), viewport={"width": 375, "height": 800}, is_mobile=True, has_touch=True)
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.locator(".row").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    wide = page.evaluate(
        """[...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll") && e.getClientRects().length
            && e.getBoundingClientRect().right > 376).map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert wide == []
    assert (
        page.evaluate("Math.min(...[...document.querySelectorAll('select, button')].map(e => e.offsetHeight || 99))")
        >= 24
    )
    seen.calm()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(look, small, scheme):
    seen = look(small, color_scheme=scheme)
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.fill("#filter-text", "as the hint says")
    page.press("#filter-text", "Enter")
    page.locator(".row").first.click()
    ground, faint = page.evaluate(CONTRAST)
    assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 64) == (scheme == "dark")
    assert faint == []


def test_what_can_be_operated_has_a_name_and_figures_have_words(look, small):
    page = look(small).page
    assert page.evaluate("[...document.images].every(i => i.alt.length > 40)")
    labels = page.evaluate("[...document.querySelectorAll('select, input')].map(e => e.labels[0].innerText.trim())")
    assert all(labels)
    assert len(labels) == len(set(labels)) == 8
    assert page.evaluate("[...document.querySelectorAll('button')].every(e => e.textContent.trim())")
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"


def test_nothing_moves_for_those_who_asked_for_less_motion(look, small):
    seen = look(small, reduced_motion="reduce")
    assert seen.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert look(small).page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "smooth"


def test_without_scripts_the_numbers_are_there(look, small, browser):
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(small.as_uri())
    assert "The list needs JavaScript" in page.inner_text("#rationales")
    assert page.locator("img").count() >= 5
    context.close()


def test_open_answers_are_short_in_the_list_and_whole_where_a_row_is_opened_always_as_text(look, tmp_path):
    odd = " ".join(" ".join(paged.HOSTILE[:4]).split()) + " and so on"
    opened.run(tmp_path, odd=odd, iterations=1)
    write_page({"run": tmp_path / "open"}, tmp_path / "report.html")
    seen = look(tmp_path / "report.html")
    page = seen.page
    labels = page.locator(".filters label").all_inner_texts()
    assert [text.split("\n")[0] for text in labels] == [
        *("Iteration", "Drawn for", "Outcome"),
        "Words in the rationale, or an example's id",
    ]
    everything = seen.count.split()[0]  # read first: on a busy machine the filter is done before we look again
    page.fill("#filter-text", "and so on")
    seen.until(f"!document.querySelector('#count').textContent.startsWith('{everything} ')")
    row = page.locator(".row").first
    assert odd[:20] in row.inner_text()
    assert odd[:30] not in row.inner_text()
    row.click()
    detail = page.locator(".detail:not([hidden])").inner_text()
    assert f"reward 0. Answer: {odd}" in " ".join(detail.split())
    assert "Right answer: " in detail
    assert "Hinted: the right answer shown" in detail
    assert page.evaluate("window.hacked === undefined")
    seen.calm()
