"""A PKCS#11 module: the token is found, logged in to once, and the key looked for.

OpenSSL's provider tells none of its failures apart, and would try a wrong PIN several times, which locks tokens. So
this comes first, in the same process: a login holds for all of it. Source: PKCS #11 v2.40, its pkcs11t.h and pkcs11f.h.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_ubyte, c_ulong, c_void_p
from typing import Any

from dpsd.configuration.token_uri import TokenKey
from dpsd.errors import Problem
from dpsd.text import printable

_FUNCTIONS: dict[str, tuple[int, tuple[Any, ...]]] = {
    "C_Initialize": (0, (c_void_p,)),
    "C_GetSlotList": (4, (c_ubyte, c_void_p, POINTER(c_ulong))),
    "C_GetTokenInfo": (6, (c_ulong, c_void_p)),
    "C_OpenSession": (12, (c_ulong, c_ulong, c_void_p, c_void_p, POINTER(c_ulong))),
    "C_Login": (18, (c_ulong, c_ulong, c_char_p, c_ulong)),
    "C_FindObjectsInit": (26, (c_ulong, c_void_p, c_ulong)),
    "C_FindObjects": (27, (c_ulong, POINTER(c_ulong), c_ulong, POINTER(c_ulong))),
    "C_FindObjectsFinal": (28, (c_ulong,)),
}
"""Their places in CK_FUNCTION_LIST, and what they take."""
_OK, _TOKEN_NOT_PRESENT, _TOKEN_NOT_RECOGNIZED = 0, 0xE0, 0xE1
_PIN_INCORRECT, _PIN_INVALID, _PIN_LENGTH, _PIN_LOCKED = 0xA0, 0xA1, 0xA2, 0xA4
_ALREADY_LOGGED_IN, _ALREADY_INITIALIZED = 0x100, 0x191
_LOGIN_REQUIRED, _PIN_FINAL_TRY, _PIN_IS_LOCKED = 0x4, 0x20000, 0x40000
_OS_LOCKING, _SERIAL_SESSION, _USER = 0x2, 0x4, 1
_PUBLIC_KEY, _PRIVATE_KEY, _CLASS, _LABEL, _ID = 2, 3, 0x0, 0x3, 0x102


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", c_ubyte * 2), ("functions", c_void_p * 29))


class _InitializeArguments(ctypes.Structure):
    _fields_ = (("mutexes", c_void_p * 4), ("flags", c_ulong), ("reserved", c_void_p))


class _TokenInfo(ctypes.Structure):
    _fields_ = (
        ("token", ctypes.c_char * 32),
        ("manufacturer", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serial", ctypes.c_char * 16),
        ("flags", c_ulong),
        ("numbers", c_ulong * 10),
        ("versions", c_ubyte * 4),
        ("time", ctypes.c_char * 16),
    )


class _Attribute(ctypes.Structure):
    _fields_ = (("type", c_ulong), ("value", c_void_p), ("length", c_ulong))


class _Failed(Exception):  # noqa: N818 - never leaves this module
    """A function returned something else than CKR_OK."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} failed with CKR 0x{code:X}")
        self.code = code


class Module:
    """A loaded module, initialized until the process ends."""

    def __init__(self, path: str) -> None:
        """Load it; raises Problem `token-unusable` where there is none, `token-failed`."""
        self._path = path
        try:
            library, functions = ctypes.CDLL(path), POINTER(_FunctionList)()
            library.C_GetFunctionList(byref(functions))
            self._functions = functions.contents.functions
        except (OSError, AttributeError, ValueError) as error:
            said = f"the PKCS#11 module {printable(path)} cannot be loaded: {printable(error)}"
            raise Problem("token-unusable", said) from None
        self._try("C_Initialize", byref(_InitializeArguments(flags=_OS_LOCKING)), fine=(_ALREADY_INITIALIZED,))

    def log_in(self, key: TokenKey, pin: bytes | None) -> bool:
        """Log in where the token wants it, by one try, and look for the key; tell whether it shows the public half.

        Raises Problem `token-missing`, `token-pin-refused`, `token-pin-locked`, `token-key-missing`, `token-unusable`,
        `credential-missing` without a PIN, or `token-failed`.
        """
        slot, info = self._token(key)
        session = c_ulong()
        self._try("C_OpenSession", slot, _SERIAL_SESSION, None, None, byref(session))
        if info.flags & _LOGIN_REQUIRED:
            check_tries(key, info.flags)
            if pin is None:
                raise Problem("credential-missing", f"{key.uri}: the token wants a PIN, and there is no pin_file")
            self._try("C_Login", session, _USER, pin, len(pin), fine=(_ALREADY_LOGGED_IN,))
        number = self._count(_PRIVATE_KEY, key, session)
        if number != 1:
            many = "more than one" if number else "no"
            raise Problem("token-key-missing", f"{key.uri}: there is {many} such private key on the token")
        return self._count(_PUBLIC_KEY, key, session) > 0

    def _token(self, key: TokenKey) -> tuple[int, _TokenInfo]:
        found = [(slot, info) for slot in self._slots() if (info := self._info(slot)) and _matches(key, info)]
        if not found:
            raise Problem("token-missing", f"{key.uri}: there is no such token")
        if len(found) > 1:
            raise Problem("token-unusable", f"{key.uri} names {len(found)} tokens", hint="add serial= to the URI")
        return found[0]

    def _slots(self) -> list[int]:
        number = c_ulong()
        self._try("C_GetSlotList", 1, None, byref(number))
        slots = (c_ulong * number.value)()
        self._try("C_GetSlotList", 1, slots, byref(number))
        return list(slots[: number.value])

    def _info(self, slot: int) -> _TokenInfo | None:
        """Return None for a token that was removed meanwhile, or is none of PKCS#11."""
        info = _TokenInfo()
        try:
            self._call("C_GetTokenInfo", slot, byref(info))
        except _Failed:
            return None
        return info

    def _count(self, of: int, key: TokenKey, session: c_ulong) -> int:
        """Return how many objects of a class have the key's label and id: 0, 1, or 2 for more."""
        kind, found, number = c_ulong(of), (c_ulong * 2)(), c_ulong()
        values = {_LABEL: None if key.label is None else key.label.encode(), _ID: key.id}
        wanted = [_Attribute(_CLASS, ctypes.addressof(kind), ctypes.sizeof(kind))]
        wanted += [
            _Attribute(name, ctypes.cast(c_char_p(value), c_void_p), len(value))
            for name, value in values.items()
            if value is not None
        ]
        self._try("C_FindObjectsInit", session, (_Attribute * len(wanted))(*wanted), len(wanted))
        self._try("C_FindObjects", session, found, 2, byref(number))
        self._try("C_FindObjectsFinal", session)
        return number.value

    def _try(self, name: str, *arguments: Any, fine: tuple[int, ...] = ()) -> None:
        """Call a function and name its failure; raises Problem."""
        try:
            self._call(name, *arguments, fine=fine)
        except _Failed as failure:
            code = _CODES.get(failure.code, "token-failed")
            raise Problem(code, f"{printable(self._path)}: {failure}") from None

    def _call(self, name: str, *arguments: Any, fine: tuple[int, ...] = ()) -> None:
        place, types = _FUNCTIONS[name]
        code = ctypes.CFUNCTYPE(c_ulong, *types)(self._functions[place])(*arguments)
        if code not in (_OK, *fine):
            raise _Failed(name, code)


_CODES = {
    _TOKEN_NOT_PRESENT: "token-missing",
    _TOKEN_NOT_RECOGNIZED: "token-missing",
    _PIN_INCORRECT: "token-pin-refused",
    _PIN_INVALID: "token-pin-refused",
    _PIN_LENGTH: "token-pin-refused",
    _PIN_LOCKED: "token-pin-locked",
}


def check_tries(key: TokenKey, flags: int) -> None:
    """Leave the last try to a person; raises Problem. flags: of CK_TOKEN_INFO."""
    if flags & _PIN_IS_LOCKED:
        raise Problem("token-pin-locked", f"{key.uri}: the token's PIN is locked")
    if flags & _PIN_FINAL_TRY:
        raise Problem("token-pin-refused", f"{key.uri}: one more wrong PIN would lock the token, so none was tried")


def _matches(key: TokenKey, info: _TokenInfo) -> bool:
    """Compare the texts, which are padded with spaces."""
    return all(_text(getattr(info, name)) == wanted.rstrip() for name, wanted in key.token.items())


def _text(padded: bytes) -> str:
    return padded.decode("utf-8", "replace").rstrip(" \0")
