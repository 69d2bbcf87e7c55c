"""CSV files as people and spreadsheets write them: a header, then commas, semicolons or tabs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dlcvcli.errors import DataError

_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class CsvTable:
    """The content of a CSV file.

    Attributes:
        path: the file.
        columns: the fields of its first line, without spaces around them.
        lines: (line number in the file, fields) of each line that is not blank, with as many fields
            as there are columns.
    """

    path: Path
    columns: tuple[str, ...]
    lines: tuple[tuple[int, list[str]], ...]

    def column(self, names: tuple[str, ...]) -> int | None:
        """Return the index of the first of the named columns that exists; None if none does."""
        columns = [name.lower() for name in self.columns]
        return next((columns.index(name) for name in names if name in columns), None)

    def fields(self, column: int | None) -> Iterator[str]:
        """Yield the fields of a column without spaces around them; empty texts for None."""
        return (row[column].strip() if column is not None else "" for _, row in self.lines)

    def describe_columns(self) -> str:
        """Return the first columns as text for a message."""
        shown = ", ".join(f"'{name[:20]}'" for name in self.columns[:4])
        return shown + (", ..." if len(self.columns) > 4 else "") if shown else "nothing"


def csv_files(folder: Path) -> list[Path]:
    """Return the CSV files in a folder, without hidden ones."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".csv" and path.name[0] != "." and path.is_file()
    )


def read_csv(
    path: Path, needs: Sequence[tuple[str, ...]] = (), *, what: str = "", errors: str = "strict"
) -> CsvTable:
    """Return the content of a CSV file, whose separator is the most frequent one of its first line.

    Args:
        path: the file.
        needs: column names, one of each tuple; a file without them is read no further than its
            header.
        what: the content, for the message, such as `the episodes in`.
        errors: treatment of bytes that are not UTF-8; see `open`.

    Raises:
        DataError: the file cannot be read or is not CSV, or a line has more fields than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", errors=errors, newline="") as file:
            head = next((line for line in file if line.strip()), "")
            file.seek(0)
            separator = max(_SEPARATORS, key=head.count)
            reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
            rows = ((reader.line_num, row) for row in reader if any(row))
            header = tuple(name.strip() for name in next(rows, (0, []))[1])
            table = CsvTable(path, header, ())
            if any(table.column(names) is None for names in needs):
                return table
            return replace(table, lines=tuple(_padded(path, rows, len(header))))
    except OSError as error:
        raise DataError(
            f"cannot read {f'{what} ' if what else ''}{path}: {error.strerror}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} is not CSV: {error}", "save it as CSV in UTF-8, with a header line"
        ) from error


def _padded(
    path: Path, rows: Iterable[tuple[int, list[str]]], width: int
) -> Iterator[tuple[int, list[str]]]:
    for number, row in rows:
        if any(row[width:]):
            raise DataError(
                f"{path}, line {number} has {len(row)} fields, but the header has {width}",
                "put fields that contain the separator into quotes",
            )
        yield number, (row + [""] * width)[:width]
