"""The report in a real browser: Debian's chromium, without a window."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.cells import made_cell
from helpers.pages import CURVE, answered, on_disk, scored_on
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from fewshot.data import import_dataset
from fewshot.reporting.html import write_report
from fewshot.results.files import read_cells

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="needs a browser: apt-get install chromium chromium-driver",
    ),
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage"
)
EVIL = "<script>alert(1)</script>"
ALSO_EVIL = "<b>%{y}</b> &lt; $x$"
EVIL_SET = "<i>%{meta}</i>&amp;"
DESK, PHONE = (1280, 900), (360, 740)
PATIENCE_S = 20
LEAST_CONTRAST = 4.5
CONTRASTS = (Path(__file__).parent / "contrast.js").read_text()
HERE = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def made_page(tmp_path_factory):
    """A page with every kind of content: names that are markup, holes, seeds, pictures."""
    folder = tmp_path_factory.mktemp("page")
    data_dir = tmp_path_factory.mktemp("data")
    write_report(read_cells(made_folder(folder, data_dir)), folder / "page.html", data_dir, {})
    return folder / "page.html"


def made_folder(folder, data_dir):
    from PIL import Image

    rng = np.random.default_rng(0)
    for c in range(7):
        (folder / f"images/c{c}").mkdir(parents=True)
        for i in range(24):
            pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"images/c{c}/{i:02}.png")
    split = 'train = ["c0", "c1"]\nval = ["c2"]\ntest = ["c3", "c4", "c5", "c6"]\n'
    (folder / "split.toml").write_text(split)
    store = import_dataset(
        "birds", folder / "images", data_dir, {}, size=8, split=str(folder / "split.toml")
    )
    base = rng.uniform(0.3, 0.6, 60)
    cells = [
        made_cell(EVIL, *(base + 0.3), train_s=100.0),
        made_cell(ALSO_EVIL, *(base + 0.2), train_s=50.0),
        made_cell("mtl", *(base + 0.1), train_s=20.0, seed=0),
        made_cell("mtl", *(base + 0.11), train_s=20.0, seed=1),
        made_cell("mtl", *base, train_s=20.0, n_shot=1),
        made_cell("maml", *base, train_s=400.0, backbone="resnet12", batch_norm="query"),
        made_cell("pixels", *(base - 0.2), trained=False, training_classes=None),
        made_cell("mtl", *base, dataset=EVIL_SET),
        *map(answered, scored_on(store, "mtl", "maml")),
        *scored_on(store, "fomaml", shots=(1,)),
    ]
    on_disk(cells, folder / "cells")
    return folder / "cells"


@pytest.fixture(scope="module")
def committed_page(tmp_path_factory, committed_results):
    out = tmp_path_factory.mktemp("page") / "committed.html"
    write_report(read_cells(committed_results / "cifar_fs"), out, Path("no-such-folder"), {})
    return out


def open_page(driver, page, size=DESK, dark=False):
    """The page in a window of this size, its figures drawn."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    motion = {"name": "prefers-reduced-motion", "value": "reduce"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme, motion]})
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(page.as_uri())
    driver.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    until(driver, lambda: points(driver))


def until(driver, condition):
    """Wait for something that plotly does in its own time."""
    return WebDriverWait(driver, PATIENCE_S, poll_frequency=0.05).until(lambda _: condition())


def find(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector)


def find_all(driver, selector):
    return driver.find_elements(By.CSS_SELECTOR, selector)


def points(driver, figure="cost-figure"):
    return find_all(driver, f"#{figure} .scatterlayer .point")


def column(driver, place, table="results"):
    """The visible texts of a column."""
    script = (
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        ".filter(row => !row.hidden).map(row => row.cells[arguments[1]].textContent.trim())"
    )
    return driver.execute_script(script, table, place)


def requested(driver):
    """Every address that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


@pytest.fixture(params=["made", "committed"])
def page(request):
    return request.getfixturevalue(f"{request.param}_page")


def test_no_error_and_no_request_whatever_is_done(driver, page):
    open_page(driver, page)
    find(driver, "#theme").click()
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    ActionChains(driver).move_to_element(points(driver)[0]).perform()
    for select in find_all(driver, "#cost-options select, #curve-options select"):
        for option in select.find_elements(By.TAG_NAME, "option"):
            option.click()
    find(driver, "#show-none").click()
    find(driver, "#show-all").click()
    find(driver, "a.details").click()
    asked = requested(driver)
    assert page.as_uri() in asked
    assert [url for url in asked if not url.startswith(HERE)] == []
    assert driver.get_log("browser") == []


def test_a_request_and_an_error_would_be_seen(driver, tmp_path):
    """What the test above looks at does see them."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>nothing.here()</script>")
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(bad.as_uri())
    assert "http://127.0.0.1:9/x.png" in requested(driver)
    assert any("nothing is not defined" in entry["message"] for entry in driver.get_log("browser"))


def test_the_policy_of_the_page_stops_requests_and_foreign_scripts(driver, made_page):
    """Even if a name did become markup."""
    open_page(driver, made_page)
    driver.execute_script(
        "document.body.insertAdjacentHTML('beforeend',"
        " `<img src='http://127.0.0.1:9/x.png' onerror='window.ran = 1'>`);"
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)"
    )
    assert driver.execute_script("return window.ran") is None
    assert any("Content Security Policy" in entry["message"] for entry in driver.get_log("browser"))


def headings(driver):
    return [heading.text.split(" ↕")[0] for heading in find_all(driver, "#results thead th")]


def numbers(texts):
    return [float(text.split()[0]) for text in texts if not text.startswith("–")]


def test_a_heading_sorts_by_click_and_by_key(driver, made_page):
    open_page(driver, made_page)
    place = headings(driver).index("made 5w5s")
    heading = find_all(driver, "#results thead th")[place]
    button = heading.find_element(By.TAG_NAME, "button")
    button.click()
    assert heading.get_attribute("aria-sort") == "descending"
    shown = column(driver, place)
    assert numbers(shown) == sorted(numbers(shown), reverse=True)
    n_holes = len(shown) - len(numbers(shown))
    assert n_holes > 0
    for key, direction in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        button.send_keys(key)
        assert heading.get_attribute("aria-sort") == direction
        shown = column(driver, place)
        assert numbers(shown) == sorted(numbers(shown), reverse=direction == "descending")
        assert len(numbers(shown[:-n_holes])) == len(shown) - n_holes  # holes stand last
    name = find(driver, "#results thead th")
    name.find_element(By.TAG_NAME, "button").click()
    assert name.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") is None
    assert column(driver, 0) != column(driver, 0)[::-1]
    assert "sorted by learner, ascending" in find(driver, "[data-for=results]").text


def test_filters_hide_rows_and_a_reset_shows_them(driver, made_page):
    open_page(driver, made_page)
    everyone = column(driver, 0)
    field = find(driver, "[data-table=results] [data-filter=text]")
    field.send_keys("MTL conv4")
    assert column(driver, 0) == [name for name in everyone if name.startswith("mtl")]
    assert f"of {len(everyone)} rows" in find(driver, "[data-for=results]").text
    field.clear()
    choose(driver, "[data-filter=backbone]", "resnet12")
    assert set(column(driver, 1)) == {"resnet12"}
    find(driver, "[data-table=results] [type=reset]").click()
    until(driver, lambda: column(driver, 0) == everyone)
    place = headings(driver).index("protocol")
    letters = column(driver, place)
    for letter in set(letters):
        find(driver, f"[data-filter=protocol] option[value='{letter}']").click()
        assert column(driver, place) == [letter] * letters.count(letter)


def test_a_hover_label_says_who_and_what_and_a_name_stays_text(driver, made_page):
    open_page(driver, made_page)
    choose(driver, "#cost-column", "made 5w5s")
    labels = {}
    for point in points(driver):
        ActionChains(driver).move_to_element(point).perform()
        lines = until(driver, lambda: find_all(driver, "#cost-figure .hovertext .line"))
        name, *rest = [line.text for line in lines]
        labels[name] = rest
        ActionChains(driver).move_to_element(find(driver, "h1")).perform()
        until(driver, lambda: not find_all(driver, "#cost-figure .hovertext"))
    assert {f"{EVIL}/conv4", f"{ALSO_EVIL}/conv4"} <= set(labels)
    assert "training 1.7 min on Abacus, 2 threads" in labels[f"{EVIL}/conv4"]
    legend = [text.text for text in find_all(driver, "#cost-figure .legendtext")]
    assert {f"{EVIL}/conv4", f"{ALSO_EVIL}/conv4"} <= set(legend)
    choose(driver, "#cost-column", f"{EVIL_SET} 5w5s")
    choose(driver, "#curve-dataset", EVIL_SET)
    for figure, words in (("cost", f"accuracy on {EVIL_SET} 5w5s (%)"), ("curve", EVIL_SET)):
        until(driver, lambda: words in find(driver, f"#{figure}-figure .ytitle").text)  # noqa: B023
    assert not find_all(driver, ".plot script, .plot b, .plot i")


def choose(driver, select, name):
    (option,) = (o for o in find_all(driver, f"{select} option") if o.text == name)
    option.click()


def front(driver):
    return find(driver, "#cost-figure .scatterlayer .trace .lines path").get_attribute("d")


def test_hiding_a_row_changes_both_figures_and_the_front(driver, made_page):
    open_page(driver, made_page)
    choose(driver, "#cost-column", "made 5w5s")
    before, curves, line = len(points(driver)), len(points(driver, "curve-figure")), front(driver)
    names = [label.text for label in find_all(driver, ".choices label")]
    box = find_all(driver, ".choices input")[names.index(f"{EVIL}/conv4")]
    box.send_keys(Keys.SPACE)
    until(driver, lambda: len(points(driver)) == before - 1)
    assert front(driver) != line
    assert len(points(driver, "curve-figure")) == curves - len(CURVE)
    box.send_keys(Keys.SPACE)
    until(driver, lambda: len(points(driver)) == before)
    assert front(driver) == line


def test_the_legend_and_the_checkboxes_agree(driver, made_page):
    open_page(driver, made_page)
    choose(driver, "#cost-column", "made 5w5s")
    before = len(points(driver))
    entries = find_all(driver, "#cost-figure .legend .traces")
    names = [entry.text for entry in entries]
    toggle = entries[names.index("mtl/conv4")].find_element(By.CLASS_NAME, "legendtoggle")
    ActionChains(driver).move_to_element(toggle).click().perform()
    until(driver, lambda: len(points(driver)) == before - 1)
    boxes = {label.text: label for label in find_all(driver, ".choices label")}
    assert not boxes["mtl/conv4"].find_element(By.TAG_NAME, "input").is_selected()
    boxes["mtl/conv4"].click()
    until(driver, lambda: len(points(driver)) == before)


def test_all_rows_can_be_hidden_and_shown(driver, page):
    open_page(driver, page)
    before = len(points(driver))
    find(driver, "#show-none").click()
    until(driver, lambda: not points(driver))
    assert not points(driver, "curve-figure")
    find(driver, "#show-all").click()
    until(driver, lambda: len(points(driver)) == before)


def ticks(driver):
    return [tick.text for tick in find_all(driver, "#cost-figure .xtick text")]


def test_the_axis_can_be_logarithmic_or_not(driver, page):
    open_page(driver, page)
    logarithmic = ticks(driver)
    assert {tick.lstrip("0.")[:1] for tick in logarithmic} <= {"1", "2", "5"}
    find(driver, "#cost-log").send_keys(Keys.SPACE)
    until(driver, lambda: "0" in ticks(driver))


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_the_page_without_scrolling_sideways(driver, page, dark):
    open_page(driver, page, PHONE, dark)
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    hidden = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert driver.execute_script(hidden) == 0
    inside = driver.execute_script(
        "return [...document.querySelectorAll('h1, h2, p, summary, button, label, select, .plot')]"
        ".filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert inside == []
    table = "const s = document.getElementById('results').parentElement; "
    assert driver.execute_script(table + "return s.scrollWidth > s.clientWidth")
    find(driver, "a.details").click()
    assert driver.execute_script(hidden) == 0
    box = driver.execute_script("return document.getElementById('dialog').getBoundingClientRect()")
    assert box["left"] >= 0
    assert box["right"] <= PHONE[0]


def test_tab_goes_through_all_of_the_page_in_its_order_and_is_seen(driver, made_page):
    open_page(driver, made_page)
    outside = (  # of plotly's own buttons, which some of its versions have
        "const all = [...document.querySelectorAll("
        "'a[href], button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility() && !e.closest('.plot'));"
    )
    count = driver.execute_script(outside + "return all.length")
    focused = (
        "const e = document.activeElement, style = getComputedStyle(e);"
        "return [all.indexOf(e), style.outlineStyle, parseFloat(style.outlineWidth)]"
    )
    seen = []
    while len([place for place, *_ in seen if place >= 0]) < count:
        ActionChains(driver).send_keys(Keys.TAB).perform()
        seen.append(driver.execute_script(outside + focused))
        assert len(seen) < 2 * count
    assert [place for place, *_ in seen if place >= 0] == list(range(count))
    assert [what for what in seen if what[1] == "none" or what[2] < 2] == []


def test_the_skip_link_leads_past_the_navigation(driver, made_page):
    open_page(driver, made_page)
    ActionChains(driver).send_keys(Keys.TAB).perform()
    skip = driver.switch_to.active_element
    assert skip.get_attribute("class") == "skip"
    assert skip.rect["y"] >= 0
    skip.send_keys(Keys.ENTER)
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element.get_attribute("data-filter") == "text"


def test_what_is_behind_a_number_opens_by_key_and_closes_again(driver, made_page):
    open_page(driver, made_page)
    link = find(driver, "a.details")
    link.send_keys(Keys.ENTER)
    dialog = find(driver, "#dialog")
    assert dialog.is_displayed()
    for words in ("fingerprint", "episodes_digest", "recipe.lr", "batch_norm", "versions.torch"):
        assert words in dialog.text
    assert driver.switch_to.active_element.get_attribute("id") == "dialog-close"
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert not dialog.is_displayed()
    assert driver.switch_to.active_element == link


def test_details_open_and_a_link_to_a_cell_opens_it(driver, made_page):
    open_page(driver, made_page)
    closed = next(d for d in find_all(driver, "details.block") if not d.get_attribute("open"))
    closed.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert closed.get_attribute("open")
    anchor = find(driver, "a.details").get_attribute("href").split("#")[1]
    driver.execute_script("location.hash = arguments[0]", anchor)
    until(driver, lambda: find(driver, f"#{anchor}").get_attribute("open"))


def test_pictures_of_episodes_are_there(driver, made_page):
    open_page(driver, made_page)
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    loaded = (
        "const all = [...document.querySelectorAll('.images img, .answers img')];"
        "all.forEach(i => { i.loading = 'eager' });"
        "return [all.length, all.filter(i => i.naturalWidth === 8).length]"
    )
    until(driver, lambda: len(set(driver.execute_script(loaded))) == 1)
    assert driver.execute_script(loaded)[0] > 100


def test_answers_are_those_at_the_chosen_shape_by_mouse_and_by_key(driver, made_page):
    def shown():
        script = (
            "return [...new Set([...document.querySelectorAll('details[open] .answers tbody')]"
            ".filter(body => body.checkVisibility()).map(body => body.dataset.column))]"
        )
        return driver.execute_script(script)

    open_page(driver, made_page)
    assert shown() == ["birds 3w5s"]  # the most shots
    choose(driver, "[data-answers]", "3w1s")
    assert shown() == ["birds 3w1s"]
    find(driver, "[data-answers]").send_keys(Keys.ARROW_DOWN)
    assert shown() == ["birds 3w5s"]
    first = find(driver, ".answers")
    marks = [mark.text for mark in first.find_elements(By.CSS_SELECTOR, "td:not(.unseen)")]
    assert {mark[0] for mark in marks if mark and not mark.isdigit()} == {"✓", "✗"}


def test_a_wide_table_of_answers_scrolls_by_key_on_a_phone(driver, made_page):
    open_page(driver, made_page, PHONE)
    region = find(driver, ".class .scroll")
    driver.execute_script("arguments[0].focus()", region)
    ActionChains(driver).send_keys(Keys.ARROW_RIGHT * 3).perform()
    until(driver, lambda: driver.execute_script("return arguments[0].scrollLeft", region) > 0)
    name = find(driver, ".class .answers tbody:not([hidden]) .name")
    assert name.rect["x"] >= region.rect["x"]  # names stay in sight


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("toggled", [False, True])
def test_contrast_passes_in_both_themes(driver, page, dark, toggled):
    open_page(driver, page, dark=dark)
    if toggled:
        find(driver, "#theme").click()
    is_dark = dark != toggled
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == is_dark
    assert find(driver, "#theme").text == ("Light theme" if is_dark else "Dark theme")
    ticks_are = "return getComputedStyle(document.querySelector('.xtick text')).fill"
    until(
        driver,
        lambda: (sum(map(int, driver.execute_script(ticks_are)[4:-1].split(","))) > 380) == is_dark,
    )
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    find(driver, "a.details").click()
    texts, weak = driver.execute_script(CONTRASTS, LEAST_CONTRAST)
    assert texts > 300
    assert weak == []


def test_weak_contrast_would_be_seen(driver, made_page):
    open_page(driver, made_page)
    driver.execute_script("document.querySelector('.lead').style.color = '#999'")
    _, weak = driver.execute_script(CONTRASTS, LEAST_CONTRAST)
    assert [name for *_, name in weak] == ["lead"]


def test_a_chosen_theme_holds_against_the_systems(driver, made_page):
    open_page(driver, made_page, dark=True)
    find(driver, "#theme").click()
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert find(driver, "#theme").text == "Dark theme"
    assert driver.execute_script("return localStorage.length + document.cookie.length") == 0
