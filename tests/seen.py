"""A page in a real browser: Debian's chromium, driven by Playwright's Python package."""

import os
import shutil
import time

import pytest

#: Milliseconds: two busy cores may need a minute to start a page.
TIMEOUT = 180_000
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    if path is None:
        reason = "There is no chromium here. Install Debian's package (make browser)."
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        running = playwright.chromium.launch(executable_path=path, args=flags)
        yield running
        running.close()


class Seen:
    """A page that is open, and what it did beside showing itself."""

    def __init__(self, browser, path, view="", **context):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.context.set_default_timeout(TIMEOUT)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', e => console.error('policy', e.violatedDirective))"
        )
        self.url = path.as_uri()
        self.page.goto(self.url + view)
        self.page.wait_for_selector("#browser:not([hidden])")

    def calm(self):
        """Nothing was said on the console, and nothing was asked for but the file and the pictures in it."""
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith("data:image/svg+xml")] == [self.url]

    @property
    def count(self):
        return self.page.inner_text("#count")

    def until(self, expression):
        """Wait until an expression is true; Playwright's own way evaluates a string in the page, which it forbids."""
        for _ in range(500):
            if self.page.evaluate(expression):
                return
            time.sleep(0.02)
        pytest.fail(f"{expression}: still not")

    def shown(self):
        return self.page.locator(".row").count()


@pytest.fixture
def look(browser):
    opened = []

    def open_it(path, **context):
        opened.append(Seen(browser, path, **context))
        return opened[-1]

    yield open_it
    for one in opened:
        one.context.close()


#: Returns the ground of the page, and the texts whose contrast is under 4.5.
CONTRAST = """() => {
    const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const ground = (e) => {
        const colour = parse(getComputedStyle(e).backgroundColor);
        return colour[3] === 1 ? colour : ground(e.parentElement);
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const e = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !e.getClientRects().length) continue;
        if (e.closest("script, [aria-disabled=true]")) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) found.push([e.outerHTML.slice(0, 80), ratio]);
    }
    return [getComputedStyle(document.body).backgroundColor, found];
}"""
