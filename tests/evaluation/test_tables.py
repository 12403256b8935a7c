"""Tables of clips: what is read, and one line that names the row for everything that is wrong."""

import pytest

from m2d.common.errors import UserError
from m2d.evaluation.tables import Clip, read_table, table_text


def read(tmp_path, text):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(tmp_path / "t.csv")


def test_columns_may_be_in_any_order_and_beside_notes(tmp_path):
    table = read(tmp_path, '\ufefflabel, notes,file_name,end,start,group\n'
                           '"b; a","x, y",d/a.wav,2.5,1,anna\nc,,b.wav,,,\n')
    assert table.clips == [Clip("d/a.wav", "b;a", "", 1.0, 2.5, "anna"), Clip("b.wav", "c", "")]
    assert table.lines == [2, 3] and not table.has_parts


def test_what_is_written_is_read_back(tmp_path):
    plain = [Clip("a.wav", "x,y", "train"), Clip("b.wav", 'the "z"', "test")]
    assert read(tmp_path, table_text(plain)).clips == plain
    assert table_text(plain).splitlines()[0] == "file_name,label,split"
    cut = [Clip("a.wav", "x", "1", 0.5, None, "g"), Clip("a.wav", "x", "2", 0.0, 0.25)]
    assert read(tmp_path, table_text(cut)).clips == cut


@pytest.mark.parametrize("text, words", [
    ("file,label,split\na,b,train\n", ":1: the first line must name .*'file_name' is missing, did you mean 'file'"),
    ("file_name,label,splits\na,b,train\n", ":1: .*unknown column 'splits', did you mean 'split'"),
    ("file_name,label,split,fold\na,b,train,1\n", ":1: .*split or fold, not both"),
    ("file_name,label,label\na,b,c\n", ":1: .*'label' is there twice"),
    ("file_name;label\na;b\n", ":1: .*'file_name' is missing"),
    ("file_name,label,split\na.wav,b,dev\n", ":2: split 'dev' is not one of"),
    ("file_name,label,fold\na.wav,b,train\n", ":2: fold 'train' is the name of a split"),
    ("file_name,label,split\na.wav,,train\n", ":2: the cell of label is empty"),
    ("file_name,label,split\na.wav,b,train\na.wav,b,test\n", r":3: a.wav is in the table twice \(line 2\)"),
    ("file_name,label\na.wav,b\n\na.wav\n", ":4: has 1 cells, the first line names 2 columns"),
    ("file_name,label\na.wav,b,c\n", ":2: has 3 cells"),
    ("file_name,label\na.wav,b;\n", ":2: label 'b;' names an empty label"),
    ("file_name,label\na.wav,b;b\n", ":2: label 'b;b' names an empty label, or one twice"),
    ("file_name,label,start,end\na.wav,b,2,1\n", ":2: end 1 is not after start 2"),
    ("file_name,label,start\na.wav,b,-1\n", ":2: start '-1' is not a number of seconds"),
    ("file_name,label,end\na.wav,b,nan\n", ":2: end 'nan' is not a number of seconds"),
    ('file_name,label\na.wav,b\nb.wav,"c\nd.wav,e\n', ":3: not CSV"),
    ('file_name,label\na.wav,"b\nc"\n', ":2: a cell holds a line break"),
    ("file_name,label\na.wav,b\0\n", r":2: (a cell holds a line break|not CSV)"),
    (b"file_name,label\na.wav,b\n\xe4.wav,c\n", ":3: not UTF-8 text"),
    (b"\xff\xfef\0i\0l\0e\0", ":1: not UTF-8 text"),
    ("file_name,label,split\n", "no rows"),
    ("", ":1: .*'file_name' is missing"),
])
def test_wrong_tables_say_where(text, words, tmp_path):
    with pytest.raises(UserError, match=r"t\.csv" + (words if words[0] == ":" else f".*{words}")) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_missing_table_says_so(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: no such table"):
        read_table(tmp_path / "none.csv")
