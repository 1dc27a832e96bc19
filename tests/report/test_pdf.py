import dataclasses
import io
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from pypdf import PdfReader

from downslope.report import write_report
from downslope.report.arrays import arrays
from downslope.report.display import Drawing, draw_all
from downslope.report.document import compose
from downslope.report.typst import Paper, compile_source, render_source
from downslope.results import Results
from downslope.runs import Run
from downslope.search import SearchResult

HOSTILE = '"]); #panic("x") $ */ {{ x }} \\ *bold* <script>'


def words(reader: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


@pytest.fixture(scope="session")
def drawings(finished: Run) -> dict[str, Drawing]:
    results = finished.read_results()
    return draw_all(compose(results, None, arrays(finished, results)).displays())


@pytest.fixture(scope="session")
def printed(finished: Run, drawings: dict[str, Drawing]) -> PdfReader:
    results = finished.read_results()
    document = compose(results, finished.read_manifest(), arrays(finished, results))
    return PdfReader(io.BytesIO(compile_source(render_source(document, drawings), drawings)))


Changed = Callable[[Callable[[Results], None]], str]


@pytest.fixture
def changed(results: Results, finished: Run, drawings: dict[str, Drawing]) -> Changed:
    """Print a changed run and return what it says; its figures stay those of the run."""

    def build(change: Callable[[Results], None]) -> str:
        stored = arrays(finished, results)
        change(results)
        document = compose(results, finished.read_manifest(), stored)
        return words(
            PdfReader(io.BytesIO(compile_source(render_source(document, drawings), drawings)))
        )

    return build


def test_every_stage_shows_its_numbers(printed: PdfReader, results: Results) -> None:
    text = words(printed)
    assert results.refit and results.refit.test_accuracy and results.search
    assert results.landscape and results.autoencoder and results.theory
    assert f"{100 * results.refit.test_accuracy.mean:.2f} %" in text
    for epoch in results.refit.epochs:
        assert f"{epoch.train_loss:.4f}" in text
    for trial in results.search.trials:
        assert f"{100 * (trial.validation_accuracy or 0):.2f} %" in text
    for step in results.theory.steps:
        assert step.source.split(",")[0] in text
    assert f"{results.landscape.path[-1].true_loss:.4f}" in text
    assert f"{results.autoencoder.test_mse:.4g}" in text
    for opening in results.test_set.openings:
        assert opening.reason in text
    assert results.data.sha256 in text
    assert "yield from" in text, "the code of the stages"


def test_it_is_set_for_readers_who_listen(printed: PdfReader) -> None:
    """PDF/UA-1: alternative texts, structure, language, title; typst refuses what lacks one."""
    assert printed.trailer["/Root"]["/Lang"] == "en"  # type: ignore[index]
    assert printed.trailer["/Root"]["/MarkInfo"]["/Marked"]  # type: ignore[index]
    xmp = printed.xmp_metadata
    assert xmp is not None and b"pdfuaid" in xmp.stream.get_data()
    assert printed.metadata and printed.metadata.title == "Handwritten digits, quickly"


@pytest.mark.parametrize(("paper", "size"), [("a4", (595.28, 841.89)), ("letter", (612, 792))])
def test_paper_sizes_and_the_same_bytes_again(
    run: Run, paper: Paper, size: tuple[float, float]
) -> None:
    content = write_report(run, ["pdf"], paper)[0].read_bytes()
    box = PdfReader(io.BytesIO(content)).pages[0].mediabox
    assert (float(box.width), float(box.height)) == pytest.approx(size, abs=0.01)
    assert write_report(run, ["pdf"], paper)[0].read_bytes() == content


@pytest.mark.slow
def test_text_from_data_stays_text(changed: Changed) -> None:
    def change(results: Results) -> None:
        results.recipe = replace(results.recipe, title=HOSTILE)
        results.data.class_names[:2] = [HOSTILE, "日本語"]
        assert results.theory
        results.theory.steps[0] = replace(results.theory.steps[0], assumptions=(HOSTILE,))

    text = changed(change)
    assert text.count('#panic("x")') >= 3


@pytest.mark.slow
def test_equations_that_cannot_be_set_are_shown_as_latex(changed: Changed) -> None:
    def change(results: Results) -> None:
        assert results.theory
        results.theory.steps[0] = replace(results.theory.steps[0], statement=r"\nosuch{#1} $x$")

    assert r"\nosuch{#1} $x$" in changed(change)


def test_runs_with_missing_stages(changed: Changed) -> None:
    def change(results: Results) -> None:
        results.theory = results.search = results.refit = results.variants = None
        results.landscape = results.joint_landscape = results.trials_landscape = None
        results.autoencoder = None
        results.seconds.clear()

    text = changed(change)
    for said in ("The theory stage did not run", "The search did not run", "no stage finished"):
        assert said in text


@pytest.mark.slow
def test_a_run_whose_trials_all_diverged(changed: Changed) -> None:
    def change(results: Results) -> None:
        assert results.search
        gone = [
            replace(
                t, outcome="diverged", reason="loss not finite", validation_accuracy=None, curve=[]
            )
            for t in results.search.trials
        ]
        results.search = SearchResult(trials=gone, best=None, validation_examples=9)
        results.refit = results.variants = results.landscape = results.joint_landscape = None

    text = changed(change)
    assert "No best, as none completed" in text
    assert "What to try" in text


def test_damaged_arrays_are_said(
    finished: Run, results: Results, drawings: dict[str, Drawing]
) -> None:
    stored = dataclasses.replace(arrays(finished, results), surface=None, images=None)
    text = render_source(compose(results, None, stored), drawings)
    assert "landscape/surface.npz is missing or damaged" in text
    assert "autoencoder/images.npz is missing or damaged" in text
