"""The comparison by value sees what matters and nothing else."""

import io
import json

import docx
import pandas as pd
import pytest

from tests.compare import differences, main


def differ(path: str, base: bytes | str, fresh: bytes | str, **others: bytes) -> list[str]:
    old, new = (text.encode() if isinstance(text, str) else text for text in (base, fresh))
    return differences({path: old, **others}, {path: new, **others})


@pytest.mark.parametrize(
    ("base", "fresh"),
    [
        ("k,x\na,1.2345678\n", "k,x\na,1.2345679\n"),
        ("k,x\na,5.0\nb,1e-15\n", "k,x\na,5.0\nb,-1e-15\n"),  # zero beside 5
        ("k,x\na,inf\nb,nan\n", "k,x\na,inf\nb,nan\n "[:-1]),
    ],
)
def test_data_csv_agrees_within_the_tolerance(base: str, fresh: str) -> None:
    assert differ("results/estimates/values.csv", base, fresh) == []


@pytest.mark.parametrize(
    ("base", "fresh", "names"),
    [
        ("k,x\na,1.23456\n", "k,x\na,1.23457\n", ["row 2", "column x", "1.23456", "1.23457"]),
        ("k,n\na,279\n", "k,n\na,280\n", ["row 2", "column n", "'279'", "'280'"]),
        ("k,t\na,hub\n", "k,t\na,hubs\n", ["column t", "'hub'", "'hubs'"]),
        ("k,x\na,\n", "k,x\na,1.0\n", ["column x", "''", "'1.0'"]),
        ("k,x\na,1.0\n", "k,x\na,1.0\nb,2.0\n", ["2 rows committed", "3 built"]),
        ("k,x\na,1.0\n", "k,x\na,1.0,2.0\n", ["row 2", "2 cells"]),
    ],
)
def test_data_csv_difference_names_file_row_column_and_both_values(base: str, fresh: str, names: list[str]) -> None:
    (message,) = differ("results/estimates/values.csv", base, fresh)
    assert all(name in message for name in ["results/estimates/values.csv", *names])


def parquet(x: float, n: int, text: str) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"x": [x, None], "n": pd.array([n, None], dtype="Int64"), "text": [text, None]}).to_parquet(buffer)
    return buffer.getvalue()


def test_parquet_cells() -> None:
    base = parquet(1.0, 3, "a")
    assert differ("results/estimates/tests.parquet", base, parquet(1.0 + 1e-7, 3, "a")) == []
    for fresh, name, value in [(parquet(1.0 + 1e-5, 3, "a"), "x", "1.00001"), (parquet(1.0, 4, "a"), "n", "4")]:
        (message,) = differ("results/estimates/tests.parquet", base, fresh)
        assert f"column {name}" in message
        assert value in message
    assert len(differ("results/estimates/tests.parquet", base, parquet(1.0, 3, "b"))) == 1


@pytest.mark.parametrize("name", ["T4.en.md", "T4.en.tex", "T4.en.html", "T4.en.csv"])
def test_printed_numbers_agree_within_one_unit_of_the_last_place(name: str) -> None:
    separator = {"md": "|", "tex": "&", "html": "</td><td>", "csv": ","}[name.rpartition(".")[2]]
    row = separator.join(["hub", "{}", "279", "[−0.10; 0.20]"])
    path = f"results/tables/{name}"
    assert differ(path, row.format("0.123"), row.format("0.124")) == []
    assert differ(path, row.format("−0.001"), row.format("0.000")) == []
    assert len(differ(path, row.format("0.123"), row.format("0.125"))) == 1
    assert len(differ(path, row.format("0.123"), row.format("0.12"))) == 1
    assert len(differ(path, row.format("0.123"), row.format("0.123").replace("279", "280"))) == 1
    assert len(differ(path, row.format("0.123"), row.format("0.123").replace("hub", "hubs"))) == 1


def test_hashes_and_dates_in_printed_files_are_exact() -> None:
    base = "data 3f9a1.22b0, 2021-05-24, version 1.2.3"
    for old, new in [("3f9a1", "3f9a2"), ("-05-", "-06-"), ("1.2.3", "1.2.4"), ("1.2.3", "1.3.3")]:
        assert len(differ("results/README.md", base, base.replace(old, new))) == 1


def word(text: str) -> bytes:
    document, buffer = docx.Document(), io.BytesIO()
    document.add_paragraph("Table 4")
    document.add_table(1, 2).rows[0].cells[1].text = text
    document.save(buffer)
    return buffer.getvalue()


def test_word_cells() -> None:
    assert differ("results/tables/T4.en.docx", word("0.12"), word("0.13")) == []
    (message,) = differ("results/tables/T4.en.docx", word("0.12"), word("0.15"))
    assert "row 2, column 2: committed '0.12', built '0.15'" in message


def notebook(source: str, text: str) -> bytes:
    output = {"output_type": "stream", "name": "stdout", "text": [text]}
    picture = {"output_type": "display_data", "data": {"image/png": text}}
    cell = {"cell_type": "code", "source": [source], "outputs": [output, picture]}
    return json.dumps({"cells": [cell]}).encode()


def test_notebook_sources_and_text_outputs() -> None:
    path, base = "notebooks/03_estimates.ipynb", notebook("print(x)", "0.12")
    assert differ(path, base, notebook("print(x)", "0.13")) == []
    assert "0.15" in differ(path, base, notebook("print(x)", "0.15"))[0]
    assert "print(y)" in differ(path, base, notebook("print(y)", "0.12"))[0]


def test_figures_are_compared_by_their_data() -> None:
    path, data = "results/figures/F5_event_study.zh.pdf", {"results/figures/F5_event_study.csv": b"x\n1.0\n"}
    assert differ(path, "a", "b", **data) == []
    (message,) = differ(path, "a", "b")
    assert "no results/figures/F5_event_study.csv" in message


def test_a_missing_and_a_new_file_are_differences() -> None:
    assert differences({"results/a.csv": b"", "results/b.csv": b""}, {"results/b.csv": b"", "results/c.csv": b""}) == [
        "results/a.csv: is committed, but the build does not write it",
        "results/c.csv: the build writes it, but it is not committed",
    ]


def test_an_unknown_kind_of_file_must_be_identical() -> None:
    assert len(differ("results/a.bin", "a", "b")) == 1


def test_many_differences_of_one_file_are_cut_short() -> None:
    base, fresh = ("n\n" + "".join(f"{i + step}\n" for i in range(50)) for step in (0, 1))
    found = differ("results/estimates/values.csv", base, fresh)
    assert len(found) == 6
    assert found[-1].endswith("and 45 more")


@pytest.mark.parametrize(
    ("fresh", "status", "says"),
    [(b"x\n1.0\n", 0, "byte-identical"), (b"x\n1.0000001\n", 0, "by value"), (b"x\n2.0\n", 1, "differ from")],
)
def test_main_says_which_of_the_two_it_found(
    fresh: bytes, status: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.compare.committed", lambda commit: {"results/a.csv": b"x\n1.0\n"})
    monkeypatch.setattr("tests.compare.present", lambda root: {"results/a.csv": fresh})
    assert main() == status
    assert says in "".join(capsys.readouterr())
