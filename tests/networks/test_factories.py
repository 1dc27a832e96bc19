import sys
from pathlib import Path

import pytest
from torch import nn

from downslope.errors import InputError
from downslope.networks import load_factory


def test_a_factory_is_loaded_with_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WIDTH = 7\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom beside import WIDTH\n"
        "def deep():\n    return nn.Linear(WIDTH, 2)\n"
    )
    before = list(sys.path)
    module = load_factory(f"{file}:deep")()
    assert isinstance(module, nn.Linear) and module.in_features == 7
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "reference", "words"),
    [
        ("", "mine.py", "write FILE.py:function"),
        ("", "mine.py:", "write FILE.py:function"),
        ("", "other.py:deep", "no file other.py"),
        ("", "mine.py:deep", "no function 'deep'"),
        ("deep = 3", "mine.py:deep", "no function 'deep'"),
        ("def deep(:", "mine.py:deep", "fails with SyntaxError"),
        ("import nothing_of_this_name", "mine.py:deep", "fails with ModuleNotFoundError"),
    ],
)
def test_mistakes_get_one_line(
    text: str, reference: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(text)
    with pytest.raises(InputError, match=words) as refusal:
        load_factory(reference)
    assert "\n" not in str(refusal.value)
