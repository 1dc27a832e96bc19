"""The sections of the searches: figures by their frames, tables, sentences."""

import html as markup
import re
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from downslope.report import html, search, typst, variants
from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Document, Finder, Paragraph, Section, Table, walk, words
from downslope.report.display import Drawing
from downslope.report.formats import percent
from downslope.report.statements import describe
from downslope.report.trials import budget_table, candidate_table, choice, trial_table
from downslope.results import Results
from downslope.search import (
    Candidate,
    Choice,
    Range,
    SearchResult,
    Settings,
    Space,
    Trial,
    TrialEpoch,
    importances,
)

NOTHING = Arrays(surface=None, joint=None, trials=None, images=None, predictions=None)


def trial(number: int, accuracy: float | None, **settings: object) -> Trial:
    changed = Settings().replace(settings)
    return Trial(
        id=number,
        settings=changed,
        member=changed.member(4, 3, seed=number),
        outcome="diverged" if accuracy is None else "completed",
        reason="",
        validation_accuracy=accuracy,
        validation_loss=None,
        train_loss=None,
        curve=[],
        seconds=1.0,
    )


def stopped(number: int, outcome: str, accuracy: float, **settings: object) -> Trial:
    point = TrialEpoch(epoch=1, train_loss=1.0, validation_loss=1.0, validation_accuracy=accuracy)
    return msgspec.structs.replace(
        trial(number, None, **settings), outcome=outcome, curve=[point], reason="why"
    )


def searched(*trials: Trial) -> SearchResult:
    best = max(
        (t for t in trials if t.validation_accuracy is not None),
        key=lambda t: t.validation_accuracy or 0,
        default=None,
    )
    return SearchResult(trials=list(trials), best=best, validation_examples=10)


def legend(figure: Figure) -> list[str]:
    drawn = figure.axes[0].get_legend()
    assert drawn is not None
    return [text.get_text() for text in drawn.get_texts()]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def said(blocks: list[Block]) -> str:
    return " ".join(words(b.text) for b in walk(blocks) if isinstance(b, Paragraph))


def test_learning_curves_mark_best_chosen_and_diverged(parted: Results) -> None:
    assert parted.search and parted.search.best and parted.search.chosen
    curves = search.Curves(parted.search)
    standings = dict(zip(curves.frame()["standing"], curves.frame()["trial"], strict=True))
    assert standings["best"] == parted.search.best.id
    assert standings["chosen"] == parted.search.chosen.id
    figure = curves.plot()
    assert legend(figure) == ["best of the search", "chosen", "other trials"]
    marks = [line.get_gid() for line in figure.axes[0].lines if line.get_gid()]
    assert marks[-2:] == [f"trials-{standings['best']}", f"trials-{standings['chosen']}"]
    first, *rest = parted.search.trials[::-1]
    lost = msgspec.structs.replace(first, outcome="diverged", validation_accuracy=None)
    changed = msgspec.structs.replace(parted.search, trials=[*rest, lost])
    names = ["best of the search", "chosen", "diverged or failed"]
    assert legend(search.Curves(changed).plot()) == names


def test_pruned_curves_are_told_from_diverged_ones() -> None:
    figure = search.Curves(searched(stopped(0, "pruned", 0.5), stopped(1, "diverged", 0.2))).plot()
    assert legend(figure) == ["pruned", "diverged or failed"]


def test_accuracies_are_written_along_an_axis_of_errors() -> None:
    trials = [stopped(0, "pruned", 0.1), stopped(1, "pruned", 0.98), stopped(2, "pruned", 1.0)]
    axes = search.Curves(searched(*trials)).plot().axes[0]
    assert axes.yaxis_inverted() and axes.get_yscale() == "log"
    label = axes.yaxis.get_major_formatter()
    assert [label(error, 0) for error in (2, 30)] == ["98", "70"]
    heights = [float(line.get_ydata()[0]) for line in axes.lines if line.get_gid()]  # type: ignore[arg-type, index]
    assert {round(height, 2) for height in heights} == {90.0, 2.0, 0.05}


def test_settings_are_placed_by_value_and_by_word() -> None:
    trials = [
        trial(i, 0.5 + i / 50, learning_rate=10.0 ** -(i % 8), activation=("relu", "elu")[i % 2])
        for i in range(16)
    ]
    slices = search.Slices(searched(*trials, trial(16, None, learning_rate=1.0)))
    frame = slices.frame()
    assert frame.columns[4:] == ("activation", "learning rate")
    assert frame["learning rate"][:8] == [10.0**-i for i in range(8)]
    activation, rate = slices.plot().axes
    assert [label.get_text() for label in activation.get_xticklabels()] == ["elu", "relu"]
    points = activation.lines[0].get_xdata()
    assert list(points)[:2] == [1.0, 0.0]  # type: ignore[arg-type]
    assert rate.get_xscale() == "log"
    cross = rate.lines[-1]
    assert cross.get_gid() == "trials-16" and cross.get_marker() == "x"
    assert "Crosses: diverged or failed." in slices.caption


def test_what_matters_most_comes_first() -> None:
    trials = [trial(i, 0.5 + i / 50, units=10 + i, dropout=i / 20) for i in range(9)]
    whole = msgspec.structs.replace(searched(*trials), importances={"dropout": 0.8, "units": 0.2})
    assert search.Slices(whole).frame().columns[4:] == ("dropout", "units per layer")


def test_enormous_rates_are_drawn_and_listed() -> None:
    rates = [1e38, 1e-37, *(10.0**-i for i in range(6))]
    whole = searched(*(trial(i, 0.5 + i / 50, learning_rate=r) for i, r in enumerate(rates)))
    slices = search.Slices(whole)
    assert "1e+38" in slices.frame().csv()
    slices.plot().canvas.draw()
    assert "1e+38" in [cell for row in trial_table(whole, "search").rows for cell in row.cells]


def test_importances_find_the_setting_that_matters() -> None:
    generator = np.random.default_rng(0)
    space = Space(
        base=Settings(),
        values={"learning_rate": Range(low=1e-4, high=1.0, log=True), "units": [10, 20, 40]},
    )
    trials: list[Trial] = []
    for i in range(40):
        rate, units = float(10 ** generator.uniform(-4, 0)), int(generator.choice([10, 20, 40]))
        accuracy = 0.9 - 0.05 * (np.log10(rate) + 2) ** 2 + 0.0002 * units
        trials.append(trial(i, float(accuracy), learning_rate=rate, units=units))
    shares = importances(trials, space)
    assert list(shares) == ["learning_rate", "units"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["learning_rate"] > 0.8
    assert importances(trials, space) == shares
    assert importances(trials[:9], space) == {}
    display = search.Importances(msgspec.structs.replace(searched(*trials), importances=shares))
    assert display.frame()["hyperparameter"] == ["learning rate", "units per layer"]
    assert "learning rate" in texts(display.plot())


def test_the_chosen_trial_is_the_bold_one(parted: Results) -> None:
    assert parted.search and parted.search.best and parted.search.chosen
    figure = variants.Ranking(parted.search).plot()
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_fontweight() == "bold"]
    accuracy = parted.search.chosen.validation_accuracy or 0
    assert bold == [f"{100 * accuracy:.2f} chosen"]
    rows = trial_table(parted.search, "search").rows
    assert [row.cells[0] for row in rows if row.mark == "best"] == [str(parted.search.chosen.id)]
    assert {row.cells[-1]: row.cells[0] for row in rows}["best"] == str(parted.search.best.id)


def test_trials_are_listed_best_first_and_stopped_last() -> None:
    table = trial_table(searched(trial(0, None), trial(1, 0.3), trial(2, 0.9)), "search")
    assert [row.cells[0] for row in table.rows] == ["2", "1", "0"]
    assert [row.mark for row in table.rows] == ["best", "", "stopped"]
    assert table.rows[2].cells[-1] == "diverged (epoch 0 of 20)"
    assert [row.trial for row in table.rows] == ["search-2", "search-1", "search-0"]


def test_only_what_varies_has_a_column() -> None:
    same = [
        c.heading for c in trial_table(searched(trial(0, 0.5), trial(1, 0.6)), "search").columns
    ]
    assert "batch" not in same and "activation" not in same
    trials = trial(0, 0.5), trial(1, 0.6, batch_size=8, activation="elu")
    headings = [c.heading for c in trial_table(searched(*trials), "search").columns]
    assert {"batch", "activation"} == {*headings} - {*same}


def test_variants_are_ranked() -> None:
    trials = trial(0, None), trial(1, 0.3), trial(2, 0.9, dropout=0.2)
    ranking = variants.Ranking(searched(*trials))
    assert ranking.frame().rows == [
        (2, "3×40, relu, dropout 0.2", "best", 0.9),
        (1, "3×40, relu", "", 0.3),
    ]
    assert "90.00 best" in texts(ranking.plot())
    assert "of 2 variants that completed in" in ranking.texts().caption
    many = variants.Ranking(searched(*(trial(i, i / 40) for i in range(20))))
    assert many.frame()["trial"] == list(range(19, 19 - variants.MOST, -1))
    assert f"the {variants.MOST} best of 20 variants in" in many.texts().caption


def test_a_pruned_trial_says_when_and_on_selection_why() -> None:
    pruned = msgspec.structs.replace(stopped(0, "pruned", 0.5), reason="rank 2 of 2")
    *_, row = trial_table(searched(trial(1, 0.9), pruned), "search").rows
    assert row.cells[-1] == "pruned (epoch 1 of 20)"
    assert row.about.endswith("; rank 2 of 2")


def test_test_accuracies_are_shown_by_seed_with_their_interval(parted: Results) -> None:
    assert parted.refit and parted.variants and parted.variants.refit
    refits = {"baseline": parted.refit, "chosen variant": parted.variants.refit}
    display = variants.VariantScores(refits)
    for name, refit in refits.items():
        assert refit.test_accuracy
        shown = display.frame().where(name=name)
        assert shown["test accuracy"] == refit.test_accuracy.per_seed
        mean = (refit.test_accuracy.mean, *refit.test_accuracy.interval)
        assert shown.rows[0][3:] == mean
        assert f"{name} ({describe(refit)}) {percent(mean[0])}" in display.alt
    alone = variants.VariantScores({"chosen variant": parted.variants.refit})
    assert "baseline" not in texts(alone.plot()) and "baseline" not in alone.alt


def test_the_choice_tells_what_retraining_shows() -> None:
    made = Choice(
        evidence="second",
        examples=50,
        seeds=2,
        candidates=[
            Candidate(trial=1, accuracies=[0.6, 0.62], mean=0.61, interval=None, stopped=[]),
            Candidate(trial=0, accuracies=[], mean=None, interval=None, stopped=["seed 3 failed"]),
        ],
        chosen=1,
        selection_bias=0.04,
        selection_bias_interval=(-0.09, 0.17),
    )
    trials = trial(0, 0.5), trial(1, 0.65)

    def choose(**changes: object) -> SearchResult:
        changed = msgspec.structs.replace(made, **changes)
        return msgspec.structs.replace(searched(*trials), choice=changed)

    table = candidate_table(choose(), "search")
    assert [row.mark for row in table.rows] == ["best", ""]
    assert "seed 3 failed" in table.rows[1].cells[4]
    text = choice(choose())
    assert "on 50 validation examples that had ranked nothing" in text
    assert "as the best of 2 means, it is slightly too high" in text
    assert "it scored 4.00 points above its new mean" in text
    assert "95 % interval of this selection bias −9.00 to +17.00" in text
    assert text.endswith("so there is no evidence of a lucky seed.")
    assert "1.00 points below its new mean" in choice(choose(selection_bias=-0.01))
    assert choice(choose(selection_bias_interval=(0.01, 0.07))).endswith("so its seed was lucky.")
    assert choice(choose(selection_bias_interval=None)).endswith("above its new mean.")
    other = choice(choose(candidates=made.candidates[::-1], selection_bias=None))
    assert f"Trial 1 ({describe(trials[1])}) was chosen with a mean of 61.00 %" in other
    assert other.endswith("No new training of trial 0 completed.")
    none = choice(choose(candidates=made.candidates[1:], chosen=None, selection_bias=None))
    assert none.endswith("No training completed, so trial 1 stays.")
    assert "in 2-fold cross-validation over all" in choice(choose(evidence="folds"))


def test_tables_tell_what_stopped_and_what_it_cost() -> None:
    whole = searched(stopped(0, "pruned", 0.5), stopped(1, "diverged", 0.2), trial(2, 0.7))
    outcomes = {row.cells[0]: row.cells[-1] for row in trial_table(whole, "search").rows}
    assert outcomes["1"] == "diverged: why (epoch 1 of 20)"
    assert [row.cells[:4] for row in budget_table(whole).rows] == [
        ["completed", "1", "0", "20"],
        ["pruned", "1", "1", "20"],
        ["diverged", "1", "1", "20"],
        ["all", "3", "2", "60"],
    ]
    marks = {row.cells[0]: row.mark for row in trial_table(whole, "search").rows}
    assert marks == {"2": "best", "0": "", "1": "stopped"}


def test_trials_at_chance_are_counted() -> None:
    whole = msgspec.structs.replace(
        searched(trial(0, 0.1), trial(1, 0.11), trial(2, 0.5)), validation_examples=1000
    )
    assert search.at_chance(whole, [100] * 10).startswith("2 of the completed trials did no better")
    assert search.at_chance(whole, [50, 950]).startswith("3 of the completed trials")


def test_a_search_whose_trials_all_diverged(results: Results) -> None:
    assert results.search
    trials = [
        msgspec.structs.replace(
            t, outcome="diverged", reason="a loss was nan", validation_accuracy=None, curve=[]
        )
        for t in results.search.trials
    ]
    results.search = SearchResult(trials=trials, best=None, validation_examples=9)
    section = list(search.blocks(results, NOTHING))
    text = said(section)
    assert "3 trials: 3 diverged. No best, as none completed." in text
    assert "What to try: none of 3 trials completed (3 diverged) at learning rates from" in text
    table = next(b for b in section if isinstance(b, Table))
    assert [row.cells[-1][:24] for row in table.rows] == ["diverged: a loss was nan"] * 3
    assert Document("", "", [], [Section("search", "", section)]).displays() == []


def test_an_interrupted_search_shows_its_finished_trials(results: Results) -> None:
    results.seconds.pop("search")
    search_recipe = msgspec.structs.replace(results.recipe.search, trials=40)
    results.recipe = msgspec.structs.replace(results.recipe, search=search_recipe)
    section = list(search.blocks(results, NOTHING))
    assert "3 of 40 trials had finished" in said(section)
    assert any(isinstance(b, Table) and b.caption == "All trials, the best first" for b in section)


def test_a_search_without_trials_says_so(results: Results) -> None:
    results.search = SearchResult(trials=[], best=None, validation_examples=9)
    section = list(search.blocks(results, NOTHING))
    assert "0 trials: none finished." in said(section)
    assert not any(isinstance(block, Finder) for block in section)


def stub(section: Section) -> dict[str, Drawing]:
    displays = Document("", "", [], [section]).displays()
    svg = '<svg viewBox="0 0 1 1"></svg>'
    return {d.name: Drawing(d.name, d.title, d.caption, d.alt, svg, "") for d in displays}


def on_page(section: Section) -> str:
    return markup.unescape(html.render_section(section, stub(section)))


def on_paper(section: Section) -> str:
    return typst.render_section(section, stub(section))


@pytest.mark.parametrize("render", [on_page, on_paper])
def test_a_score_and_a_network_in_one_sentence_belong_together(
    parted: Results, render: Callable[[Section], str]
) -> None:
    """The network that is named nearest to a score is the one that reached it."""
    assert parted.search and parted.variants and parted.variants.refit
    pairs: dict[str, str] = {}
    for result in (parted.search, parted.variants.search):
        assert result.best and result.chosen and result.choice
        pairs[percent(result.best.validation_accuracy)] = describe(result.best)
        pairs[percent(result.choice.candidates[1].mean)] = describe(result.chosen)
    accuracy = parted.variants.refit.test_accuracy
    assert accuracy
    pairs[percent(accuracy.mean)] = describe(parted.variants.refit)
    assert len(pairs) == 5
    together: set[str] = set()
    for name, blocks in (("search", search.blocks), ("variants", variants.blocks)):
        for sentence in sentences(render(Section(name, name, list(blocks(parted, NOTHING))))):
            for score, network in pairs.items():
                for match in re.finditer(re.escape(score), sentence):
                    gaps = {
                        max(place.start() - match.end(), match.start() - place.end()): other
                        for other in {*pairs.values()}
                        for place in re.finditer(re.escape(other), sentence)
                    }
                    if gaps:
                        assert gaps[min(gaps)] == network, sentence
                        together.add(score)
    assert together == {*pairs}


def sentences(text: str) -> Iterator[str]:
    """Split a text where a sentence, a cell, a row or a paragraph ends."""
    yield from re.split(r"(?<=[a-z)%])\.\s|\n\n|</p>|</td>|</tr>|</dd>|\(\[|\], \[", text)
