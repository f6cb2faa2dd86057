"""The comparison with the reference numbers, and its table."""

import html
import json

import numpy as np
import pytest

import data
from data.comparison import _NUMBERS, MIME_TYPE, Comparison, Row

EIGENVALUES = "first_10_eigenvalues_ddof1"
LIKELIHOOD = "log_likelihood_after_50_steps"
NOT_COMPARED = {"note", "write_up_wall_seconds"}  # what the reference holds beside numbers


def test_every_number_of_the_reference_has_its_words():
    for section, numbers in _NUMBERS.items():
        assert set(data.reference(section)) - NOT_COMPARED == set(numbers)
    labels = [number.label for numbers in _NUMBERS.values() for number in numbers.values()]
    assert len(set(labels)) == len(labels)


def test_every_tolerance():
    kept = {
        "1e-09": ("kmeans.training", "kmeans.mean", "kmeans.compression", "gmm.mean"),
        "1e-06 relative": "gmm.log",
        "0.005": ("gmm.pi", "gmm.mu", "gmm.sigma"),
        "1e-08 relative": ("pca.first", "pca.reduction"),
        "1e-05": "ica.W",
        "1.5": "cvae.plain_loop_test",
        "0.04": "cvae.plain_loop_label",
    }
    for section, numbers in _NUMBERS.items():
        everything = {name: data.reference(section)[name] for name in numbers}
        for row in data.compare(section, everything, "original"):
            told = [words for words, names in kept.items() if row.name.startswith(names)]
            assert [row.tolerance] == (told or ["exact"]), row.name


def off(change):
    return lambda x: np.array(x) + change


@pytest.mark.parametrize(
    ("section", "name", "change", "difference", "verdict"),
    [
        ("kmeans", "mean_pixel_error_float", off(5e-10), "5e-10", "agrees"),
        ("kmeans", "mean_pixel_error_float", off(5e-9), "5e-09", "DIFFERS"),
        ("kmeans", "mean_pixel_error_float", off(np.nan), "nan", "DIFFERS"),
        ("kmeans", "final_counts", np.array, "0", "agrees"),
        ("kmeans", "final_counts", lambda x: np.array(x).astype(np.uint8), "1.54e+03", "DIFFERS"),
        ("kmeans", "final_counts", lambda x: np.r_[x[:-1], 1138], "1", "DIFFERS"),
        ("kmeans", "final_counts", lambda x: x[0], "shape (), not (16,)", "DIFFERS"),
        ("kmeans", "final_counts", lambda x: x[:-1], "shape (15,), not (16,)", "DIFFERS"),
        ("gmm", LIKELIHOOD, lambda x: x * (1 + 9e-7), "9e-07 relative", "agrees"),
        ("gmm", LIKELIHOOD, lambda x: x * (1 - 2e-6), "2e-06 relative", "DIFFERS"),
        ("gmm", "mean_pixel_error_float", lambda x: x * (1 + 9e-7), "4.34e-05", "DIFFERS"),
        ("gmm", "mu", off(0.0049), "0.0049", "agrees"),
        ("gmm", "mu", off(0.006), "0.006", "DIFFERS"),
        ("gmm", "pi", off(-0.006), "0.006", "DIFFERS"),
        ("gmm", "sigma", off(-0.006), "0.006", "DIFFERS"),
        ("pca", "components_95", off(0), "0", "agrees"),
        ("pca", "components_95", off(1), "1", "DIFFERS"),
        ("pca", EIGENVALUES, lambda x: np.array(x) * 2413 / 2414, "0.000414 relative", "DIFFERS"),
        ("ica", "W", off(9e-6), "9e-06", "agrees"),
        ("ica", "W", lambda x: np.array(x).T, "30.8", "DIFFERS"),
        ("cvae", "layers", tuple, "0 of 7 differ", "agrees"),
        ("cvae", "layers", lambda x: x[::-1], "6 of 7 differ", "DIFFERS"),
        ("cvae", "plain_loop_test_negative_elbo_nats", lambda x: max(x) + 1.4, "1.4", "agrees"),
        ("cvae", "plain_loop_test_negative_elbo_nats", lambda x: min(x) - 1.6, "1.6", "DIFFERS"),
        ("cvae", "plain_loop_label_fidelity_of_prior_samples", lambda x: 0.81, "0.0495", "DIFFERS"),
    ],
)
def test_compare(section, name, change, difference, verdict):
    ours = {name: change(data.reference(section)[name])}
    (row,) = data.compare(section, ours, "original")
    assert (row.difference, row.verdict) == (difference, verdict)
    assert row.name == f"{section}.{name}"
    for source, given, why in [
        ("stand-in", True, "stand-in data, not compared"),
        ("original", False, "another setting, not compared"),
        ("stand-in", np.False_, "another setting, not compared"),
    ]:
        (other,) = data.compare(section, ours, source, given=given)
        assert other == row._replace(difference="", verdict=why)


def test_a_row_in_full():
    ours = {"mean_pixel_error_uint8_arithmetic": 14.608029625}
    (row,) = data.compare("kmeans", ours, "original")
    assert row == Row(
        problem="1(b)",
        name="kmeans.mean_pixel_error_uint8_arithmetic",
        label="mean pixel error of k-means, K = 16, uint8 arithmetic",
        unit="levels",
        reference="14.60802962",
        ours="14.60802963",
        difference="9.82e-09",
        tolerance="1e-09",
        verdict="DIFFERS",
    )


def test_compare_takes_a_dict_apart():
    name = "training_mean_error_by_iteration"
    ours = data.reference("kmeans")[name]
    ours["49"] += 1
    rows = data.compare("kmeans", {name: ours}, "original")
    assert [row.name for row in rows] == [f"kmeans.{name}[{i}]" for i in (0, 1, 49)]
    assert [row.label.split()[-1] for row in rows] == ["0", "1", "49"]
    assert [row.verdict for row in rows] == ["agrees", "agrees", "DIFFERS"]
    assert rows[2][4:8] == ("19.49019237", "20.49019237", "1", "1e-09")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("lda", {"W": 1}, "original"), KeyError, "one of kmeans, gmm, pca, ica, cvae, got 'lda'"),
        (({"W": 1}, "ica", "original"), KeyError, "section must be one of .*, got {'W': 1}"),
        (("ica", 14.6, "original"), TypeError, "ours must be a dict of names and values, got 14.6"),
        (("ica", {}, "original"), TypeError, "ours must be a dict of names and values, got {}"),
        (("ica", {"W": 1}, "originals"), ValueError, "source must be .*, got 'originals'"),
        (("ica", {"W": 1}, np.eye(2)), ValueError, r"source must be .*, got array\("),
        (("pca", {"components_90": 1}, "original"), KeyError, "'components_90' .* has .*nts_95"),
        (("ica", {"note": "x"}, "original"), KeyError, "no number 'note' to compare"),
        (("ica", {"W": None}, "original"), TypeError, r"ica\.W must hold real numbers, got None"),
        (("ica", {"W": "72.15"}, "original"), TypeError, "must hold real numbers, got '72.15'"),
        (("ica", {"W": 1j * np.eye(5)}, "original"), TypeError, r"real numbers, got array\("),
        (("ica", {"W": True}, "original"), TypeError, "real numbers, got True"),
        (("ica", {"W": [[1], [2, 3]]}, "original"), ValueError, "W cannot be read as an array"),
        (("cvae", {"layers": 7}, "stand-in"), TypeError, r"cvae\.layers must hold text, got 7"),
    ],
)
def test_arguments_of_compare(arguments, error, words):
    with pytest.raises(error, match=words):
        data.compare(*arguments)


@pytest.mark.parametrize("ours", [3.0, {"0": 1.0, "1": 1.0}, {0: 1.0, 1: 1.0, 49: 1.0}])
def test_steps_must_be_those_of_the_reference(ours):
    with pytest.raises(KeyError, match="takes a dict of values for '0', '1', '49', got "):
        data.compare("kmeans", {"training_mean_error_by_iteration": ours}, "original")


def test_given_must_be_true_or_false():
    with pytest.raises(TypeError, match="given must be True or False, got 'K = 4'"):
        data.compare("ica", {"W": np.eye(5)}, "original", given="K = 4")


def test_callers_cannot_change_the_reference():
    data.reference("pca").clear()
    assert data.reference("pca")["components_95"] == 43


def test_comparison_shows_as_a_table():
    numbers = {"components_95": 43, EIGENVALUES: np.arange(10.0)}
    assert repr(data.compare("pca", numbers, "stand-in")).splitlines() == [
        "problem  number                                           reference"
        "                                ours                 difference"
        "  tolerance       verdict",
        "3(e)     components for 95 % of the variance              43"
        "                                       43                            "
        "   exact           stand-in data, not compared",
        "3(c)     first ten eigenvalues, with 1/(N - 1) (levels²)  "
        "2719333.895 ... 49197.08114 (10 values)  0 ... 9 (10 values)            "
        "  1e-08 relative  stand-in data, not compared",
    ]
    for array, shown in [([1, 2, 3], "1, 2, 3"), (range(4), "0 ... 3 (4 values)")]:
        assert data.compare("ica", {"W": array}, "original")[0].ours == shown
    assert data.compare("ica", {"W": np.eye(5)}, "original")[0].ours == "1 ... 1 (5 x 5)"


def test_the_table_is_escaped_and_its_rows_travel():
    tricky = Comparison([Row("<b>&", "", '"', "", "1", "2", "<script>", "&lt;", "agrees")])
    bundle = tricky._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(tricky)
    cells = [html.escape(cell) for cell in ("<b>&", '"', "1", "2", "<script>", "&lt;", "agrees")]
    assert f"<td>{'</td><td>'.join(cells)}</td>" in bundle["text/html"]
    assert [Row(*row) for row in json.loads(json.dumps(bundle[MIME_TYPE]))] == tricky
    assert repr(Comparison()).split() == list(Comparison._HEADINGS)
