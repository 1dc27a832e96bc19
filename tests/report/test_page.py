import re
from collections.abc import Callable
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from downslope.errors import InputError
from downslope.report import write_report
from downslope.report.arrays import arrays
from downslope.report.document import compose
from downslope.results import Results
from downslope.runs import Run
from downslope.search import SearchResult

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = "<script>alert('x')</script> & \"$_{^\\frac"


class Page(HTMLParser):
    """Check that elements nest, and collect what tests ask about."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.scripts = 0
        self.headings: list[str] = []
        self.figures: list[str] = []
        self.unnamed: list[str] = []
        self.words: list[str] = []
        self.hints: list[str] = []
        """Of figures, tables and cards: where their numbers come from."""
        self.captions = 0
        self.feed(source)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if tag == "figcaption" or values.get("class") in {"caption", "card"}:
            self.captions += 1
            if "title" in values:
                self.hints.append(values["title"])
        if "data-figure" in values:
            self.figures.append(values["data-figure"])
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        elif tag not in {"use"}:
            self.loads += [values[n] for n in ("src", "href", "srcset", "data") if n in values]
        if "xlink:href" in values:
            self.loads.append(values["xlink:href"])
        self.scripts += tag == "script"
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag == "svg" and not values.get("aria-label") and "aria-hidden" not in values:
            self.unnamed.append(str(values))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def built(run: Run) -> Page:
    return Page(write_report(run)[0].read_text("utf-8"))


def changed(run: Run, change: Callable[[Results], None]) -> Page:
    results = run.read_results()
    change(results)
    run.commit(results, [])
    return built(run)


@pytest.fixture(scope="session")
def page(finished: Run) -> Page:
    return built(finished)


def test_the_page_is_well_formed(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == "h1" and page.headings.count("h1") == 1
    for above, below in zip(page.headings, page.headings[1:], strict=False):
        assert int(below[1]) <= int(above[1]) + 1, "a level of headings is left out"
    assert page.unnamed == []


def test_links_lead_somewhere_on_the_page(page: Page) -> None:
    assert len(page.links) > 12
    for link in page.links:
        assert link.startswith("#") and link[1:] in page.ids


def test_nothing_is_loaded_from_elsewhere(finished: Run, page: Page) -> None:
    assert all(load.startswith(("#", "data:")) for load in page.loads), page.loads
    source = (finished.path / "report.html").read_text("utf-8")
    outside = re.sub(r"<script.*?</script>", "", source, flags=re.DOTALL)
    assert not re.search(r"@import|url\((?!#)|@font-face", outside)
    assert "http://" not in outside and "https://" not in outside


def test_the_page_is_one_file_of_at_most_4_mb(finished: Run, page: Page) -> None:
    source = (finished.path / "report.html").read_bytes()
    assert len(source) < 4_000_000
    assert source.count(b'id="plotly-source"') == 1
    assert page.scripts == 5


def test_every_stage_shows_its_numbers(page: Page, results: Results) -> None:
    text = page.text
    assert results.refit and results.refit.test_accuracy
    assert f"{100 * results.refit.test_accuracy.mean:.2f} %" in text
    for accuracy in results.refit.test_accuracy.per_seed:
        assert f"{100 * accuracy:.2f} %" in text
    for epoch in results.refit.epochs:
        assert f"{epoch.train_loss:.4f}" in text
        assert f"{100 * (epoch.test_accuracy or 0):.2f} %" in text
    for minibatch in results.refit.last_minibatches:
        assert f"{minibatch.step:,} {minibatch.train_loss:.4f}" in text
    assert results.search and results.variants
    for trial in results.search.trials + results.variants.search.trials:
        assert f"{trial.id} {trial.member.seed}" in text
        assert f"{100 * (trial.validation_accuracy or 0):.2f} %" in text
    assert results.theory
    for check in results.theory.checks:
        assert check.verdict in text
    for step in results.theory.steps:
        assert step.source in text
    assert results.landscape
    for null in results.landscape.nulls:
        assert f"{100 * null.mean:.1f} %" in text
    assert results.autoencoder and results.autoencoder.test_mse
    assert f"{results.autoencoder.test_mse:.4g}" in text
    assert "6,560 parameters" in text


def test_provenance_is_complete(page: Page, finished: Run, results: Results) -> None:
    manifest = finished.read_manifest()
    assert manifest is not None
    assert manifest.command in page.text
    assert results.data.sha256 in page.text
    for name, version in manifest.versions.items():
        assert f"{name} {version}" in page.text
    for name, digest in manifest.files.items():
        assert f"{name} {digest}" in page.text
    assert len(results.test_set.openings) == 4
    for opening in results.test_set.openings:
        assert opening.reason in page.text
    assert "learning_rate = {" in page.text
    for function in ("_theory", "_search_part", "_refit_part", "_variants", "draw_landscapes"):
        assert page.text.count(f"def {function}(") == 1, "the code of every stage, once"


def test_at_most_24_figures_and_each_is_a_file_too(
    finished: Run, page: Page, results: Results
) -> None:
    document = compose(results, None, arrays(finished, results))
    displays = {display.name: display for display in document.displays()}
    names = {path.stem for path in (finished.path / "figures").iterdir()}
    assert names == set(displays)
    shown = {*page.figures}
    assert names - shown <= {"landscape-contour"}, "on paper in place of the interactive one"
    assert len(shown) <= 24
    for name, display in displays.items():
        assert display.title.endswith("?"), "a figure answers a question"
        assert {p.suffix for p in (finished.path / "figures").glob(f"{name}.*")} == {".svg", ".csv"}


def test_what_is_said_and_shown_has_its_source(page: Page) -> None:
    """Every figure, table of numbers and headline says on hover where it is from, and a list."""
    assert len(page.hints) > 35
    assert page.captions - len(page.hints) <= 4, "tables of words"
    for hint in page.hints:
        parts = hint.split(": ")
        lines = (f"{': '.join(parts[:i])} {': '.join(parts[i:])}" for i in range(1, len(parts)))
        assert any(line in page.text for line in lines), hint


@pytest.mark.slow
def test_the_same_answer_is_said_without_confidences(run: Run) -> None:
    """A run of an earlier version has none; the page says so and shows the rest."""
    arrays = run.read_arrays("refit/predictions.npz")
    for name in ("confidences", "mistakes", "mistake_inputs"):
        arrays.pop(name)
    run.write_arrays("refit/predictions.npz", arrays)
    page = built(run)
    assert "holds no confidences" in page.text
    assert "refit-calibration" not in page.figures
    assert "F1" in page.text


@pytest.mark.slow
def test_a_rebuild_gives_the_same_bytes(run: Run) -> None:
    first = write_report(run)[0].read_bytes()
    figures = {p.name: p.read_bytes() for p in (run.path / "figures").iterdir()}
    run.commit(run.read_results(), [])  # as the command line does: now it lists the report
    assert write_report(run)[0].read_bytes() == first
    assert {p.name: p.read_bytes() for p in (run.path / "figures").iterdir()} == figures


@pytest.mark.slow
def test_hostile_text_stays_text(run: Run) -> None:
    def change(results: Results) -> None:
        results.recipe = msgspec.structs.replace(results.recipe, title=HOSTILE)
        names = [HOSTILE, "日本", "$x$", *results.data.class_names[3:]]
        results.data = msgspec.structs.replace(
            results.data, name=HOSTILE, source=HOSTILE, class_names=names
        )
        assert results.search
        first, *rest = results.search.trials
        first = msgspec.structs.replace(first, reason=HOSTILE, outcome="failed")
        results.search = msgspec.structs.replace(results.search, trials=[first, *rest])

    page = changed(run, change)
    assert page.scripts == 5
    assert page.text.count(" ".join(HOSTILE.split())) >= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("theory", "The theory stage did not run."),
        ("search", "The search did not run."),
        ("refit", "The final training did not run."),
        ("variants", "The variants stage did not run."),
        ("landscape", "The landscape stage did not run."),
        ("autoencoder", "The autoencoder stage did not run."),
    ],
)
def test_a_stage_that_did_not_run_is_said_not_to_have(run: Run, stage: str, line: str) -> None:
    def change(results: Results) -> None:
        setattr(results, stage, None)
        results.seconds.pop(stage)

    page = changed(run, change)
    assert line in page.text and f"Not run: {stage}." in page.text
    assert page.text.count("did not run.") == 1


def test_a_run_without_anything(run: Run) -> None:
    def change(results: Results) -> None:
        for stage in list(results.seconds):
            setattr(results, stage, None)
        results.seconds.clear()
        results.test_set = msgspec.structs.replace(results.test_set, openings=[])

    (run.path / "manifest.json").unlink()
    page = changed(run, change)
    assert page.text.count("did not run.") == 6
    assert "The test set was never opened." in page.text
    assert page.scripts == 3


@pytest.mark.slow
def test_a_search_whose_trials_all_diverged(run: Run) -> None:
    def change(results: Results) -> None:
        assert results.search
        trials = [
            msgspec.structs.replace(
                t, outcome="diverged", reason="a loss was nan", validation_accuracy=None, curve=[]
            )
            for t in results.search.trials
        ]
        results.search = SearchResult(trials=trials, best=None, validation_examples=9)
        for stage in ("refit", "variants", "landscape"):
            setattr(results, stage, None)

    page = changed(run, change)
    assert "3 trials: 3 diverged. No best, as none completed." in page.text
    assert page.text.count("diverged: a loss was nan") == 3


@pytest.mark.slow
def test_an_interrupted_search_shows_its_finished_trials(run: Run) -> None:
    def change(results: Results) -> None:
        results.seconds.pop("search")
        search = msgspec.structs.replace(results.recipe.search, trials=40)
        results.recipe = msgspec.structs.replace(results.recipe, search=search)

    page = changed(run, change)
    assert "3 of 40 trials had finished" in page.text
    assert "All trials, the best first" in page.text


@pytest.mark.slow
def test_diverged_losses_are_not_numbers(run: Run) -> None:
    def change(results: Results) -> None:
        assert results.refit and results.landscape and results.autoencoder
        *epochs, last = results.refit.epochs
        last = msgspec.structs.replace(last, train_loss=None, train_loss_per_seed=[None, None])
        results.refit = msgspec.structs.replace(
            results.refit, epochs=[*epochs, last], test_accuracy=None, confusion=[],
            stopped=["seed 542 diverged: a loss was nan"],
        )  # fmt: skip
        (drawn,) = results.landscape.runs
        *path, end = drawn.path
        end = msgspec.structs.replace(end, true_loss=None, projected_loss=None)
        drawn = msgspec.structs.replace(drawn, path=[*path, end])
        results.landscape = msgspec.structs.replace(results.landscape, runs=[drawn], not_finite=1)
        results.autoencoder = msgspec.structs.replace(
            results.autoencoder, outcome="diverged", test_mse=None
        )

    arrays = run.read_arrays("landscape/surface.npz")
    arrays["loss"][0, 0] = np.inf
    run.write_arrays("landscape/surface.npz", arrays)
    page = changed(run, change)
    assert "seed 542 diverged: a loss was nan" in page.text
    assert "At 1 grid point the loss is not finite." in page.text
    assert "At the end the true loss is not finite" in page.text
    assert "The training diverged; there is no test error." in page.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["landscape/surface.npz", "autoencoder/images.npz"])
def test_a_missing_file_is_told(run: Run, name: str) -> None:
    (run.path / name).unlink()
    assert f"{name} is missing or damaged" in built(run).text


def test_a_directory_that_holds_no_run(run: Run) -> None:
    with pytest.raises(InputError, match="holds no run"):
        write_report(Run(run.path / "search"))
    assert not (run.path / "search" / "report.html").exists()
