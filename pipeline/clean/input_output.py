"""The national input–output table: its codes, its balances, and its sectors by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from pipeline.clean.formats import records
from pipeline.errors import ValidationError

CALLED = {"row": "supplier", "column": "user"}
KEY = ["year", "origin", "supplier", "user"]
ORIGINS = ("domestic", "imported", "total")
TOTALS = ("TII", "TVA", "TI")
FINAL = ("TC", "FU201", "FU202", "EX")
USES = ("TIU", *FINAL, "TFU", "GO")
RELATIVE = 1e-6  # of the larger side of a balance


def national(table: pd.DataFrame, codes: pd.DataFrame) -> pd.DataFrame:
    """Check a national table against its codes and its own totals, and call its sectors by name.

    Parameters
    ----------
    table : DataFrame
        The raw table in long form, 1e4 CNY: ``year, supplier, origin, user, value``; domestic and imported deliveries,
        and the totals of what a user buys.
    codes : DataFrame
        The raw list of codes: ``code, kind`` (sector, row or column) and ``name_zh``.

    Returns
    -------
    DataFrame
        ``year, origin, supplier, user, value``. A sector stands under its Chinese name, since codes change meaning
        between editions; every other supplier and user under its code.

    Raises
    ------
    ValidationError
        Lists every unknown code and repeated cell with file and row, else every cell that is missing, else every total
        that its parts do not make up.
    """
    is_sector = codes["kind"] == "sector"
    sectors = codes.loc[is_sector, "code"].tolist()
    known = {
        "supplier": {*sectors, *codes.loc[codes["kind"] == "row", "code"]},
        "user": {*sectors, *codes.loc[codes["kind"] == "column", "code"]},
        "origin": set(ORIGINS),
    }
    unknown = [line for column, names in known.items() for line in _unknown(table, column, names)]
    _raise([*_twice(codes, ["code"]), *_twice(codes[is_sector], ["name_zh"]), *unknown, *_twice(table, KEY)])
    by_origin = {
        origin: table[table["origin"] == origin].pivot_table(index="supplier", columns="user", values="value")
        for origin in ORIGINS
    }
    _raise(list(_missing(by_origin, sectors)))
    _raise(list(_unbalanced(by_origin, sectors)))
    names = codes[is_sector].set_index("code")["name_zh"].to_dict()
    return table[[*KEY, "value"]].replace({"supplier": names, "user": names})


def _raise(problems: list[str]) -> None:
    if problems:
        head = f"The national input–output table has {len(problems)} violation(s). Mend the rows or cells named."
        raise ValidationError("\n".join([head, *problems]))


def _unknown(table: pd.DataFrame, column: str, known: set[str]) -> Iterator[str]:
    for row in records(table[~table[column].isin(known)]):
        yield f"  {row['file']} row {row['row']}: {column} {row[column]!r} is not in the list of codes"


def _twice(frame: pd.DataFrame, key: Sequence[str]) -> Iterator[str]:
    for row in records(frame[frame.duplicated(list(key))]):
        yield f"  {row['file']} row {row['row']}: {', '.join(str(row[k]) for k in key)} occurs a second time"


def _missing(by_origin: dict[str, pd.DataFrame], sectors: list[str]) -> Iterator[str]:
    for origin, cells in by_origin.items():
        suppliers, users = (TOTALS, sectors) if origin == "total" else (sectors, [*sectors, *USES])
        empty = cells.reindex(index=suppliers, columns=users).isna().to_numpy()
        for i, j in zip(*empty.nonzero(), strict=True):
            yield f"  {origin} {suppliers[i]} to {users[j]} has no value"


def _unbalanced(by_origin: dict[str, pd.DataFrame], sectors: list[str]) -> Iterator[str]:
    """What a sector delivers adds up by use, what it buys by cost, and both make its gross output."""
    bought = pd.Series(0.0, index=sectors)
    for origin in ("domestic", "imported"):
        uses = by_origin[origin].loc[sectors]
        flows = uses[sectors]
        bought += flows.sum()
        yield from _differ(flows.T.sum(), uses["TIU"], f"{origin} deliveries to sectors and TIU")
        yield from _differ(uses[list(FINAL)].T.sum(), uses["TFU"], f"{origin} final uses and TFU")
    uses, cost = by_origin["domestic"].loc[sectors], by_origin["total"][sectors].T
    yield from _differ(uses["TIU"] + uses["TFU"], uses["GO"], "TIU + TFU and GO")
    yield from _differ(bought, cost["TII"], "purchases from sectors and TII")
    yield from _differ(cost["TII"] + cost["TVA"], cost["TI"], "TII + TVA and TI")
    yield from _differ(cost["TI"], uses["GO"], "TI and GO")


def _differ(parts: pd.Series, total: pd.Series, what: str) -> Iterator[str]:
    apart = (parts - total).abs() > RELATIVE * pd.concat([parts.abs(), total.abs()], axis=1).max(axis=1)
    for code in parts.index[apart]:
        yield f"  sector {code}: {what} differ, {parts[code]:.2f} and {total[code]:.2f}"
