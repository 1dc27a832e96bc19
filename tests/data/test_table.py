from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from downslope.data.labels import encode
from downslope.data.table import read_csv
from downslope.errors import InputError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_features_agree_with_numpy(write):
    draw = np.random.default_rng(1)
    values = draw.normal(size=(20, 3)) * 10.0 ** draw.integers(-5, 5, (20, 3))
    lines = [",".join([*map(repr, row.tolist()), str(i % 3)]) for i, row in enumerate(values)]
    path = write("a,b,c,label\n" + "\n".join(lines))
    table = read_csv(path)
    oracle = np.loadtxt(path, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table.inputs, oracle[:, :3])
    np.testing.assert_array_equal(table.labels.values.astype(int), oracle[:, 3].astype(int))
    assert table.columns == ("a", "b", "c")


def test_labels_by_name_as_strings_with_bom_quotes_and_blank_lines(write):
    path = write('\ufeffkind,a,"b, c"\r\nsetosa,1,2\r\n\r\n"vir, g",3,-4e-1\r\nsetosa,5,6\r\n')
    table = read_csv(path, "kind")
    assert table.labels.values.tolist() == ["setosa", "vir, g", "setosa"]
    assert table.columns == ("a", "b, c")
    np.testing.assert_array_equal(table.inputs, [[1, 2], [3, -0.4], [5, 6]])


def test_rows_and_columns_are_pandas_s(write):
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(draw.normal(size=(30, 3)), columns=["a", "b", "c"])
    frame["kind"] = draw.choice(["x", "y"], 30)
    text = frame.to_csv()  # with the index, as pandas writes it unless told otherwise
    for content in (text, text.replace(",a,b", "Unnamed: 0,a,b", 1), frame.to_csv(index=False)):
        path = write(content)
        table = read_csv(path)
        oracle = pd.read_csv(path)[["a", "b", "c", "kind"]]
        np.testing.assert_array_equal(table.inputs, oracle[["a", "b", "c"]])
        assert table.labels.values.tolist() == oracle["kind"].tolist()
        assert table.columns == ("a", "b", "c")
        assert any("left out as an index" in note for note in table.notes) == (content[0] != "a")


@pytest.mark.parametrize(
    ("cells", "index"),
    [("012345", True), ("314205", True), ("001234", False), ("0a2345", False)],
)
def test_only_different_whole_numbers_without_a_name_are_an_index(write, cells, index):
    path = write(",a,y\n" + "".join(f"{cell},{i},x\n" for i, cell in enumerate(cells)))
    if "a" in cells:
        with pytest.raises(InputError, match=r"row 2 .* column '' holds 'a'"):
            read_csv(path)
    else:
        assert read_csv(path).columns == (("a",) if index else ("", "a"))


@pytest.mark.parametrize(
    ("text", "columns", "labels"),
    [
        ("1,2,cat\n3,4,dog\n5,6,cat\n", ("column 1", "column 2"), "cat dog cat"),
        ("1,2\n3,4\n", ("column 1",), "2 4"),
        ("a,b,y\n1,2,cat\n3,4,dog\n", ("a", "b"), "cat dog"),
        ("0,1,y\n1,2,cat\n3,4,dog\n", ("0", "1"), "cat dog"),
        ("0,1,y\n1,2,0\n3,4,1\n", ("0", "1"), "0 1"),
        ("1,y\n7,cat\n8,dog\n", ("column 1",), "y cat dog"),
        ("0,1,cat\n3,4,dog\n5,6,cat\n", ("column 1", "column 2"), "cat dog cat"),
    ],
)
def test_the_first_row_is_a_header_where_it_does_not_read_as_the_others(
    write, text, columns, labels
):
    table = read_csv(write(text))
    assert table.columns == columns
    assert table.labels.values.tolist() == labels.split()
    said = "no header" if columns[0] == "column 1" else "the first row names"
    assert table.notes[0].startswith(said)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("label,a,b", "label"),
        ("a,Target,b", "Target"),
        ("a,b,kind", "kind"),
        ("x,b,y", "y"),
        ("y,a,b", "y"),
    ],
)
def test_the_label_column_is_known_by_name_or_is_the_last(write, header, taken):
    table = read_csv(write(f"{header}\n1,2,3\n4,5,6\n"))
    assert set(header.split(",")) - set(table.columns) == {taken}
    assert f"labels from the column {taken!r}, " in table.notes[1]


@pytest.mark.parametrize(
    ("text", "label", "says"),
    [
        ("", None, "is empty"),
        ("\n\n", None, "has no rows"),
        ("a,y\n", None, "header but no rows"),
        ("a,y\n1,x\n1,2,3\n", None, r"row 2 \(line 3\) has 3 cells, the header has 2"),
        ("a,y\n1\n", None, r"row 1 \(line 2\) has 1 cells"),
        ("a,b,y\n1,2,x\n1,zwei,x\n", None, r"row 2 \(line 3\), column 'b' holds 'zwei'; every fea"),
        ("a,b,y\n1,,x\n", None, r"row 1 \(line 2\), column 'b' is empty"),
        ("a,b,y\n1,nan,x\n", None, "column 'b' holds 'nan'; every feature must be a finite"),
        ("a,b,y\n-inf,1,x\n", None, "column 'a' holds '-inf'"),
        ("a,b,y\n1,1e999,x\n", None, "column 'b' holds '1e999'"),
        ("a,b,y\n1,1_0,x\n1,2,x\n1,2,x\n", None, r"row 1 .*column 'b' holds '1_0'"),
        ("a,class,label\n1,2,3\n", None, "any of the columns 'class', 'label'; say .* --label"),
        ("x,y,kind\n1,2,3\n", None, "any of the columns 'y', 'kind'"),
        ("0,1,2\n3,4,5\n", None, "starts with the row 0,1,2, which may name the columns or be"),
        (",y\n1,a\n2,b\n", None, "has no feature beside its labels and its index"),
        ("a,y\n1,\n", None, "label column 'y' is empty"),
        ("a,y\n1,0.5\n", None, "label column 'y' holds '0.5'; classes are strings or whole"),
        ("a,y\n1,nan\n", None, "label column 'y' holds 'nan'"),
        ("a,y\n1,inf\n", None, "label column 'y' holds 'inf'"),
        ("a,kind\n1,x\n", "kinds", "no label column 'kinds'; .* did you mean 'kind'"),
        ("y,y\n1,2\n", "y", "2 columns named 'y'"),
        ("a;b;y\n1;2;x\n", None, "separate columns by commas, not by ';'"),
        ("y\n1\n", None, "single column"),
        ('a,y\n"1,x\n', None, "not valid CSV"),
        (b"a,y\n\xff\xfe,x\n", None, r"is not UTF-8 text \(byte 4\)"),
        ("a,y\n" + "1" * 200_000 + ",x\n", None, "not valid CSV .*field larger"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(write, text, label, says):
    path = write(text)
    with pytest.raises(InputError, match=says) as raised:
        encode(read_csv(path, label).labels)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
