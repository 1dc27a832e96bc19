from pathlib import Path

import numpy as np
import pytest

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
    np.testing.assert_array_equal(table.features, oracle[:, :3].astype(np.float32))
    np.testing.assert_array_equal(table.targets, oracle[:, 3].astype(np.int64))
    assert table.columns == ("a", "b", "c")
    assert table.features.dtype == np.float32
    assert table.targets.dtype == np.int64


def test_labels_by_name_as_strings_with_bom_quotes_and_blank_lines(write):
    path = write('\ufeffkind,a,"b, c"\r\nsetosa,1,2\r\n\r\n"vir, g",3,-4e-1\r\nsetosa,5,6\r\n')
    table = read_csv(path, "kind")
    assert table.class_names == ("setosa", "vir, g")
    assert table.columns == ("a", "b, c")
    np.testing.assert_array_equal(table.targets, [0, 1, 0])
    np.testing.assert_array_equal(table.features, np.float32([[1, 2], [3, -0.4], [5, 6]]))


def test_whole_number_labels_sort_by_value_and_are_mapped(write):
    table = read_csv(write("a,y\n1,10\n1,9\n1,-1\n1,10.0\n"))
    assert table.class_names == ("-1", "9", "10")
    np.testing.assert_array_equal(table.targets, [2, 1, 0, 2])


@pytest.mark.parametrize(
    ("text", "label", "says"),
    [
        ("", None, "is empty"),
        ("\n\n", None, "has no header row"),
        ("a,y\n", None, "header but no rows"),
        ("a,y\n1,x\n1,2,3\n", None, r"row 2 \(line 3\) has 3 cells, the header has 2"),
        ("a,y\n1\n", None, r"row 1 \(line 2\) has 1 cells"),
        ("a,b,y\n1,2,x\n1,zwei,x\n", None, r"row 2 \(line 3\), column 'b' holds 'zwei'; every fea"),
        ("a,b,y\n1,,x\n", None, r"row 1 \(line 2\), column 'b' is empty"),
        ("a,b,y\n1,nan,x\n", None, "column 'b' holds 'nan'; every feature must be a finite"),
        ("a,b,y\n-inf,1,x\n", None, "column 'a' holds '-inf'"),
        ("a,b,y\n1,1e39,x\n", None, "column 'b' holds '1e39'.* fits float32"),
        ("a,y\n1,\n", None, "label column 'y' is empty"),
        ("a,y\n1,0.5\n", None, "label column 'y' holds '0.5'; classes are strings or whole"),
        ("a,y\n1,nan\n", None, "label column 'y' holds 'nan'"),
        ("a,y\n1,inf\n", None, "label column 'y' holds 'inf'"),
        ("a,kind\n1,x\n", "kinds", "no label column 'kinds'; .* did you mean 'kind'"),
        ("y,y\n1,2\n", "y", "2 columns named 'y'"),
        ("a;b;y\n1;2;x\n", None, "separate columns by commas, not by ';'"),
        ("y\n1\n", None, "single column"),
        ("1,2\n3,4\n", None, "starts with a row of numbers"),
        ('a,y\n"1,x\n', None, "not valid CSV"),
        (b"a,y\n\xff\xfe,x\n", None, r"is not UTF-8 text \(byte 4\)"),
        ("a,y\n" + "1" * 200_000 + ",x\n", None, "not valid CSV .*field larger"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(write, text, label, says):
    path = write(text)
    with pytest.raises(InputError, match=says) as raised:
        read_csv(path, label)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
