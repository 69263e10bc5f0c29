"""`dpsctl derive-key`: the keys of a group's devices, on the bench. Floor 5."""

from __future__ import annotations

import sys
from typing import TextIO

from dpsd.door import Arguments, UsageError
from dpsd.errors import EXIT_DONE
from dpsd.fleet_keys import derive_keys, read_rows, rows_of
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
