"""Chromium without a window, driven by playwright; tests are skipped, with the reason, where either is missing."""

import json
import shutil

import pages
import pytest

from clickweave.evaluation.page.render import render_html

SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
SIZES |= {"paper": {"width": 760, "height": 1000}}


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing; run scripts/setup --browser")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is missing; run scripts/setup --browser")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Name -> path of a page: one with every picture there is, one with none, one whose gates a recipe moved."""
    folder = tmp_path_factory.mktemp("pages")
    made = {"full": pages.full_report(), "minimal": pages.minimal_report(), "moved": pages.full_report(pages.MOVED)}
    for name, report in made.items():
        (folder / f"{name}.html").write_text(render_html(json.loads(json.dumps(report))), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def open_page(chromium, reports):
    """A function (report, size, dark) -> page; `page.said` holds its console messages, `page.asked` its requests."""
    contexts = []

    def build(name="full", size="desktop", *, dark=False):
        context = chromium.new_context(viewport=SIZES[size], color_scheme="dark" if dark else "light")
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))

        def route(request):
            page.asked.append(request.request.url)
            request.continue_()

        page.route("**/*", route)
        page.goto(reports[name].as_uri())
        return page

    yield build
    for context in contexts:
        context.close()
