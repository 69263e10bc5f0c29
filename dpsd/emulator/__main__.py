"""The command `dpsd-emulator`."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpsd import __version__
from dpsd.emulator.server import DEFAULT_HUBS, Emulator, HubAddress, Settings
from dpsd.emulator.switches import Switches, describe_switches
from dpsd.emulator.wire import faults
from dpsd.errors import EXIT_CONFIGURATION, EXIT_DONE, EXIT_UNAVAILABLE, EXIT_USAGE
from dpsd.shape import ShapeError, Table, parse_object
from dpsd.text import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP reads enrollments and faults again. Returns the exit status."""
    options = _make_parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dpsd-emulator-") as folder:
        try:
            return asyncio.run(_run(options, Path(options.directory or folder)))
        except (ShapeError, UnicodeDecodeError) as error:
            return _report(str(error), EXIT_CONFIGURATION)
        except ValueError as error:
            return _report(str(error), EXIT_USAGE)
        except OSError as error:
            return _report(str(error), EXIT_UNAVAILABLE)


def _report(sentence: str, status: int) -> int:
    print(f"dpsd-emulator: {printable(sentence, 1000)}", file=sys.stderr)
    return status


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dpsd-emulator",
        description="A local DPS and IoT Hub. Prints one JSON line when it listens, then one for each event.",
        epilog=f"switches:\n{describe_switches()}\n\nfaults file, an object with a list `faults`:\n{faults.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--directory",
        metavar="DIR",
        help="certificates and ready-made devices; kept and used again (default: a temporary one)",
    )
    add("--address", default="127.0.0.1", help="DPS's address (default: %(default)s)")
    add("--name", action="append", default=[], help="another DNS name of DPS for the server certificate")
    add(
        "--hub",
        action="append",
        type=_parse_hub,
        metavar="NAME=ADDRESS",
        help="a hub; an IP address alone is its own name",
    )
    add("--port", type=_parse_port, default=8883, help="MQTT over TLS; 0 picks a free one (default: %(default)s)")
    add("--websocket-port", type=_parse_port, default=443, help="MQTT over WebSocket (default: %(default)s)")
    add(
        "--enrollments",
        metavar="FILE",
        help="JSON in the service API's names, put over the ready-made enrollments",
    )
    add("--faults", metavar="FILE", help="JSON: what goes wrong on purpose")
    add(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a choice where the service is not known",
    )
    add("--version", action="version", version=f"dpsd-emulator {__version__}")
    return parser


def _parse_hub(text: str) -> HubAddress:
    name, _, address = text.partition("=")
    try:
        return HubAddress(name.lower(), str(ipaddress.ip_address(address or name)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=ADDRESS with an IP address") from None


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port number")
    return int(text)


def _allow_many_connections() -> None:
    """Raise the limit of open descriptors to the most that is allowed; usually a process starts with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(options: argparse.Namespace, directory: Path) -> int:
    _allow_many_connections()
    settings = Settings(
        directory=directory,
        address=str(ipaddress.ip_address(options.address)),
        hubs=tuple(options.hub or DEFAULT_HUBS),
        port=options.port,
        websocket_port=options.websocket_port,
        enrollments=_load_document(options.enrollments),
        faults=_load_faults(options.faults),
        switches=Switches(options.switch),
        names=tuple(options.name),
        output=sys.stdout,
    )
    emulator = Emulator(settings)
    # Before it says that it listens: whoever reads that may send a signal at once.
    stopped = _handle_signals(emulator, options)
    async with emulator:
        await stopped.wait()
    return EXIT_DONE


def _handle_signals(emulator: Emulator, options: argparse.Namespace) -> asyncio.Event:
    """Handle SIGTERM, SIGINT and SIGHUP; return the event that the first two set."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, emulator, options)
    return stopped


def _reload(emulator: Emulator, options: argparse.Namespace) -> None:
    try:
        emulator.replace(_load_document(options.enrollments), _load_faults(options.faults))
    except (ValueError, OSError) as error:
        emulator.log.write("not-reloaded", message=str(error))


def _load_document(path: str | None) -> dict[str, Any]:
    return dict(parse_object(Path(path).read_text(), Path(path).name).values) if path else {}


def _load_faults(path: str | None) -> list[Any]:
    document = Table(_load_document(path))
    document.check_names(("faults",))
    return document.list("faults") if path else []


if __name__ == "__main__":
    sys.exit(main())
