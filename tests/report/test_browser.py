"""The page in a real browser; skipped where none is installed, and none is ever downloaded."""

import csv
import io
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from downslope.report import read_sides, write_comparison, write_report
from downslope.results import Results
from downslope.runs import Run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.browser]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader"]
# What Chromium's software renderer says of itself where there is no graphics card.
OF_THE_RENDERER = re.compile(r"GL Driver Message|WebGL.*software|willReadFrequently")
TRIALS = 24
HIDDEN = 3
PATIENCE = 120_000
"""Milliseconds for what a busy machine without a graphics card may take; nothing is timed."""
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>&\"'"


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    with sync_api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = next(filter(None, map(shutil.which, BROWSERS)), str(own) if own.exists() else None)
        if found is None:
            pytest.skip(f"no browser is installed (looked for {', '.join(BROWSERS)})")
        launched = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose search has many trials of every outcome, and names with markup in them."""
    run = Run(tmp_path_factory.mktemp("browser") / "run")
    shutil.copytree(finished.path, run.path)
    results = run.read_results()
    search = results.search
    assert search and search.best
    model = next(t for t in search.trials if t.validation_accuracy is not None)
    trials = []
    for i in range(TRIALS):
        settings = msgspec.structs.replace(
            model.settings,
            batch_size=(8, 16, 32)[i % 3],
            hidden_layers=HIDDEN,
            units=10 + 10 * (i % 4),
            learning_rate=0.001 * 1.3**i,
        )
        outcome = ("completed", "completed", "pruned", "diverged")[i % 4]
        accuracy = 0.5 + 0.01 * ((7 * i) % TRIALS) if outcome == "completed" else None
        trials.append(
            msgspec.structs.replace(
                model,
                id=i,
                settings=settings,
                member=settings.member(64, 10, seed=model.member.seed),
                outcome=outcome,
                validation_accuracy=accuracy,
                validation_loss=accuracy and 1 - accuracy,
                reason=HOSTILE if outcome == "diverged" else "",
            )
        )
    best = max(trials, key=lambda t: t.validation_accuracy or 0.0)
    results.search = msgspec.structs.replace(search, trials=trials, best=best, choice=None)
    results.recipe = msgspec.structs.replace(results.recipe, title=HOSTILE)
    names = [HOSTILE, *results.data.class_names[1:]]
    results.data = msgspec.structs.replace(results.data, source=HOSTILE, class_names=names)
    run.commit(results, [])
    return write_report(run)[0]


@contextmanager
def opened(browser: Any, report: Path, **options: Any) -> Iterator[Any]:
    context = browser.new_context(accept_downloads=True, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(report.as_uri(), wait_until="domcontentloaded")
    yield page
    context.close()


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    with opened(browser, report, viewport={"width": 1280, "height": 900}) as page:
        yield page


def ids(page: Any, *, hidden: bool = False) -> list[int]:
    rows = page.locator("#search tr[data-trial]" + ("" if hidden else ":not([hidden])"))
    return [int(name.removeprefix("search-")) for name in rows.evaluate_all(
        "rows => rows.map(row => row.dataset.trial)")]  # fmt: skip


def test_the_page_says_nothing_and_asks_for_nothing(browser: Any, report: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.locator("#landscape").scroll_into_view_if_needed()
    page.wait_for_selector("#landscape canvas", state="attached")
    page.wait_for_selector("#terrain-controls:not([hidden])")
    page.locator("#provenance").scroll_into_view_if_needed()
    assert [line for line in said if not OF_THE_RENDERER.search(line)] == []
    own = ("data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == [report.as_uri()]
    context.close()


def test_choosing_a_trial_marks_it_everywhere(page: Any) -> None:
    page.locator("#search tr[data-trial='search-5']").click()
    marked = page.locator("#search .chosen")
    names = {str(marked.nth(i).get_attribute("data-trial")) for i in range(marked.count())}
    assert names == {"search-5"}
    figures = page.locator("#search figure:has(.chosen)").evaluate_all(
        "all => all.map(one => one.dataset.figure)"
    )
    assert {"search-slices"} <= {*figures} <= {"search-curves", "search-slices"}
    assert marked.count() == page.locator("#search [data-trial='search-5']").count()
    assert page.locator("#search [role=status]").inner_text().startswith("Trial 5: ")
    page.locator("#search .step[data-step='1']").click()
    order = ids(page)
    following = order[order.index(5) + 1]
    assert page.locator("#search tr.chosen").get_attribute("data-trial") == f"search-{following}"
    page.get_by_role("button", name="Clear").first.click()
    assert page.locator("#search .chosen").count() == 0


def test_a_line_of_a_figure_chooses_its_trial(page: Any) -> None:
    curve = page.locator("figure[data-figure='search-curves'] g[data-trial='search-8'] path").first
    curve.scroll_into_view_if_needed()
    x, y = curve.evaluate(
        """path => { const p = path.getPointAtLength(0.5 * path.getTotalLength());
        const at = p.matrixTransform(path.getScreenCTM()); return [at.x, at.y]; }"""
    )
    page.mouse.click(x, y)
    chosen = page.locator("#search tr.chosen").get_attribute("data-trial")
    # Lines of equal curves lie over each other: any of them may be hit, but one is.
    assert chosen is not None
    assert page.locator(f"#search [data-trial='{chosen}']:not(.chosen)").count() == 0


def test_a_trial_is_chosen_with_the_keyboard_too(page: Any) -> None:
    page.locator("#search").get_by_role("button", name="Choose trial 9").focus()
    page.keyboard.press("Enter")
    button = page.locator("#search tr[data-trial='search-9'] .pick")
    assert button.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "false"


def test_headings_sort_with_what_is_missing_last(page: Any) -> None:
    heading = page.locator("#search th", has_text="val. accuracy").first
    for direction in ("ascending", "descending"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == direction
        cells = page.locator("#search table.sortable tbody tr td:nth-child(3)").all_inner_texts()
        known = [float(cell.removesuffix(" %")) for cell in cells if cell != "–"]
        assert known == sorted(known, reverse=direction == "descending")
        assert cells[len(known) :] == ["–"] * (TRIALS - len(known))
    seeds = page.locator("#search th", has_text="trial").first
    seeds.locator("button").click()
    assert ids(page) == list(range(TRIALS))
    assert heading.get_attribute("aria-sort") is None


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("batch=16", {i for i in range(TRIALS) if i % 3 == 1}),
        ("rate<0.0015", {0, 1}),
        ("lr<0.0015", {0, 1}),
        ('"learning rate" < 0.0015', {0, 1}),
        ("learning rate<0.0015", {0, 1}),
        (f"hidden={HIDDEN}x20", {i for i in range(TRIALS) if i % 4 == 1}),
        ("batch=8 pruned", {i for i in range(TRIALS) if i % 3 == 0 and i % 4 == 2}),
        ("accuracy>=70", {i for i in range(TRIALS) if i % 4 < 2 and (7 * i) % TRIALS >= 20}),
        ("nothing-like-it", set()),
        ("", {*range(TRIALS)}),
    ],
)
def test_the_filter_leaves_what_was_asked_for(page: Any, query: str, wanted: set[int]) -> None:
    page.fill("#search-filter", query)
    assert {*ids(page)} == wanted
    assert page.locator("#search output").first.inner_text() == f"{len(wanted)} of {TRIALS}"
    faded = page.locator("figure[data-figure='search-slices'] .out").evaluate_all(
        "all => all.map(one => Number(one.dataset.trial.split('-')[1]))"
    )
    pruned = {i for i in range(TRIALS) if i % 4 == 2}  # without an accuracy to be drawn at
    assert {*faded} == {*range(TRIALS)} - wanted - pruned


def test_an_unknown_column_is_named_beside_those_there_are(page: Any) -> None:
    page.fill("#search-filter", "foo>3")
    said = page.locator("#search [role=status]").inner_text()
    assert "foo" in said and "val. accuracy" in said and "batch" in said
    assert {*ids(page)} == {*range(TRIALS)}
    page.fill("#search-filter", "batch=16")
    assert "foo" not in page.locator("#search [role=status]").inner_text()


def test_the_filter_is_one_row_that_stays_in_sight(page: Any) -> None:
    finder = page.locator("#search .finder")
    assert finder.bounding_box()["height"] < 60
    page.locator("#search table.sortable").scroll_into_view_if_needed()
    assert finder.bounding_box()["y"] < 60


def test_outcomes_filter(page: Any) -> None:
    options = page.locator("#search-outcome option").all_inner_texts()
    assert options == ["any outcome", "completed", "pruned", "diverged"]  # none failed
    page.select_option("#search-outcome", "diverged")
    assert {*ids(page)} == {i for i in range(TRIALS) if i % 4 == 3}


def test_text_from_data_stays_text(page: Any) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("main img, main iframe, main script").count() == 0
    assert HOSTILE in page.locator("#provenance").inner_text()
    page.select_option("#search-outcome", "diverged")
    assert HOSTILE in page.locator("#search table.sortable").inner_text()


def test_the_theme_switches_and_is_kept(page: Any) -> None:
    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    button = page.locator("#theme")
    page.emulate_media(color_scheme="light")
    light = ground()
    page.emulate_media(color_scheme="dark")
    dark = ground()
    assert light != dark  # as the system asks
    button.click()
    assert ground() == light and "light" in button.inner_text()
    button.click()
    page.emulate_media(color_scheme="light")
    assert ground() == dark
    page.reload(wait_until="domcontentloaded")
    assert ground() == dark


def test_paper_shows_everything_and_no_controls(page: Any) -> None:
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in ("nav", ".finder", ".save", ".copy", ".controls"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.locator("figure[data-figure='landscape-surface']").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")


def saved(page: Any, figure: str, kind: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"Save {figure} as {kind}", exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_every_figure_is_saved_as_svg_and_csv(page: Any, report: Path) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    figures = page.locator("figure[data-figure]").evaluate_all(
        "all => all.map(one => one.dataset.figure)"
    )
    assert len(figures) > 15 and {"refit-calibration", "refit-mistakes"} <= {*figures}
    for figure in figures:
        name, content = saved(page, figure, "CSV")
        assert name == f"{figure}.csv"
        assert content == (report.parent / "figures" / name).read_bytes()
        rows = list(csv.reader(io.StringIO(content.decode())))
        assert len(rows) > 1, figure
        name, content = saved(page, figure, "SVG")
        assert name == f"{figure}.svg"
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert b"var(--" not in content


@pytest.mark.parametrize("figure", ["search-curves", "refit-confusion", "autoencoder-grid"])
def test_a_figure_is_saved_as_png(page: Any, figure: str) -> None:
    name, content = saved(page, figure, "PNG")
    assert name == f"{figure}.png" and content.startswith(b"\x89PNG")
    width = int.from_bytes(content[16:20], "big")
    assert width > 1000  # pixels: enough for print


def test_a_table_is_saved_as_csv(page: Any) -> None:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save table as CSV: All trials, the best first").click()
    rows = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8"))))
    assert len(rows) == TRIALS + 1 and rows[0][0] == "trial"
    assert any(HOSTILE in cell for row in rows for cell in row)


def test_a_comparison_is_as_good_a_page(
    browser: Any, report: Path, finished: Run, tmp_path: Path
) -> None:
    """Silent, without a request, saved as files, theme and axe as for the report itself."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path = tmp_path / "comparison.html"
    write_comparison(path, read_sides([finished, Run(report.parent)]), None, HOSTILE)
    options = {"viewport": {"width": 390, "height": 900}, "bypass_csp": True}
    with opened(browser, path, **options) as page:
        asked: list[str] = []
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        assert said == [] and asked == [path.as_uri()]
        assert page.evaluate("window.hacked") is None
        with page.expect_download() as waiting:
            page.locator("[data-figure='comparison-scores'] .save button:text('CSV')").click()
        rows = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8"))))
        assert any("run A" in row for row in rows)
        page.locator("#theme").click()
        page.locator("#theme").click()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_violation(browser: Any, report: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(browser, report, bypass_csp=True, **options) as page:
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        if scheme == "light":  # once with the interactive figure, which is slow to start
            page.locator("#landscape").scroll_into_view_if_needed()
            page.wait_for_selector("#terrain-controls:not([hidden])")
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in found] == []
        overflow = page.evaluate("document.documentElement.scrollWidth")
        assert overflow <= width


def test_a_phone_reaches_every_section_and_reads_every_figure(browser: Any, report: Path) -> None:
    with opened(browser, report, viewport={"width": 390, "height": 844}) as page:
        links = page.locator("nav a")
        for box in [links.nth(i).bounding_box() for i in range(links.count())]:
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        # Letters have at least 9.6 units of a drawing, which are pixels at its natural width.
        scales = page.locator("figure[data-figure] .drawing > svg").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().width / one.viewBox.baseVal.width)"
        )
        assert min(scales) * 9.6 >= 10


def test_the_page_is_short_and_begins_with_the_result(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollHeight") <= 14 * 900
    for first in (".value", "figure[data-figure='landscape-surface']", "pre.toml"):
        box = page.locator(f"#summary {first}").first.bounding_box()
        assert box["y"] < 900, first


def test_the_slider_and_the_button_move_the_path(page: Any) -> None:
    page.locator("#landscape").scroll_into_view_if_needed()
    page.wait_for_selector("#terrain-controls:not([hidden])")
    facts = page.locator("#terrain-facts")
    page.locator("#terrain-step").evaluate(
        "slider => { slider.value = 1; slider.dispatchEvent(new Event('input')); }"
    )
    for kind in ("PNG",):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Save the interactive landscape as {kind}").click()
        assert Path(waiting.value.path()).stat().st_size > 1000
    first = facts.inner_text()
    page.locator("#terrain-play").click()
    page.wait_for_function(
        "text => document.getElementById('terrain-facts').innerText !== text", arg=first
    )


def test_the_landscape_shows_what_is_chosen(page: Any) -> None:
    page.locator("#landscape").scroll_into_view_if_needed()
    page.wait_for_selector("#terrain-controls:not([hidden])")
    shown = """([surface, logarithmic]) => {
      const scenes = JSON.parse(document.getElementById("landscape-scenes").textContent).scenes;
      const expected = scenes[0].surfaces[surface].flat();
      return ["terrain", "terrain-flat"].every((id) => {
        const found = document.getElementById(id).data[0].z.flat();
        return found.length === expected.length && found.every((z, i) =>
          Math.abs(z - (logarithmic ? Math.log10(expected[i]) : expected[i])) < 1e-9);
      });
    }"""
    page.set_checked("#terrain-logarithmic", True)
    page.wait_for_function(shown, arg=["loss training", True])
    page.set_checked("#terrain-logarithmic", False)
    page.wait_for_function(shown, arg=["loss training", False])
    page.check("#terrain-quantity input[value=accuracy]")
    page.wait_for_function(shown, arg=["accuracy training", False])
    assert "accuracy" in page.inner_text("#terrain-facts")
    assert page.is_disabled("#terrain-logarithmic")


def test_a_page_without_any_stage_is_silent(browser: Any, finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    results: Results = run.read_results()
    for stage in list(results.seconds):
        setattr(results, stage, None)
    results.joint_landscape = None
    results.seconds.clear()
    run.commit(results, [])
    said: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(write_report(run)[0].as_uri())
    assert said == []
    page.close()
