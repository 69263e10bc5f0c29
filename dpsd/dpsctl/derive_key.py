"""`dpsctl derive-key`: the keys of a group's devices, made on a bench from the group's key.

Rows are read and written one by one, so that a fleet of any size needs the memory of one device.
"""

from __future__ import annotations

import base64
import csv
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TextIO

from dpsd.credentials.symmetric import load_key
from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, Problem
from dpsd.protocol.identifiers import check_registration_id
from dpsd.protocol.sas import derive_device_key
from dpsd.system.command import UsageError
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    group_key_file, table = arguments.options.get("--group-key-file"), arguments.options.get("--csv")
    if group_key_file is None or bool(arguments.operands) == (table is not None):
        raise UsageError("write: dpsctl derive-key --group-key-file FILE ID..., or --csv FILE in place of ID...")
    if table is None:
        derive_keys(group_key_file, rows_of(arguments.operands), sys.stdout)
    else:
        with _open_table(table) as lines:
            derive_keys(group_key_file, read_rows(table, lines), sys.stdout)
    return EXIT_DONE


def _open_table(path: str) -> TextIO:
    try:
        return open(0 if path == "-" else path, newline="", encoding="utf-8-sig", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{printable(path)}: {error.strerror}") from None


COLUMN = "registration_id"
PROGRESS_INTERVAL = 100_000
"""Rows between two lines on standard error."""


class Row(NamedTuple):
    """where: how to find it in what was given. registration_id: as it stands there, unchecked."""

    where: str
    registration_id: str


def derive_keys(group_key_file: str, rows: Iterable[Row], out: TextIO) -> None:
    """Write a CSV of registration ids and their keys; a row with a bad id is told on standard error and left out.

    Raises Problem `credential-*` of the group's key, and at the end `registration-id-invalid` if a row was left out.
    """
    group_key = load_key(group_key_file)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((COLUMN, "primary_key"))
    count = refused = 0
    for count, row in enumerate(rows, 1):
        if _is_refused(row):
            refused += 1
        else:
            key = derive_device_key(group_key, row.registration_id)
            writer.writerow((row.registration_id, base64.b64encode(key).decode()))
        if count % PROGRESS_INTERVAL == 0:
            print(f"dpsctl: {count} rows", file=sys.stderr)
    out.flush()
    if refused:
        said = f"{refused} of {count} registration ids were refused, see above; there is no key for them"
        raise Problem("registration-id-invalid", said, hint="correct these rows, and derive their keys again")


def rows_of(registration_ids: Iterable[str]) -> Iterator[Row]:
    """Yield the ids of a command line."""
    yield from (Row("operand", one) for one in registration_ids)


def read_rows(name: str, lines: Iterable[str]) -> Iterator[Row]:
    """Yield the ids of a CSV: the column `registration_id` if the first row names it, else the first one."""
    reader, column, first = csv.reader(lines, strict=True), 0, True
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(f"{name}:{reader.line_num}: {error}", "")
            continue
        if not cells:
            continue
        names = [cell.strip().lower() for cell in cells] if first else []
        first = False
        if COLUMN in names:
            column = names.index(COLUMN)
        else:
            yield Row(f"{name}:{reader.line_num}", cells[column] if column < len(cells) else "")


def _is_refused(row: Row) -> bool:
    try:
        check_registration_id(row.registration_id, x509=False)
    except Problem as problem:
        print(f"dpsd: {problem.code}: {printable(row.where)}: {problem.sentence}; {problem.hint}", file=sys.stderr)
        return True
    return False
