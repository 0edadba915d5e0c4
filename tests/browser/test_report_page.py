"""The report as a browser shows it: first screen, pictures, keyboard, colours, and that nothing leaves the file."""

import pytest

SECTIONS = [
    "gates", "scatter", "columns", "popularity", "rhythm", "flow", "positions", "uplift", "attacks", "training",
    "click-model", "rules", "stages", "lineage",
]  # fmt: skip
SIZES = ("desktop", "phone")
EVERY_PAGE = [(name, size) for name in ("full", "minimal", "moved") for size in SIZES]
CONTRAST = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgb = colour => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = one => {
        for (; one; one = one.parentElement) {
            const found = rgb(getComputedStyle(one).backgroundColor);
            if (found[3] === 255) return found;
        }
        return [255, 255, 255, 255];
    };
    const worst = [];
    const words = one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const shown = [...document.querySelectorAll('body *')].filter(one => words(one) && one.checkVisibility());
    for (const one of shown.filter(one => !['title', 'desc', 'STYLE'].includes(one.tagName))) {
        const style = getComputedStyle(one);
        const [a, b] = [light(rgb(one.tagName === 'text' ? style.fill : style.color)), light(behind(one))];
        worst.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.tagName, one.textContent.slice(0, 40)]);
    }
    const lines = [...document.querySelectorAll('.line')].map(one => [one, getComputedStyle(one).stroke]);
    const marks = lines.map(([one, colour]) => {
        const [a, b] = [light(rgb(colour)), light(behind(one))];
        return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.getAttribute('class')];
    });
    return {words: worst.sort((a, b) => a[0] - b[0])[0], marks: marks.sort((a, b) => a[0] - b[0])[0] || [21, '']};
}"""


@pytest.mark.parametrize(("name", "size"), EVERY_PAGE)
def test_verdict_stands_on_the_first_screen(open_page, name, size):
    page = open_page(name, size)
    height = page.viewport_size["height"]
    for part in ("h1", ".inout", ".verdict .decision", ".verdict .chips"):
        box = page.locator(part).bounding_box()
        assert box["width"] > 0 and box["y"] >= 0
        assert box["y"] + box["height"] <= height, part


@pytest.mark.parametrize(("name", "size"), EVERY_PAGE)
def test_nothing_leaves_the_file_and_nothing_complains(open_page, reports, name, size):
    page = open_page(name, size)
    page.wait_for_load_state("networkidle")
    assert page.asked == [reports[name].as_uri()]
    assert page.said == []
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("size", SIZES)
def test_every_picture_is_drawn(open_page, size):
    page = open_page("full", size)
    assert page.eval_on_selector_all("main section", "all => all.map(one => one.id)") == SECTIONS
    pictures = page.locator("figure > svg")
    assert pictures.count() >= 24
    for number in range(pictures.count()):
        box = pictures.nth(number).bounding_box()
        assert box["width"] > 200 and box["height"] > 50
        assert pictures.nth(number).locator("path, rect").count() > 0
    assert page.locator("figure > svg[role=img] > title").count() == pictures.count()
    assert page.eval_on_selector_all("figure", "all => all.filter(one => !one.querySelector('figcaption')).length") == 0


def test_a_report_without_pictures_has_its_gates_alone(open_page):
    page = open_page("minimal")
    assert page.eval_on_selector_all("main section", "all => all.map(one => one.id)") == ["gates"]
    assert page.locator("svg").count() == 0


@pytest.mark.parametrize("size", [*SIZES, "paper"])
def test_no_words_are_cut_and_the_page_is_no_wider_than_the_screen(open_page, size):
    page = open_page("full", size)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert min(page.eval_on_selector_all("#gates td.name", "all => all.map(one => one.clientWidth)")) >= 150
    outside = """all => all.filter(one => {
        const inner = one.getBoundingClientRect(), outer = one.ownerSVGElement.getBoundingClientRect();
        return inner.left < outer.left - 1 || inner.right > outer.right + 1
            || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
    }).map(one => one.textContent)"""
    assert page.eval_on_selector_all("figure svg text", outside) == []


@pytest.mark.parametrize("size", SIZES)
def test_letters_of_pictures_are_readable_and_do_not_overlap(open_page, size):
    page = open_page("full", size)
    heights = page.eval_on_selector_all(
        "figure svg text:not([transform])", "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 8
    overlapping = """all => all.flatMap(svg => {
        const boxes = [...svg.querySelectorAll('text:not([transform])')].map(one => [one, one.getBoundingClientRect()]);
        return boxes.flatMap(([one, a], place) => boxes.slice(place + 1)
            .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
            .map(([other]) => `${one.textContent} / ${other.textContent}`));
    })"""
    assert page.eval_on_selector_all("figure svg", overlapping) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["full", "moved"])
def test_words_and_lines_have_contrast_enough(open_page, name, dark):
    found = open_page(name, dark=dark).evaluate(CONTRAST)
    assert found["words"][0] >= 4.5, found["words"]  # WCAG 2.2, 1.4.3
    assert found["marks"][0] >= 3.0, found["marks"]  # WCAG 2.2, 1.4.11


def test_dark_mode_is_dark(open_page):
    colour = "getComputedStyle(document.body).backgroundColor"
    found = [open_page(dark=dark).evaluate(colour) for dark in (False, True)]
    assert found == ["rgb(255, 255, 255)", "rgb(20, 24, 31)"]


def test_tab_reaches_the_skip_link_and_every_section(open_page):
    page = open_page()
    reached = []
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('href')"))
        if reached[-1] == SECTIONS[-1]:
            break
    assert reached[0] == "#gates"
    assert [name for name in reached if name in SECTIONS] == SECTIONS


def test_a_link_of_the_table_of_contents_leads_to_its_section(open_page):
    page = open_page()
    page.emulate_media(reduced_motion="reduce")
    page.locator('nav a[href="#uplift"]').click()
    assert abs(page.locator("#uplift").bounding_box()["y"]) < 60


def test_a_kind_of_rows_can_be_hidden_without_a_script(open_page):
    page = open_page()
    real = page.locator("#scatter figure").first.locator("path.k-real")
    assert real.is_visible()
    page.locator("#show-real").uncheck()
    assert not real.is_visible()
    assert page.locator("script").count() == 0


def test_a_loosened_gate_is_marked_beside_what_it_replaces(open_page):
    page = open_page("moved")
    assert page.locator("s").all_inner_texts() == ["≥ 97%", "≥ 98.5%", "≥ 99.7%"]
    loosened = page.locator("tr", has=page.locator(".loose"))
    assert [text.split("\n")[0].strip() for text in loosened.locator("td.name").all_inner_texts()] == [
        "F1 column shapes", "P1 copied rows", "P1 copied 5-grams", "P1 copied rows, any time",
    ]  # fmt: skip
    assert "loosened by the recipe: F1 column shapes" in page.locator(".verdict").inner_text()


def test_paper_has_every_section_and_no_links_to_follow(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("main section").count() == len(SECTIONS)
    assert len(page.pdf()) > 20_000
