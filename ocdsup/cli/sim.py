"""`ocdsup sim`: the simulated ST-LINK and board on their own, and what can be done to them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ocdsup.cli.front import port

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocdsup.sim.client import SimClient
    from ocdsup.sim.server import SimServer

DONE, FAILED, USAGE, NOT_RUNNING = 0, 1, 2, 3
PORT = 7184
BOARDS = ("stm32f407", "stm32f411", "stm32f103", "dual-m4")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its own verbs: break, heal, log, status, press, power."""
    verb = verbs.add_parser(
        "sim",
        description="Simulate an ST-LINK with a board behind it, for any OpenOCD 0.12 or newer (stlink-server protocol).",
    )
    verb.add_argument("--port", type=port, default=PORT, help=f"TCP port on 127.0.0.1; 0 = any free one (default {PORT})")
    verb.add_argument("--board", choices=BOARDS, default=BOARDS[0], help=f"the board (default {BOARDS[0]})")
    verb.add_argument("--serial", action="append", metavar="S", help="serial number; repeat it for several probes")
    verb.add_argument("--control", type=Path, metavar="PATH", help="control socket")
    verb.set_defaults(run=run)
    actions = verb.add_subparsers(metavar="ACTION", title="to a running simulator")
    _add_break(actions)
    heal = _action(actions, "heal", "end a fault, or all", run_heal)
    heal.add_argument("fault", nargs="?", metavar="FAULT")
    log = _action(actions, "log", "what the host did to the probe", run_log)
    log.add_argument("--clear", action="store_true", help="forget it afterwards")
    _action(actions, "status", "the state of probes and boards", run_status)
    _action(actions, "press", "press the reset button", run_press)
    _action(actions, "power", "take the board's supply away and back", run_power)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    call: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    one = actions.add_parser(name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    one.add_argument("--port", type=port, default=argparse.SUPPRESS, help="port of the simulator")
    one.add_argument("--control", type=Path, metavar="PATH", default=argparse.SUPPRESS, help="control socket")
    one.add_argument("--serial", metavar="S", default=argparse.SUPPRESS, help="which probe (default: the first)")
    one.set_defaults(run=call)
    return one


def _add_break(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from ocdsup.sim.faults import FAULTS

    one = _action(actions, "break", "put a fault into force", run_break)
    one.add_argument("fault", choices=sorted(FAULTS), metavar="FAULT")
    one.epilog = "faults:\n" + "\n".join(f"  {spec.name:13} {spec.text}" for spec in FAULTS.values())
    texts: dict[str, list[str]] = {}  # several faults may have an option of the same name
    for spec in FAULTS.values():
        for option in spec.options:
            texts.setdefault(option.name, []).append(f"{spec.name}: {option.text}")
    for name, text in texts.items():
        one.add_argument(f"--{name}", type=_number, metavar="N", help="; ".join(text))


def _number(text: str) -> float:
    """Read a decimal, hexadecimal or fractional number."""
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


# ---- the simulator ----


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    import asyncio

    try:
        from ocdsup.sim import server  # noqa: F401  (whether the emulator library is there is known here)
    except ImportError as missing:
        print(f"ocdsup: {missing}", file=sys.stderr)
        return FAILED
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        print(f"ocdsup: cannot start the simulated ST-LINK on port {options.port}: {error}", file=sys.stderr)
        return FAILED
    return DONE


async def _serve(options: argparse.Namespace) -> None:
    import asyncio
    import signal

    from ocdsup.sim.probe import DEFAULT_SERIAL
    from ocdsup.sim.server import SimServer, make_probe

    probes = [make_probe(serial, options.board) for serial in options.serial or [DEFAULT_SERIAL]]
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with SimServer(probes, options.port, options.control) as sim:
        _announce(sim)
        await ended.wait()


def _announce(sim: SimServer) -> None:
    from ocdsup.sim.board import target_file

    for probe in sim.probes:
        name = f"simulated ST-LINK {probe.serial} ({probe.board.spec.name})"
        print(f"{name} on 127.0.0.1:{sim.port}, control {sim.control_path}")
    chosen = f' -c "adapter serial {sim.probes[0].serial}"' if len(sim.probes) > 1 else ""
    spec = sim.probes[0].board.spec
    interface, driver = ("stlink", "hla_stlink_backend") if spec.cores == 1 else ("stlink-dap", "st-link backend")
    backend = f'-c "{driver} tcp {sim.port}"'
    print(f"try: openocd -f interface/{interface}.cfg {backend}{chosen} -f {target_file(spec)}", flush=True)


# ---- a running simulator ----


def _told(options: argparse.Namespace, call: Callable[[SimClient], int]) -> int:
    """Make a request; turn its failure into a sentence and an exit code."""
    from ocdsup.sim.client import SimClient, SimError, control_path

    path = options.control or control_path(options.port)
    try:
        return call(SimClient(path))
    except SimError as refused:
        print(f"ocdsup: the simulator refused: {refused}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"ocdsup: no simulator answers at {path}: {error}; start one with: ocdsup sim", file=sys.stderr)
        return NOT_RUNNING


def _serial(options: argparse.Namespace) -> str | None:
    serial: list[str] | str | None = options.serial
    return serial[0] if isinstance(serial, list) else serial


def run_break(options: argparse.Namespace) -> int:
    """Put a fault into force."""
    from ocdsup.sim.faults import FAULTS

    names = [option.name for spec in FAULTS.values() for option in spec.options]
    given = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name in names}
    chosen = {name: value for name, value in given.items() if value is not None}

    def call(client: SimClient) -> int:
        shaped = client.break_(options.fault, _serial(options), **chosen)["options"]
        text = ", ".join(f"{name} {value:g}" for name, value in shaped.items() if value is not None)
        print(f"broken: {options.fault}" + (f" ({text})" if text else ""))
        return DONE

    return _told(options, call)


def run_heal(options: argparse.Namespace) -> int:
    """End one fault or all."""

    def call(client: SimClient) -> int:
        ended = client.heal(options.fault, _serial(options))
        print("healed: " + (", ".join(ended) if ended else "nothing was broken"))
        return DONE

    return _told(options, call)


def run_log(options: argparse.Namespace) -> int:
    """Print events, then counts."""

    def call(client: SimClient) -> int:
        log = client.log(_serial(options), options.clear)
        for event in log["events"]:
            print(f"{event['t']:10.3f} s  {event['event']}")
        for name, count in sorted(log["counts"].items()):
            print(f"{count:10d} x  {name}")
        return DONE

    return _told(options, call)


def run_status(options: argparse.Namespace) -> int:
    """Print one line per probe."""

    def call(client: SimClient) -> int:
        for probe in client.status():
            where = "" if probe["present"] else ", unplugged"
            used = ", open" if probe["open"] else ""
            faults = ", faults: " + ", ".join(probe["faults"]) if probe["faults"] else ""
            cores = " and ".join(probe["cores"])
            state = f"{cores} at {probe['pc']}, NRST {probe['nrst']}, boots {probe['boots']}"
            print(f"{probe['serial']} {probe['board']}: {state}{used}{where}{faults}")
        return DONE

    return _told(options, call)


def run_press(options: argparse.Namespace) -> int:
    """Press the reset button."""

    def call(client: SimClient) -> int:
        client.press_reset(_serial(options))
        print("reset button pressed")
        return DONE

    return _told(options, call)


def run_power(options: argparse.Namespace) -> int:
    """Cycle the board's supply."""

    def call(client: SimClient) -> int:
        client.power_cycle(_serial(options))
        print("power cycled")
        return DONE

    return _told(options, call)
