from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.data.labels import encode
from downslope.data.table import Choice, part_of_frame, read_frame, read_table
from downslope.errors import InputError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_file_is_read_the_same_when_its_own_mark_is_known(write) -> None:
    for text in ("a;b\n1,234;2.345\n", "a;b\n1 234;2.345\n", "a;b\n3,50;12.345\n", "a,b\n1.5,2\n"):
        read = read_frame(write(text))
        assert read_frame(write(text), read.decimal).frame.equals(read.frame), text


def used(part) -> tuple[str, ...]:
    return tuple(column.name for column in part.columns if not column.left_out)


def left_out(part) -> dict[str, str]:
    return {column.name: column.left_out for column in part.columns if column.left_out}


def mixed(rows: int = 60) -> pd.DataFrame:
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "size": draw.lognormal(7, 2, rows),
            "count": draw.integers(-5, 2000, rows),
            "where, now": draw.choice(["Köln", 'a "b"', "x, y"], rows),
            "when": pd.date_range("1999-12-28", periods=rows, freq="33h"),
            "open": draw.choice([True, False], rows),
            "kind": draw.choice(["u", "v"], rows),
        }
    )
    frame.loc[draw.random(rows) < 0.2, ["size", "where, now"]] = None
    return frame


def agree(part, frame: pd.DataFrame) -> None:
    """Compare what was read with the frame of `mixed` that was written."""
    read = part.inputs
    assert list(read) == list(frame.columns[:-1])
    np.testing.assert_array_equal(read["size"], frame["size"])
    np.testing.assert_array_equal(read["count"], frame["count"])
    wanted = frame["where, now"].astype(object).where(frame["where, now"].notna(), None)
    assert read["where, now"].tolist() == wanted.tolist()
    assert (read["when"] == frame["when"]).all()
    np.testing.assert_array_equal(read["open"], frame["open"].astype(float))
    assert part.labels.values.tolist() == frame["kind"].tolist()
    assert [c.kind for c in part.columns] == ["number", "number", "category", "date", "boolean"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_pandas_writes_in_any_dialect_is_read(write, separator, encoding):
    frame = mixed()
    text = frame.to_csv(sep=separator, index=False)
    agree(read_table(write(text.encode(encoding))), frame)


@pytest.mark.parametrize(
    "name", ["t.csv.gz", "t.csv.zip", "t.tsv", "t.txt", "t.parquet", "t.feather", "frame"]
)
def test_files_of_any_kind_hold_the_same(tmp_path, name):
    frame, path = mixed(), tmp_path / name
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
        (frame.to_parquet if "parquet" in name else frame.to_feather)(path)
    elif name != "frame":
        frame.to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    part = part_of_frame(frame, "frame") if name == "frame" else read_table(path)
    agree(part, frame)


@pytest.mark.parametrize(
    ("separator", "decimal", "thousands"),
    [(";", ",", None), (";", ",", "."), (",", ".", ","), (";", ".", "'"), ("\t", ",", " ")],
)
def test_decimal_commas_and_marks_between_thousands_are_pandas_s(
    write, separator, decimal, thousands
):
    def written(value: float, digits: int) -> str:
        text = f"{value:,.{digits}f}" if thousands else f"{value:.{digits}f}"
        return text.replace(",", "T").replace(".", decimal).replace("T", thousands or "")

    values = np.random.default_rng(0).uniform(-5e6, 5e6, (40, 2))
    rows = [[written(a, 2), written(b, 0), "u" if a > 0 else "v"] for a, b in values]
    path = write(pd.DataFrame(rows, columns=["a", "b", "y"]).to_csv(sep=separator, index=False))
    oracle = pd.read_csv(path, sep=separator, decimal=decimal, thousands=thousands)
    part = read_table(path)
    np.testing.assert_allclose(part.inputs, oracle[["a", "b"]], rtol=1e-15)
    assert any("numbers with" in note for note in part.notes)


def test_numbers_agree_with_numpy_to_the_bit(write):
    draw = np.random.default_rng(1)
    values = draw.normal(size=(20, 3)) * 10.0 ** draw.integers(-300, 300, (20, 3))
    lines = [",".join([*map(repr, row.tolist()), str(i % 3)]) for i, row in enumerate(values)]
    path = write("a,b,c,label\n" + "\n".join(lines))
    oracle = np.loadtxt(path, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(read_table(path).inputs, oracle[:, :3])


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), min_size=1)
)
def test_any_text_comes_back_from_quotes(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    frame = pd.DataFrame(
        {"a": cells, "b": 1, "y": ["u", "v"] * (len(cells) // 2) + ["u"] * (len(cells) % 2)}
    )
    frame.to_csv(path, index=False, quoting=1)
    read = read_frame(path).frame
    wanted = [c.replace("\r\n", "\n").replace("\r", "\n").strip() for c in cells]
    assert [c.replace("\r\n", "\n").replace("\r", "\n").strip() for c in read["a"]] == wanted


def test_missing_words_are_those_of_pandas(write):
    words = ["", "NA", "N/A", "nan", "NaN", "null", "NULL", "None", "n/a", "#N/A", "<NA>", "?"]
    path = write("a,b,y\n" + "".join(f"{word},1,u\n2,3,v\n" for word in words))
    oracle = pd.read_csv(path, na_values="?")
    np.testing.assert_array_equal(read_table(path).inputs["a"], oracle["a"])


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ("True False true", "boolean"),
        ("yes no yes", "boolean"),
        ("yes maybe no", "category"),
        ("0 1 1", "number"),
        ("2024-02-29 1969-07-20 2000-01-01", "date"),
        ("29.02.2024 20.07.1969 01.01.2000", "date"),
        ("2/29/2024 7/20/1969 1/1/2000", "date"),
        ("29/2/2024 20/7/1969 1/1/2000", "date"),
        ("20240229 19690720 20000101", "date"),
        ("20240230 19690720 20000101", "number"),
        ("2024-02-30 1969-07-20 2000-01-01", "category"),
        ("a 1 2 b", "category"),
    ],
)
def test_kinds_of_columns(cells, kind):
    cells = cells.split()
    frame = pd.DataFrame({"a": cells, "b": 1, "y": list("uvuv")[: len(cells)]})
    (column, _), read = part_of_frame(frame, "f").columns, part_of_frame(frame, "f").inputs["a"]
    assert column.kind == kind
    if kind == "date":
        ahead = "/2024" not in cells[0] or cells[0].startswith("29")
        oracle = [pd.to_datetime(c, dayfirst=ahead and not c[:4].isdigit()) for c in cells]
        assert read.tolist() == oracle


def test_identifiers_are_left_out_and_free_text_is_refused():
    rows = 30
    frame = pd.DataFrame(
        {
            "PassengerId": np.arange(rows) * 7,
            "ticket": [f"A/{i * 37}" for i in range(rows)],
            "name": [f"Mr. John the {i}. of Nowhere" for i in range(rows)],
            "nothing": "",
            "amount": np.arange(rows) * 7,
            "y": ["u", "v"] * (rows // 2),
        }
    )
    with pytest.raises(InputError, match=r"column 'name' holds free text.*--drop 'name'"):
        part_of_frame(frame, "f")
    part = part_of_frame(frame, "f", Choice(drop=["name"]))
    assert used(part) == ("amount",)
    assert list(left_out(part)) == ["PassengerId", "ticket", "name", "nothing"]
    asked = part_of_frame(frame, "f", Choice(columns=["PassengerId", "ticket"]))
    assert used(asked) == ("PassengerId", "ticket")


def test_a_second_column_of_the_same_name_is_left_out(write):
    part = read_table(write("a,b,a,y\n1,2,3,u\n4,5,6,v\n"))
    assert left_out(part) == {"a (column 3)": "a second column named 'a'"}
    np.testing.assert_array_equal(part.inputs["a"], [1, 4])
    asked = read_table(write("a,b,a,y\n1,2,3,u\n4,5,6,v\n"), Choice(columns=["a (column 3)"]))
    np.testing.assert_array_equal(asked.inputs, [[3], [6]])


@pytest.mark.parametrize(
    ("cells", "index"),
    [("012345", True), ("314205", True), ("001234", False), ("aabbcc", False)],
)
def test_only_different_whole_numbers_without_a_name_are_an_index(write, cells, index):
    for header in (",a,y\n", "Unnamed: 0,a,y\n"):
        part = read_table(write(header + "".join(f"{c},{i},x\n" for i, c in enumerate(cells))))
        assert used(part) == (("a",) if index else ("column 1", "a"))


@pytest.mark.parametrize(
    ("text", "columns", "labels"),
    [
        ("1,2,cat\n3,4,dog\n5,6,cat\n", ("column 1", "column 2"), "cat dog cat"),
        ("1,2\n3,4\n", ("column 1",), "2 4"),
        ("a,b,y\n1,2,cat\n3,4,dog\n", ("a", "b"), "cat dog"),
        ("a,b,y\nred,,cat\nblue,4,dog\n", ("a", "b"), "cat dog"),
        ("39, State-gov, 7, <=50K\n50, Private, 8, >50K\n", None, "<=50K >50K"),
        ("0,1,y\n1,2,cat\n3,4,dog\n", ("0", "1"), "cat dog"),
        ("0,1,y\n1,2,0\n3,4,1\n", ("0", "1"), "0 1"),
        ("1,y\n7,cat\n8,dog\n", ("column 1",), "y cat dog"),
        ("0,1,cat\n3,4,dog\n5,6,cat\n", ("column 1", "column 2"), "cat dog cat"),
    ],
)
def test_the_first_row_is_a_header_where_it_does_not_read_as_the_others(
    write, text, columns, labels
):
    part = read_table(write(text))
    columns = columns or ("column 1", "column 2", "column 3")
    assert used(part) == columns
    assert part.labels.values.tolist() == labels.split()
    said = "no header" if columns[0] == "column 1" else "the first row names"
    assert part.notes[0].startswith(said)


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
    part = read_table(write(f"{header}\n1,2,3\n4,5,6\n"))
    assert set(header.split(",")) - set(used(part)) == {taken}
    assert part.target == taken
    assert f"labels from the column {taken!r}, " in part.notes[1]


ROWS = "".join(f"{i}.5,{i},x\n" for i in range(20))


@pytest.mark.parametrize(
    ("text", "choice", "says"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "has no rows"),
        ("a,y\n", {}, "header but no rows"),
        ("a,y\n1,x\n1,2,3\n", {}, r"line 3 .* has 3 cells, the first row has 2"),
        ("a,y\n\n1\n", {}, r"line 3 .* has 1 cells"),
        (
            f"a,b,y\n{ROWS}1,zwei,x\n",
            {},
            "row 21, column 'b' holds 'zwei' among .* --drop",
        ),
        ("a,b,y\n-inf,1,x\n1,2,x\n3,4,x", {}, "row 1, column 'a' holds '-inf' among numbers"),
        ("a,b,y\n1,1e999,x\n1,2,x\n", {}, "row 1, column 'b' holds '1e999', which is no finite"),
        ("a,class,label\n1,2,3\n", {}, "any of the columns 'class', 'label'; say .* --label"),
        ("x,y,kind\n1,2,3\n", {}, "any of the columns 'y', 'kind'"),
        ("0,1,2\n3,4,5\n", {}, "starts with the row 0,1,2, which may name the columns or be"),
        (",y\n1,a\n2,b\n", {}, "has no column to learn from .*'column 1': an index.*--columns"),
        ("a,y\n1,\n", {}, "row 1, label column 'y' is empty; every example needs a label"),
        ("a,y\n1,nan\n", {}, "label column 'y' holds 'nan'"),
        ("a,kind\n1,x\n", {"label": "kinds"}, "no label column 'kinds'; .* did you mean 'kind'"),
        ("a,y,y\n1,2,3\n", {"label": "y"}, "several columns named 'y'"),
        ("a,y\n1,x\n", {"drop": ["b"]}, "drop: 'b' is no column; its columns are 'a', 'y'"),
        ("a,y\n1,x\n", {"columns": ["y"]}, "columns: 'y' is the label column"),
        ("a,y\n1,x\n", {"columns": ["a"], "drop": ["a"]}, "columns and drop both name 'a'"),
        ("y\n1\n", {}, "single column"),
        ('a,y\n"1,x\n', {}, "not valid CSV"),
        (b"a,y\n\x00\x81,x\n", {}, "is no text in UTF-8, UTF-16 or Windows-1252"),
        ("a,y\n" + "1" * 200_000 + ",x\n", {}, "not valid CSV .*field larger"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(write, text, choice, says):
    path = write(text)
    with pytest.raises(InputError, match=says) as raised:
        encode(read_table(path, Choice(**choice)).labels)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_beside_decimal_commas_a_dot_is_no_decimal_point(write):
    text = "preis;einwohner;lage;label\n3,50;12.345;0.125;a\n4,25;950;48.137;b\n"
    path = write(text)
    frame, notes, decimal = read_frame(path)
    assert decimal == ","
    wanted = pd.read_csv(path, sep=";", decimal=",", thousands=".")["einwohner"]
    assert frame["einwohner"].astype(int).tolist() == wanted.tolist() == [12345, 950]
    assert frame["lage"].tolist() == ["0.125", "48.137"]  # which none would write so
    assert "numbers with a decimal comma or dots between thousands in 'preis', 'einwohner'" in notes


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("t.zip.csv.zip", "is not a readable .zip"),
        ("t.csv.gz", "truncated .gz"),
        ("t.parquet", "cannot be read"),
        ("t.feather", "cannot be read"),
    ],
)
def test_damaged_files_are_named(write, name, says):
    if "csv" not in name:
        pytest.importorskip("pyarrow")
    path = write(b"\x1f\x8b\x08\x00" if ".gz" in name else b"PAR1 nonsense", name)
    with pytest.raises(InputError, match=f"{name}: .*{says}"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "known", "value"),
    [
        ("a\n1.234\n", "", 1.234),
        ("a\n1.234\n", ".", 1.234),
        ("a\n1.234\n", ",", 1234),
        ("a;b\n1,234;x\n", "", 1.234),
        ("a;b\n1,234;x\n", ".", 1234),
        ('a,b\n"1,234",x\n', "", 1234),
        ('a,b\n"1,234",x\n', ",", 1.234),
        ("a;b\n1,234;3.25\n", ",", 1234),  # what the file itself says goes first
        ("a;b\n1,25;x\n", ".", 1.25),
    ],
)
def test_a_number_that_may_be_either_is_read_as_in_a_known_table(write, text, known, value):
    assert float(read_frame(write(text), known).frame["a"].iloc[0]) == value


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("a;y\n1,5;u\n2,25;v\n", ","),
        ('a,y\n"1,500",u\n"2,250",v\n', "."),
        ("a,y\n1.5,u\n2.25,v\n", "."),
        ("a,y\n1,u\n2,v\n", ""),
    ],
)
def test_the_decimal_mark_is_kept(write, text, mark):
    assert read_table(write(text)).decimal == mark
