"""The items of report.html in a real browser: what is listed, found, opened and marked, with mouse and keys."""

import re

import pytest

import paged
from rationem.report.page import write_page
from rationem.report.part import Part

pytestmark = pytest.mark.browser


def say(purpose, iteration, x, attempt):
    """Texts that differ by three words before and after training, and the levels of the usual run."""
    text = "It is short and unclear, so low." if iteration == 0 else "It is short but clear, so high."
    return f"{text} {x.id}", paged.said(purpose, iteration, x, attempt)[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("items")
    write_page({"run": paged.write_run(directory / "run", test=30, say=say)}, directory / "page.html")
    return directory / "page.html"


def listed(page):
    """The numbers of the items in the list, in order."""
    return page.evaluate(
        "[...document.querySelectorAll('.item')].map((e) => Number(e.getAttribute('aria-controls').slice(5)))"
    )


def facet(page, title, value):
    group = page.locator("fieldset").filter(has=page.locator("legend", has_text=re.compile(f"^{title}$")))
    return group.locator("button").filter(has=page.locator("span:first-child", has_text=re.compile(f"^{value}$")))


def data_of(page):
    return page.evaluate("JSON.parse(document.getElementById('trials').textContent)")


def distance(data, item):
    label, said = data["examples"][item[2]][1], item[6][0]
    return len(data["levels"]) if said < 0 else abs(label - said)


def test_the_largest_disagreements_come_first(look, run):
    page = look(run).page
    data = data_of(page)
    apart = [distance(data, data["items"][n]) for n in listed(page)]
    assert len(data["items"]) == len(apart) == 40
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 1
    by_set = "(test 9 of 30, validation 3 of 10)"
    assert f"In {sum(map(bool, apart))} of 40 items {by_set} the judge disagrees" in page.inner_text("#list-of-items")


def test_a_link_restores_filters_search_order_and_the_opened_item(look, run):
    seen = look(run)
    page = seen.page
    facet(page, "Set", "test").click()
    facet(page, "Through training", "right both times").click()
    facet(page, "Through training", "wrong both times").click()
    page.fill("#items-text", "CLEAR because test")
    page.select_option("#items-sort", label="least sure")
    seen.until("location.hash.includes('q=') && location.hash.includes('sort=')")
    found, address = listed(page), page.url.removeprefix(seen.url)
    assert 0 < len(found) < 40
    again = look(run, view=address)
    assert listed(again.page) == found
    pressed = again.page.locator('[aria-pressed="true"]').all_inner_texts()
    assert [re.sub(r"\s*\d+$", "", text) for text in pressed] == ["right both times", "wrong both times", "test"]
    assert again.page.input_value("#items-text") == "CLEAR because test"
    again.page.get_by_role("button", name="Clear filters").click()
    assert sorted(listed(again.page)) == list(range(40))
    page.locator(".item").nth(3).click()
    page.get_by_role("link", name="Link to this item").click()
    assert listed(page)[:3] != found[:3]  # the link is to the item in the whole list
    other = look(run, view=page.url.removeprefix(seen.url)).page
    assert other.locator('.item[aria-expanded="true"]').get_attribute("aria-controls") == f"item-{found[3]}"
    seen.calm()


def test_the_number_of_a_facet_is_what_a_click_finds(look, run):
    seen = look(run)
    page = seen.page
    facet(page, "Set", "test").click()
    for button in page.locator(".facets button").all():
        if button.get_attribute("aria-pressed") == "true":
            continue
        alone = button.evaluate("e => !e.closest('fieldset').querySelector('[aria-pressed=\"true\"]')")
        wanted = int(button.locator(".number").inner_text())
        before = len(listed(page))
        button.click()
        assert len(listed(page)) == (wanted if alone else before + wanted)
        button.click()
        assert len(listed(page)) == before
    seen.calm()


def test_keys_alone_move_open_and_filter(look, run):
    seen = look(run)
    page, keys = seen.page, seen.page.keyboard
    focused = "document.activeElement.getAttribute('aria-controls')"
    order = [f"item-{n}" for n in listed(page)]
    keys.press("j")
    assert page.evaluate(focused) == order[0]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key, place in (("j", 1), ("j", 2), ("k", 1)):
        keys.press(key)
        assert page.evaluate(focused) == order[place]
    keys.press("Enter")
    assert page.locator(f"#{order[1]}").is_visible()
    keys.press("Enter")
    assert page.locator(f"#{order[1]}").is_hidden()
    keys.press("k")
    keys.press("k")
    assert page.evaluate(focused) == order[0]
    keys.press("Shift+Tab")  # the list is one stop: before it is what narrows it
    keys.press("Tab")
    assert page.evaluate(focused) == order[0]
    page.focus("#items-text")
    keys.type("jk")
    assert page.input_value("#items-text") == "jk"
    seen.until("document.querySelector('#items .empty') !== null")
    assert "No item fits" in page.inner_text("#items .empty")
    for _ in range(60):
        keys.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Clear filters":
            break
    keys.press("Enter")
    assert len(listed(page)) == 40
    page.focus(".row")
    keys.press("j")
    assert page.evaluate("[...document.querySelectorAll('.row')].indexOf(document.activeElement)") == 1
    seen.calm()


def test_a_cell_of_the_confusion_matrix_opens_the_items_that_it_counts(look, run):
    seen = look(run)
    page = seen.page
    data = data_of(page)
    links = page.locator("#confusion .matrix td a")
    total = 0
    for place in range(links.count()):
        link = links.nth(place)
        count = int(link.inner_text().split()[0])
        link.click()
        row, column = (re.search(rf"{name}=([^&]+)", page.url)[1] for name in ("people", "judge"))
        shown = [data["items"][n] for n in listed(page)]
        assert len(shown) == count > 0
        assert {data["levels"][data["examples"][x[2]][1]] for x in shown} == {row}
        assert {data["levels"][x[6][0]] for x in shown} == {column}
        assert page.evaluate("document.getElementById('items').getBoundingClientRect().top") < 900
        total += count
    assert total == 30
    seen.calm()


def test_the_words_that_training_changed_are_marked_and_no_others(look, run):
    seen = look(run)
    page = seen.page
    facet(page, "Agreement", "agrees").click()
    facet(page, "Through training", "became right").click()
    page.locator(".item").first.click()
    item = data_of(page)["items"][listed(page)[0]]
    before, after = page.locator(".opened:not([hidden]) .beside pre").all()
    levels = data_of(page)["levels"]
    assert before.locator("del").all_inner_texts() == ["and unclear", "low", levels[item[5][0]]]
    assert after.locator("ins").all_inner_texts() == ["but clear", "high", levels[item[6][0]]]
    assert before.text_content().startswith("It is short and unclear, so low. ")
    assert after.text_content().endswith(f"Final rating: {levels[item[6][0]]}")
    seen.calm()


def test_hostile_texts_stay_texts_in_items_chips_facets_and_links(look, tmp_path):
    hostile = [text.replace("\ud800", "") for text in paged.HOSTILE]
    made = paged.write_run(
        tmp_path / "run", test=18, tricky=paged.HOSTILE, say=lambda p, k, x, m: (hostile[(k + m) % 9], x.answer)
    )
    write_page({hostile[0]: made, hostile[2]: made}, tmp_path / "page.html")
    seen = look(tmp_path / "page.html")
    page = seen.page
    for item in page.locator(".item").all():
        item.click()
    texts = page.locator(".opened pre").all_text_contents()
    assert any(hostile[0] in text for text in texts)
    page.fill("#items-text", "hacked")
    seen.until("location.hash.includes('q=hacked')")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.locator("#runs .matrix td a").first.click()
    assert page.locator('[aria-pressed="true"]').first.inner_text().startswith("</script>")
    assert page.evaluate("window.hacked") is None
    assert page.locator("iframe, base, link, object, [onerror], [onload]").count() == 0
    seen.calm()


def test_a_run_without_an_evaluation_says_what_to_do(look, tmp_path):
    write_page({"run": paged.write_run(tmp_path / "run", validation=0, test=0)}, tmp_path / "page.html")
    told = look(tmp_path / "page.html").page.inner_text("#list-of-items")
    assert "No item is evaluated yet" in told
    assert "--test-share" in told


def test_ten_thousand_items_stay_smooth(look, tmp_path):
    write_page({"run": paged.write_run(tmp_path / "run", test=10_000, iterations=1)}, tmp_path / "page.html")
    seen = look(tmp_path / "page.html")
    page = seen.page
    assert len(listed(page)) == 50
    took = page.evaluate(
        """() => [...document.querySelectorAll(".facets button")].map((button) => {
            const start = performance.now();
            button.click();
            document.body.offsetHeight;
            return performance.now() - start;
        })"""
    )
    start = page.evaluate("performance.now()")
    page.fill("#items-text", "test-7777")
    seen.until("document.querySelector('#items-count').textContent.startsWith('1 of')")
    took.append(page.evaluate("performance.now()") - start)
    print("milliseconds of facets, then of a search:", [round(one) for one in took])
    assert max(took) < 1000
    seen.calm()


def test_tabs_show_one_section_by_mouse_keys_and_address(look, tmp_path):
    made = paged.write_run(tmp_path / "run")
    parts = [
        Part("found", "Found", ("The finding.",)),
        *(Part(n, f"Part {n}", (f"Text {n}.",), tab="In detail") for n in "abc"),
    ]
    write_page({"x": made, "y": made}, tmp_path / "page.html", sections=parts)
    seen = look(tmp_path / "page.html", view="#b")
    page, keys = seen.page, seen.page.keyboard

    def visible():
        return [name for name in ("Text a.", "Text b.", "Text c.") if page.get_by_text(name, exact=True).is_visible()]

    assert visible() == ["Text b."]
    page.get_by_role("tab", name="Part c").click()
    assert visible() == ["Text c."]
    assert page.url.endswith("#c")
    keys.press("ArrowLeft")
    assert visible() == ["Text b."]
    assert page.evaluate("document.activeElement.textContent") == "Part b"
    assert page.get_by_role("tab", selected=True).all_inner_texts() == ["Part b"]
    assert page.get_by_role("tabpanel").count() == 1
    page.evaluate("location.hash = '#a'")
    seen.until("!document.getElementById('a').hidden")
    assert visible() == ["Text a."]
    seen.calm()
