"""The page as a reader uses it, in headless Chromium."""

import base64
import re

import pandas as pd
import pytest
from PIL import Image

from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.report import cards
from fundus_uda.clinic.report import page as page_module
from fundus_uda.clinic.report.page import write_report
from tests.fixtures.fields import whole_field
from tests.fixtures.programs import program
from tests.fixtures.seeing import brightness_model

webdriver = pytest.importorskip("selenium.webdriver")
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
wait = pytest.importorskip("selenium.webdriver.support.wait")

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def browser():
    chromium, driver = program("chromium"), program("chromedriver")
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
    set_to(opened, "sort", "name")
    assert shown(opened) == ["a0000", "a0001", "a0002", "a0003", "R&D <b>"]
    by_dice = values(opened, "dice_mean")
    set_to(opened, "sort", "dice_mean")
    assert shown(opened) == [*sorted(by_dice, key=by_dice.get), "R&D <b>"]
    set_to(opened, "order", "-1")
    assert shown(opened) == [*sorted(by_dice, key=by_dice.get, reverse=True), "R&D <b>"]


def test_photographs_to_check_come_first_and_again_on_request(opened):
    status = opened.execute_script(
        "return [...document.querySelectorAll('#gallery > li')].map((item) => item.dataset.status)"
    )
    rank = [{"flagged": 0, "ok": 2}.get(name, 1) for name in status]
    assert rank == sorted(rank)
    first = shown(opened)
    set_to(opened, "sort", "name")
    assert shown(opened) != first
    set_to(opened, "sort", "")
    assert shown(opened) == first


def test_photographs_are_filtered_by_status_flag_and_measure(opened):
    count = opened.find_element("id", "count")
    set_to(opened, "flag", "no_disc")
    assert shown(opened) == ["R&D <b>"]
    assert count.text == "1 of 5"
    set_to(opened, "flag", "")
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
        ("[data-hides=no-outlines]", "path.disc:not(.of-before, .of-reference)", True),
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
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    width = "return document.documentElement.scrollWidth"
    assert opened.execute_script(width) <= 360
    focus(opened, 0).send_keys("z")
    assert opened.execute_script(width) <= 360
    assert opened.execute_script("return document.getElementById('zoom').scrollWidth") <= 360
    assert opened.find_element("id", "close").rect["x"] + 40 < 360
    for count in (7, 30):  # those of the enlarged picture, then all others
        fields = [
            field
            for field in opened.find_elements("css selector", "input, select, button")
            if field.is_displayed()
            and (count > 7 or field.find_elements("xpath", "ancestor::dialog"))
        ]
        assert len(fields) >= count
        assert [field.tag_name for field in fields if not field.accessible_name] == []
        opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def focus(opened, index):
    """Focus the card with this place among those shown, and return it."""
    opened.execute_script(
        "[...document.querySelectorAll('#gallery > li')]"
        ".filter((item) => item.checkVisibility())[arguments[0]].focus()",
        index,
    )
    return opened.switch_to.active_element


def focused(opened) -> str:
    return opened.execute_script(
        "return document.activeElement.closest('#gallery > li')?.dataset.name"
    )


def test_outlines_and_affinity_map_are_apart(opened):
    focus(opened, 0).send_keys("mo")

    def seen(selector):
        return opened.execute_script(
            "return getComputedStyle(document.querySelector(arguments[0])).display !== 'none'",
            f"#gallery {selector}",
        )

    assert (seen(".affinity"), seen("path.disc")) == (True, False)
    focus(opened, 0).send_keys("o")
    assert (seen(".affinity"), seen("path.disc")) == (True, True)
    focus(opened, 0).send_keys("mo")
    assert (seen(".affinity"), seen("path.disc")) == (False, False)


def test_arrows_go_from_photograph_to_photograph(opened):
    names = shown(opened)
    focus(opened, 0).send_keys(Keys.ARROW_RIGHT)
    assert focused(opened) == names[1]
    opened.switch_to.active_element.send_keys(Keys.ARROW_LEFT + Keys.ARROW_LEFT)
    assert focused(opened) == names[0]
    opened.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    columns = opened.execute_script(
        "return getComputedStyle(document.getElementById('gallery'))"
        ".gridTemplateColumns.split(' ').length"
    )
    assert focused(opened) == (names[columns] if columns < len(names) else names[0])


@pytest.mark.parametrize("way", ["key", "click", "button"])
def test_a_photograph_is_enlarged(opened, way):
    card = focus(opened, 0)
    name = focused(opened)
    if way == "key":
        card.send_keys("z")
    else:
        wanted = ".eye" if way == "click" else "[data-zooms]"
        card.find_element("css selector", wanted).click()
    view = opened.find_element("id", "zoom-view")
    picture = view.find_element("css selector", ".eye")
    assert opened.find_element("id", "zoom-name").text == name
    size = opened.find_element("id", "zoom-size").text
    assert re.match("96.96 of 96.96 pixels, enlarged [0-9.]+ times", size)
    fitted = picture.rect["width"]
    assert fitted <= view.rect["width"]
    assert picture.rect["height"] <= view.rect["height"]
    opened.switch_to.active_element.send_keys("-")
    assert picture.rect["width"] == pytest.approx(fitted / 1.5, abs=2)
    picture.click()
    assert picture.rect["width"] == pytest.approx(fitted, abs=2)
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert opened.find_element("id", "zoom-name").text == shown(opened)[1]
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not opened.find_element("id", "zoom").is_displayed()
    assert focused(opened) == shown(opened)[1]


def test_a_whole_photograph_shows_where_the_square_lies(browser, cameras, tmp_path):
    Image.fromarray(whole_field(2)[0]).save(tmp_path / "whole.png")
    table = predict(brightness_model(cameras), [tmp_path / "whole.png"], tmp_path / "out")
    browser.get((tmp_path / "out" / "report.html").as_uri())
    whole = browser.find_element("css selector", "#gallery .whole")
    square = whole.find_element("css selector", "rect")
    left = (square.rect["x"] - whole.rect["x"]) / whole.rect["width"] * 560
    assert left == pytest.approx(table["region_left"][0], abs=8)
    width = square.rect["width"] / whole.rect["width"] * 560
    assert width == pytest.approx(table["region_width"][0], abs=12)  # with its line
    focus(browser, 0).send_keys("z")
    assert browser.find_element("css selector", "#zoom-view .whole").is_displayed()
    assert browser.get_log("browser") == []


@pytest.fixture
def large(browser, run, tmp_path, monkeypatch):
    """A page of more photographs than it holds itself, two of which are shown at once."""
    monkeypatch.setattr(cards, "EMBEDDED_AT_MOST", 2)
    monkeypatch.setattr(page_module, "EMBEDDED_AT_MOST", 2)
    written = write_report(run / "after", out=tmp_path / "large" / "r.html")
    text = written.read_text(encoding="utf-8")
    text = text.replace("AT_ONCE = 200", "AT_ONCE = 2").replace("2000px", "20px")
    written.write_text(text, encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(written.as_uri())
    yield browser
    browser.execute_script("localStorage.clear()")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert browser.get_log("browser") == []  # every picture was there


def test_a_large_page_makes_cards_as_they_are_needed(large):
    assert large.find_element("id", "count").text == "5 of 5"
    assert len(shown(large)) == 2
    names = []
    for _ in range(5):
        names.append(focused(large) or (focus(large, 0) and focused(large)))
        large.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert len(set(names)) == len(shown(large)) == 5
    by_ratio = values(large, "vertical_cdr")
    set_to(large, "sort", "vertical_cdr")
    assert shown(large) == [*sorted(by_ratio, key=by_ratio.get), "R&D <b>"][: len(shown(large))]
    to_the_end = "document.getElementById('end').scrollIntoView(); return 0"
    wait.WebDriverWait(large, 20).until(
        lambda _: large.execute_script(to_the_end) or len(shown(large)) == 5
    )


def test_a_card_that_is_made_has_what_the_others_have(large):
    set_to(large, "sort", "name")
    large.execute_script("extend(5)")
    large.find_element("css selector", "[data-shows=with-affinity]").send_keys(" ")
    found = large.execute_script(
        "return [...document.querySelectorAll('#gallery > li:has(path)')].map((item) => ["
        "item.querySelectorAll('path, .review button, .review input').length,"
        "[...item.querySelectorAll('details th')].map((title) => title.textContent)])"
    )
    assert [count for count, _ in found] == [8] * 4  # outlines, also before; buttons, comment
    titles = [titles for _, titles in found]
    assert titles == [titles[0]] * 4 != [[]] * 4
    (name,) = [name for name in shown(large) if name == "a0003"]
    focus(large, shown(large).index(name)).send_keys("r")
    large.refresh()
    assert "1 reviewed" in large.find_element("id", "count").text
    set_to(large, "flag", "review:reject")
    assert shown(large) == [name]
    assert large.find_element("css selector", "#gallery .verdict").text == "Rejected"


def test_a_large_page_prints_the_photographs_that_were_not_shown_yet(large):
    assert len(shown(large)) == 2
    printed = base64.b64decode(large.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.count(b"/Subtype /Image") >= 5
    large.refresh()
    set_to(large, "flag", "no_disc")  # and what is filtered out stays away
    printed = base64.b64decode(large.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.count(b"/Subtype /Image") == 1


def test_reviews_are_kept_exported_and_read_back(opened, page, run, tmp_path):
    opened.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    first, second, third = shown(opened)[:3]
    focus(opened, 0).send_keys("a")
    focus(opened, 1).send_keys("r")
    focus(opened, 1).send_keys("c")
    opened.switch_to.active_element.send_keys('no "disc", only ' + "ra")  # text, and no keys
    focus(opened, 2).send_keys("rr")  # and taken back
    assert "2 reviewed" in opened.find_element("id", "count").text
    opened.refresh()
    assert "2 reviewed" in opened.find_element("id", "count").text  # the browser kept them
    set_to(opened, "flag", "review:accept")
    assert shown(opened) == [first]
    set_to(opened, "flag", "review:")
    assert set(shown(opened)).isdisjoint({first, second})
    opened.find_element("id", "clear").click()
    opened.find_element("id", "export").click()
    file = tmp_path / "reviews.csv"
    wait.WebDriverWait(opened, 20).until(lambda _: file.is_file())
    again = write_report(run / "after", out=tmp_path / "again.html", reviewed=file)
    table = pd.read_csv(tmp_path / "again.csv", keep_default_na=False).set_index("image")
    assert table.loc[first, ["review", "comment"]].tolist() == ["accept", ""]
    assert table.loc[second, ["review", "comment"]].tolist() == ["reject", 'no "disc", only ra']
    assert table.loc[third, "review"] == ""
    opened.get(again.as_uri())
    assert "2 reviewed" in opened.find_element("id", "count").text
    verdicts = [part.text for part in opened.find_elements("css selector", ".verdict") if part.text]
    assert sorted(verdicts) == ["Accepted", 'Rejected: no "disc", only ra']
    opened.get(page.as_uri())
    opened.execute_script("localStorage.clear()")


CONTRAST = """
const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92
  : ((value + 0.055) / 1.055) ** 2.4;
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const [r, g, b, a] = parse(getComputedStyle(element).backgroundColor);
    if (a !== 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const low = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility() || element.closest("script, title")) continue;
  const style = getComputedStyle(element);
  const colour = element.closest("svg") ? style.fill : style.color;
  const found = ratio(light(parse(colour)), light(behind(element)));
  if (found < 4.5) low.push(`${node.data.trim().slice(0, 20)} ${found.toFixed(2)}`);
}
for (const element of document.querySelectorAll("button, input, select")) {
  if (!element.checkVisibility() || element.type === "checkbox") continue;
  const edge = light(parse(getComputedStyle(element).borderTopColor));
  const found = ratio(edge, light(behind(element.parentElement)));
  if (found < 3) low.push(`edge of ${element.id || element.textContent} ${found.toFixed(2)}`);
}
return low;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_have_the_contrast_of_wcag_aa(opened, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    focus(opened, 0).send_keys("a")
    focus(opened, 1).send_keys("r")
    low = opened.execute_script(CONTRAST)
    opened.execute_script("localStorage.clear()")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert low == []


def test_without_javascript_all_photographs_are_there_and_nothing_that_needs_it(opened, page):
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened.get(page.as_uri())
        cards = opened.find_elements("css selector", "#gallery > li")
        assert [card.is_displayed() for card in cards] == [True] * 5
        assert opened.find_elements("css selector", ".review") == []
        assert not opened.find_element("id", "keys").is_displayed()
        assert not opened.find_element("id", "zoom").is_displayed()
    finally:
        opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_it_prints_all_photographs_without_the_controls(opened):
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not opened.find_element("css selector", ".controls").is_displayed()
    assert len(shown(opened)) == 5
    legend = opened.find_element("css selector", ".legend").text
    assert "disc" in legend
    assert "cup" in legend
    assert "before" not in legend  # it is switched off
    assert not opened.find_element("css selector", ".review").is_displayed()
    widths = opened.execute_script(
        "const list = document.getElementById('gallery');"
        "return [list.scrollWidth, list.clientWidth]"
    )
    assert widths[0] <= widths[1]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") <= 4
    assert printed.count(b"/Subtype /Image") >= 5


def test_a_photograph_without_a_disc_stays_to_be_seen_under_the_affinity_maps(opened):
    opened.find_element("css selector", "[data-shows=with-affinity]").send_keys(" ")
    pictures = opened.execute_script(
        "return [...document.querySelectorAll('#gallery > li')].map((item) =>"
        "[...item.querySelectorAll('image')].filter((i) => i.checkVisibility()).length)"
    )
    assert pictures == [1] * 5
