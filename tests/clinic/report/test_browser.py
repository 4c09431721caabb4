"""The page as a reader uses it, in headless Chromium.

Skips without one, unless the environment variable FUNDUS_UDA_NEEDS_BROWSER says that there must be.
"""

import base64
import os
import shutil

import pytest

webdriver = pytest.importorskip("selenium.webdriver")


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        lacking = "chromium and chromedriver are not installed"
        pytest.fail(lacking) if os.environ.get("FUNDUS_UDA_NEEDS_BROWSER") else pytest.skip(lacking)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def opened(browser, page):
    browser.get(page.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def set_to(opened, name, value):
    opened.execute_script(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', {bubbles: true}));",
        name,
        value,
    )


def shown(opened) -> list[str]:
    return opened.execute_script(
        "return [...document.querySelectorAll('#gallery > li')]"
        ".filter((item) => item.checkVisibility()).map((item) => item.dataset.name)"
    )


def values(opened, measure) -> dict[str, float]:
    found = opened.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#gallery > li')]"
        ".map((item) => [item.dataset.name, JSON.parse(item.dataset.values)[arguments[0]]]))",
        measure,
    )
    return {name: value for name, value in found.items() if value is not None}


def test_photographs_are_sorted_by_a_measure_those_without_last(opened):
    assert shown(opened) == ["a0000", "a0001", "a0002", "a0003", "R&D <b>"]
    by_dice = values(opened, "dice_mean")
    set_to(opened, "sort", "dice_mean")
    assert shown(opened) == [*sorted(by_dice, key=by_dice.get), "R&D <b>"]
    set_to(opened, "order", "-1")
    assert shown(opened) == [*sorted(by_dice, key=by_dice.get, reverse=True), "R&D <b>"]


def test_photographs_are_filtered_by_status_flag_and_measure(opened):
    count = opened.find_element("id", "count")
    set_to(opened, "flag", "no_disc")
    assert shown(opened) == ["R&D <b>"]
    assert count.text == "1 of 5"
    flags = opened.execute_script(
        "return [...document.querySelectorAll('#gallery > li')].filter((item) => "
        "item.dataset.flags.split(' ').includes('low_affinity')).map((item) => item.dataset.name)"
    )
    set_to(opened, "flag", "flag:low_affinity")
    assert shown(opened) == flags != []
    set_to(opened, "flag", "")
    ratio = values(opened, "vertical_cdr")
    middle = sorted(ratio.values())[1]
    set_to(opened, "measure", "vertical_cdr")
    set_to(opened, "least", str(middle))
    assert set(shown(opened)) == {name for name, value in ratio.items() if value >= middle}
    set_to(opened, "most", str(middle))
    assert set(shown(opened)) == {name for name, value in ratio.items() if value == middle}
    opened.find_element("id", "clear").click()
    assert len(shown(opened)) == 5


@pytest.mark.parametrize(
    ("switch", "seen", "at_first"),
    [
        ("[data-hides=no-disc]", "path.disc:not(.of-before, .of-reference)", True),
        ("[data-hides=no-cup]", "path.cup:not(.of-before, .of-reference)", True),
        ("[data-hides=no-before]", "path.of-before", False),
        ("[data-hides=no-reference]", "path.of-reference", False),
        ("[data-shows=with-affinity]", "image.affinity", False),
    ],
)
def test_outlines_are_switched(opened, switch, seen, at_first):
    def is_seen():
        return opened.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((part) => getComputedStyle(part).display !== 'none')",
            f"#gallery {seen}",
        )

    assert is_seen() == [at_first] * len(is_seen()) != []
    opened.find_element("css selector", switch).send_keys(" ")  # by keyboard
    assert set(is_seen()) == {not at_first}


def test_it_fits_a_phone_and_every_field_has_a_name(opened):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 360
    fields = opened.find_elements("css selector", "input, select, button")
    assert len(fields) > 8
    assert [field.tag_name for field in fields if not field.accessible_name] == []
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_prints_all_photographs_without_the_controls(opened):
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not opened.find_element("css selector", ".controls").is_displayed()
    assert len(shown(opened)) == 5
    widths = opened.execute_script(
        "const list = document.getElementById('gallery');"
        "return [list.scrollWidth, list.clientWidth]"
    )
    assert widths[0] <= widths[1]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 1
    assert printed.count(b"/Subtype /Image") >= 5


def test_a_photograph_without_a_disc_stays_to_be_seen_under_the_affinity_maps(opened):
    opened.find_element("css selector", "[data-shows=with-affinity]").send_keys(" ")
    pictures = opened.execute_script(
        "return [...document.querySelectorAll('#gallery > li')].map((item) =>"
        "[...item.querySelectorAll('image')].filter((i) => i.checkVisibility()).length)"
    )
    assert pictures == [1] * 5
