"""The site of the real ledger in a browser: make test-site. Chromium and chromedriver are Debian's, or on the PATH.

`SEQBENCH_AXE` names another axe.min.js than the one that comes with axe-core-python.
"""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from parsed_pages import broken_links

from seqbench.commands.tables import compose_row
from seqbench.report.site.build import build_site

webdriver = pytest.importorskip("selenium.webdriver", reason='pip install -e ".[dev]" brings selenium')
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="apt-get install chromium chromium-driver"),
]
RESULTS = Path(__file__).parents[2] / "results"
SCHEMES = ("light", "dark")
WIDTHS = (360, 1280)
OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true;"
OF_EACH_KIND = 5  # pages that axe reads, beside all tables and lists; every page is opened


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site(RESULTS / "tables.yaml", RESULTS / "runs", RESULTS / "bench", folder, compose_row)
    return folder


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def resize(browser, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def show(browser, path: Path, width: int = 1280, scheme: str = "light", fragment: str = "") -> None:
    resize(browser, width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(path.as_uri() + fragment)


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 150
    return found


def test_every_link_leads_somewhere(site):
    assert broken_links(site) == []


def test_no_page_complains_or_is_wider_than_a_phone(site, browser):
    wide = []
    for path in pages(site):
        show(browser, path, WIDTHS[0])
        browser.execute_script(OPEN_ALL)
        for width in WIDTHS:
            resize(browser, width)
            if browser.execute_script("return document.documentElement.scrollWidth") > width:
                wide.append((str(path.relative_to(site)), width))
    assert wide == []
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_tables_sort_by_a_click_and_by_the_keyboard(site, browser):
    show(browser, site / "runs" / "index.html")
    column = "return [...document.querySelectorAll('tbody tr')].map((row) => row.cells[6].textContent.trim())"

    def steps() -> list[int]:
        return [int(text.replace(",", "")) for text in browser.execute_script(column)]

    before = steps()
    heading = browser.find_elements("css selector", "thead th")[6]
    assert heading.text.startswith("Steps")
    heading.find_element("css selector", "button").click()
    assert steps() == sorted(before) != before
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.find_element("css selector", "button").send_keys("\n")
    assert steps() == sorted(before, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_blank_cells_sort_to_the_end(site, browser):
    show(browser, site / "index.html")
    browser.find_elements("css selector", "thead button")[1].click()
    reproduced = browser.execute_script(
        "return [...document.querySelectorAll('tbody tr')].map((row) => row.cells[1].textContent.trim())"
    )
    filled = [text for text in reproduced if text]
    assert filled and reproduced[: len(filled)] == filled == sorted(filled, key=int)


def test_it_reads_without_javascript(site, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, site / "index.html")
        assert browser.find_elements("css selector", "thead button") == []
        assert len(browser.find_elements("css selector", "tbody tr")) > 20
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_keyboard_reaches_the_content_first(site, browser):
    show(browser, site / "index.html")
    browser.switch_to.active_element.send_keys("\t")
    focused = browser.switch_to.active_element
    assert focused.text == "Skip to the content"
    focused.send_keys("\n")
    assert browser.current_url.endswith("#main")


def test_a_row_that_a_link_names_is_marked(site, browser):
    """By the contrast of its ground with the others', in both schemes."""
    for scheme in SCHEMES:
        show(browser, site / "tables" / "ptb_word.html", scheme=scheme, fragment="#row-2")
        ground = "return getComputedStyle(document.querySelector('#row-{} > td')).backgroundColor"
        assert browser.execute_script(ground.format(2)) != browser.execute_script(ground.format(1))


def axe_source() -> str:
    path = os.environ.get("SEQBENCH_AXE")
    if path is None:
        package = importlib.util.find_spec("axe_core_python")
        if package is None or package.origin is None:
            pytest.skip('pip install -e ".[dev]" brings axe-core-python')
        path = Path(package.origin).parent / "axe.min.js"
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1280)])
def test_axe_finds_nothing_serious(site, browser, scheme, width):
    source = axe_source()
    lists = [site / "index.html", *sorted(site.glob("*/index.html"))]
    chosen = [*lists, *sorted(site.glob("tables/*.html"))]
    for kind in ("runs", "models", "tasks"):
        chosen += [path for path in sorted(site.glob(f"{kind}/*.html")) if path not in lists][:OF_EACH_KIND]
    found = []
    for path in chosen:
        show(browser, path, width, scheme)
        browser.execute_script(OPEN_ALL)
        browser.execute_script(source)
        result = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert result["passes"]  # it has looked
        found += [
            (str(path.relative_to(site)), one["impact"], one["id"], [node["html"][:120] for node in one["nodes"][:2]])
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    assert found == []


def test_axe_finds_what_is_wrong(site, browser, tmp_path):
    """Or it could be silent of everything."""
    (tmp_path / "page.html").write_text("<html><body><img src='data:,'><p style='color:#eee'>pale</p></body></html>")
    show(browser, tmp_path / "page.html")
    browser.execute_script(axe_source())
    result = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert {"image-alt", "color-contrast", "html-has-lang"} <= {one["id"] for one in result["violations"]}
