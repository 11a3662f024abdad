"""The HTML report in a real browser, opened as a file: it is clicked, dragged and looked at."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hqcodec.benchmarks.published import Published
from reports import save_pictures, write_report

# A fresh machine has neither; there everything else about the page is tested in test_page.py.
selenium = pytest.importorskip("selenium", reason="selenium drives the browser")
from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="Chromium and its driver are not installed"
)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync"
)
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two pictures."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "out.html", save_pictures(folder / "pictures"))
    return folder / "out.html"


@pytest.fixture(scope="module")
def published_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with published curves, two of which lie upon each other."""
    folder = tmp_path_factory.mktemp("published")
    level = {"psnr": ((1.0, 20.0), (8.0, 30.0))}
    further = [Published(name, "a paper", level) for name in ("JPEG 4:2:0", "level", "level too")]
    write_report(folder / "out.html", save_pictures(folder / "pictures"), further)
    return folder / "out.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


def open_page(driver: Any, page: Path, size: tuple[int, int], scheme: str = "light") -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.get(page.as_uri())
    driver.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...document.images].map((i) => i.decode().catch(() => {}))).then(done)"
    )


def find(driver: Any, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def complaints(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE, (360, 740)])
def test_it_opens_without_a_complaint_and_fits_the_screen(
    chromium: Any, page: Path, size: tuple[int, int], scheme: str
) -> None:
    open_page(chromium, page, size, scheme)
    assert complaints(chromium) == []
    assert chromium.execute_script("return document.documentElement.scrollWidth") == size[0]
    colour = "return getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)"
    channels = chromium.execute_script(colour)[:3]
    assert (sum(channels) < 3 * 128) == (scheme == "dark")
    broken = "return [...document.images].filter((i) => i.src && !i.naturalWidth).length"
    assert chromium.execute_script(broken) == 0


def test_a_codec_can_be_hidden_and_another_metric_chosen(chromium: Any, page: Path) -> None:
    open_page(chromium, page, DESKTOP)
    lines = "return document.querySelectorAll('#curves polyline').length"
    titles = "return [...document.querySelectorAll('#curves text')].map((t) => t.textContent)"
    assert chromium.execute_script(lines) == 3
    find(chromium, "#legend button:last-child").click()
    assert chromium.execute_script(lines) == 2
    assert "JPEG" not in chromium.execute_script(titles)
    assert any(text.startswith("PSNR") for text in chromium.execute_script(titles))
    find(chromium, "#metric option[value=rmse]").click()
    assert any(text.startswith("RMSE") for text in chromium.execute_script(titles))
    find(chromium, "#rate option[value=ratio]").click()
    assert "compression ratio" in chromium.execute_script(titles)
    assert complaints(chromium) == []


def test_published_curves_are_offered_where_they_have_the_metric_and_names_stand_apart(
    chromium: Any, published_page: Path
) -> None:
    open_page(chromium, published_page, PHONE)
    offered = "return [...document.querySelectorAll('#legend-published button')]"
    offered += ".filter((b) => !b.hidden).map((b) => b.textContent)"
    heights = (
        "return [...document.querySelectorAll('#curves .name')].map((t) => t.getAttribute('y'))"
    )
    shown = "return [...document.querySelectorAll('#curves .name')].map((t) => t.textContent)"
    find(chromium, "#metric option[value=psnr]").click()
    assert chromium.execute_script(offered) == ["JPEG 4:2:0", "level", "level too"]
    # JPEG was measured here; its published curve waits for a click.
    assert set(chromium.execute_script(shown)) >= {"JPEG", "level", "level too"}
    assert "JPEG 4:2:0" not in chromium.execute_script(shown)
    found = sorted(float(y) for y in chromium.execute_script(heights))
    assert min(b - a for a, b in pairwise(found)) > 11
    find(chromium, "#metric option[value=rmse]").click()
    assert chromium.execute_script(offered) == []
    assert complaints(chromium) == []


def test_the_nearest_point_is_told(chromium: Any, page: Path) -> None:
    open_page(chromium, page, DESKTOP)
    mark = find(chromium, "#curves circle")
    ActionChains(chromium).move_to_element(mark).perform()
    tip = find(chromium, "#tip")
    assert tip.is_displayed() and "hqcodec" in tip.text and "bpp" in tip.text


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_divider_follows_the_pointer_and_the_keys(
    chromium: Any, page: Path, size: tuple[int, int]
) -> None:
    open_page(chromium, page, size)
    divider = find(chromium, "#divider")
    chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", divider)
    at = lambda: int(divider.get_attribute("aria-valuenow"))  # noqa: E731
    assert at() == 50
    ActionChains(chromium).drag_and_drop_by_offset(divider, 80, 0).perform()
    dragged = at()
    assert dragged > 55
    left = find(chromium, "#pane-left")
    before = left.value_of_css_property("clip-path")
    divider.send_keys(Keys.ARROW_LEFT)
    assert at() == dragged - 2 and left.value_of_css_property("clip-path") != before
    divider.send_keys(Keys.HOME)
    assert at() == 0


def test_layers_pictures_and_sides_change_what_is_shown(chromium: Any, page: Path) -> None:
    open_page(chromium, page, DESKTOP)
    layers, facts = find(chromium, "#layers"), find(chromium, "#facts-left")
    seen = {facts.text}
    layers.send_keys(Keys.HOME)
    seen.add(facts.text)
    assert "1 layer" in facts.text and find(chromium, "#layer-count").text == "1"
    find(chromium, "#divider").send_keys("+")
    assert find(chromium, "#layer-count").text == "2"
    seen.add(facts.text)
    assert len(seen) == 3  # other bytes at every layer count
    source = find(chromium, "#image-left").get_attribute("src")
    find(chromium, "#thumbs button:last-child").click()
    chromium.execute_async_script("setTimeout(arguments[0], 300)")
    assert find(chromium, "#image-left").get_attribute("src") != source
    find(chromium, "#side-right option[value=original]").click()
    assert "not compressed" in find(chromium, "#facts-right").text
    find(chromium, "[data-zoom='2']").click()
    assert find(chromium, "#image-left").size["width"] == 256
    assert complaints(chromium) == []


def test_a_reader_chooses_dark_or_light(chromium: Any, page: Path) -> None:
    open_page(chromium, page, PHONE)
    background = "return getComputedStyle(document.body).backgroundColor"
    light = chromium.execute_script(background)
    find(chromium, "#theme").click()
    assert chromium.execute_script(background) != light
    find(chromium, "#theme").click()
    assert chromium.execute_script(background) == light


def test_the_page_can_be_looked_at(chromium: Any, page: Path, tmp_path: Path) -> None:
    open_page(chromium, page, DESKTOP)
    assert chromium.save_screenshot(str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 20_000  # not an empty page
