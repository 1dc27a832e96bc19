"""Every score stands beside the network that reached it, where best and chosen differ too."""

import html
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from downslope.report import statements, summary
from downslope.report.arrays import Arrays
from downslope.report.comparison import Side, score_table
from downslope.report.display import Drawing
from downslope.report.document import compose
from downslope.report.export import exported
from downslope.report.formats import percent
from downslope.report.headline import answer, best, configuration, headline
from downslope.report.html import render_page
from downslope.report.statements import describe
from downslope.report.trials import candidate_table
from downslope.report.typst import render_source
from downslope.report.variants import VariantScores
from downslope.results import Results
from downslope.runs import Run
from downslope.search import Settings

NOTHING = Arrays(surface=None, joint=None, trials=None, images=None, predictions=None)


def reached(results: Results) -> dict[str, str]:
    """Pair scores, as they are written, with the network that reached them."""
    pairs: dict[str, str] = {}
    assert results.search and results.refit and results.variants and results.variants.refit
    for search, refit in (
        (results.search, results.refit),
        (results.variants.search, results.variants.refit),
    ):
        assert search.best and search.chosen and search.choice and refit.test_accuracy
        pairs[percent(search.best.validation_accuracy)] = describe(search.best)
        pairs[percent(search.choice.candidates[1].mean)] = describe(search.chosen)
        pairs[percent(refit.test_accuracy.mean)] = describe(refit)
    assert len(pairs) == 6
    return pairs


def sentences(text: str) -> Iterator[str]:
    """Split a text where a sentence, a cell, a row or a paragraph ends."""
    yield from re.split(r"(?<=[a-z)%])\.\s|\n\n|</p>|</td>|</h3>", html.unescape(text))


class Blank(dict[str, Drawing]):
    """Drawings of nothing, by any name: words alone are tested."""

    def __missing__(self, name: str) -> Drawing:
        return Drawing(name, "", "", "", "<svg></svg>", "")


def as_page(results: Results) -> str:
    page = render_page(compose(results, None, NOTHING), Blank())
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def as_typst(results: Results) -> str:
    return render_source(compose(results, None, NOTHING), Blank())


def as_closing_table(results: Results) -> str:
    return "\n\n".join(f"{label}: {text}" for label, text in summary(results))


def as_alternatives(results: Results) -> str:
    displays = compose(results, None, NOTHING).displays()
    return "\n\n".join(f"{display.alt}\n\n{display.caption}" for display in displays)


@pytest.mark.parametrize("text_of", [as_page, as_typst, as_closing_table, as_alternatives])
def test_a_score_and_a_network_in_one_sentence_belong_together(
    parted: Results, text_of: Callable[[Results], str]
) -> None:
    """The network that is named nearest to a score is the one that reached it."""
    pairs = reached(parted)
    networks, together = set(pairs.values()), set[str]()
    for sentence in sentences(text_of(parted)):
        for score, network in pairs.items():
            for match in re.finditer(re.escape(score), sentence):
                gaps = {
                    max(place.start() - match.end(), match.start() - place.end()): name
                    for name in networks
                    for place in re.finditer(re.escape(name), sentence)
                }
                if gaps:
                    assert gaps[min(gaps)] == network, sentence
                    together.add(score)
    tested = [
        r.test_accuracy for r in (parted.refit, parted.variants and parted.variants.refit) if r
    ]
    for accuracy in tested:
        assert accuracy and (percent(accuracy.mean) in together or text_of is as_alternatives)
    assert len(together) >= 2


def test_the_closing_table_and_the_page_describe_what_was_trained(parted: Results) -> None:
    assert parted.variants and parted.variants.refit and parted.variants.refit.test_accuracy
    trained = describe(parted.variants.refit)
    row = dict(summary(parted))["variants"]
    assert row.startswith(percent(parted.variants.refit.test_accuracy.mean))
    assert row.partition("; ")[2].startswith(f"of {trained}")
    fact = next(fact for fact in headline(parted) if fact.label == "variants")
    assert trained in fact.detail
    assert parted.refit and describe(parted.refit) in answer(parted)


def test_the_configuration_to_copy_is_the_best_on_validation_data(parted: Results) -> None:
    assert parted.variants and parted.search and parted.search.choice and parted.refit
    first = best(parted)
    assert first is not None and first[1] is parted.variants.refit
    higher = [msgspec.structs.replace(c, mean=0.99) for c in parted.search.choice.candidates]
    choice = msgspec.structs.replace(parted.search.choice, candidates=higher)
    parted.search = msgspec.structs.replace(parted.search, choice=choice)
    second = best(parted)
    assert second is not None and second[1] is parted.refit
    for _, trained in (first, second):
        fields = tomllib.loads(configuration(trained))["refit"]["choice"]
        inputs, outputs = (trained.member.network.widths[i] for i in (0, -1))
        member = Settings().replace(fields).member(inputs, outputs, trained.member.seed)
        assert member == trained.member


def test_where_the_settings_of_a_final_training_are_from_is_said(parted: Results) -> None:
    assert parted.search and parted.search.chosen and parted.refit
    number, member = parted.search.chosen.id, parted.refit.member
    assert statements.network(parted, "search").endswith(f"; the settings of trial {number}")
    training = msgspec.structs.replace(member.training, epochs=77)
    changed = msgspec.structs.replace(member, training=training)
    parted.refit = msgspec.structs.replace(parted.refit, member=changed)
    text = statements.network(parted, "search")
    assert "77 epochs" in text
    assert text.endswith(f"; the settings of trial {number} with epochs = 77")
    refit = msgspec.structs.replace(parted.recipe.refit, choice={"units": 3})
    parted.recipe = msgspec.structs.replace(parted.recipe, refit=refit)
    assert statements.network(parted, "search").endswith(
        "set by the recipe, whatever a search finds"
    )


def test_a_comparison_names_the_network_of_each_score(parted: Results, finished: Run) -> None:
    table = score_table({"A": Side(finished, parted, None, None)})
    cells = {row.cells[0]: row.cells[1] for row in table.rows}
    assert parted.refit and parted.variants and parted.variants.refit
    assert describe(parted.refit) in cells["final model"]
    assert describe(parted.variants.refit) in cells["variants"]
    assert parted.search and parted.search.best
    assert describe(parted.search.best) in cells["search"]
    assert percent(parted.search.best.validation_accuracy) in cells["search"]


def test_an_exported_score_has_the_settings_that_reached_it(parted: Results, finished: Run) -> None:
    members = {member.name: member for member in exported(finished, parted)}
    assert parted.variants and parted.variants.refit
    for name, refit in (("refit", parted.refit), ("variants-refit", parted.variants.refit)):
        assert refit and refit.test_accuracy
        for seed, accuracy in zip(refit.seeds, refit.test_accuracy.per_seed, strict=True):
            member = members[f"{name}/seed-{seed}"]
            assert member.scores["test_accuracy"] == accuracy
            assert tuple(member.settings["widths"]) == refit.member.network.widths
            assert member.settings["learning_rate"] == refit.member.training.learning_rate


def test_every_percentage_of_the_closing_table_is_a_number_of_the_results(parted: Results) -> None:
    numbers = set(leaves(msgspec.to_builtins(parted)))
    known = {percent(n, digits) for n in numbers for digits in (0, 1, 2)}
    for label, text in summary(parted):
        for match in re.finditer(r"\d+(\.\d+)? %", text.replace("95 %", "")):
            # Of an interval only the end has the sign.
            assert match[0] in known, (label, match[0])


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, int | float) and np.isfinite(value):
        yield float(value)


def test_a_band_is_said_to_cover_what_its_interval_covers(results: Results) -> None:
    assert results.refit and results.variants and results.variants.refit
    refit, variant = results.refit, results.variants.refit
    assert refit.test_accuracy
    refits = {"baseline": refit, "chosen variant": variant}
    assert VariantScores(refits).caption.endswith(
        "its 95 % interval over seeds and test examples (band)."
    )
    older = msgspec.structs.replace(refit.test_accuracy, interval_method="wilson")
    refits["baseline"] = msgspec.structs.replace(refit, test_accuracy=older)
    assert VariantScores(refits).caption.endswith(
        "(band): over test examples for baseline; over seeds and test examples for chosen variant."
    )
    assert VariantScores({"baseline": refits["baseline"]}).caption.endswith(
        "its 95 % interval over test examples (band)."
    )


def test_intervals_of_candidates_are_of_accuracies_and_named(parted: Results) -> None:
    search = parted.search
    assert search and search.choice
    first, second = search.choice.candidates
    for method, over in (("t", "trainings"), ("crossed", "trainings and examples")):
        wide = msgspec.structs.replace(first, interval=(0.95, 1.003), interval_method=method)
        choice = msgspec.structs.replace(search.choice, candidates=[wide, second])
        table = candidate_table(msgspec.structs.replace(search, choice=choice), "variants")
        assert table.columns[3].heading == f"95 % interval over {over}"
        assert table.rows[0].cells[3] == "95.00 to 100.00 %"
        assert table.source and over in table.source.how
        assert table.source.place == "results.json: variants.search.choice"


def test_what_sets_the_variant_apart_is_what_differs(results: Results) -> None:
    assert results.refit and results.variants and results.variants.refit
    text = html.unescape(as_page(results))
    said = re.search(r"the variant differs from it in ([^.]+)\.", text)
    own, other = map(statements.fields, (results.refit, results.variants.refit))
    names = {name for name in own if own[name] != other[name]}
    assert said is not None and len(said[1].split(", ")) == len(names)
    assert ("hidden layers" in said[1]) == ("widths" in names)
    assert ("batch size" in said[1]) == ("batch_size" in names)


def test_means_of_the_autoencoder_are_over_the_seeds_that_completed(results: Results) -> None:
    coder = results.autoencoder
    assert coder and coder.pca_test_mse
    results.autoencoder = msgspec.structs.replace(
        coder, seeds=[5, 6, 7], test_mses=[0.02, None, 0.04], test_mse=0.03,
        first_losses=[0.1, 9.0, 0.3], last_losses=[0.02, 8.0, 0.04],
    )  # fmt: skip
    text = re.sub(r"<[^>]*>", "", html.unescape(as_page(results)))
    assert "Training error 0.20000 ± 0.14142 in the first epoch and 0.03000 ± 0.01414" in text
    assert "test error 0.03000 ± 0.01414 (mean ± standard deviation of 2 seeds)" in text


def test_errors_of_one_seed_and_means_of_several_are_told_apart(results: Results) -> None:
    coder = results.autoencoder
    assert coder
    coder = msgspec.structs.replace(coder, test_mses=[0.02, None, 0.04], seeds=[5, 6, 7], dead=3)
    results.autoencoder = coder
    captions = {d.name: d.caption for d in compose(results, None, NOTHING).displays()}
    training = captions["autoencoder-training"]
    assert f"(seed {coder.member.seed}) and on the test set (mean of 2 seeds)" in training
    for text in (html.unescape(as_page(results)), as_typst(results)):
        assert "errors by class and example belong to the first seed that completed" in text
