"""What four IDEs say to GDB, as data: one `Book` per IDE, read in its sources, with the time it allows for each answer.

Words in braces are filled in: `{elf}` the program, `{port}` the stable port, `{script}` the file that GDB sources at its start,
`{thread}` the thread that stopped, `{where}` a breakpoint's place.
"""

from __future__ import annotations

from dataclasses import dataclass

FOREVER = 60.0  # seconds: the IDE itself waits without a limit; only a broken run gets there


@dataclass(frozen=True, slots=True)
class Goodbye:
    """One step of a farewell: a line, and how many seconds the IDE waits for its answer before it goes to the next step."""

    line: str
    within: float
    skip: int = 0  # steps that are left out when the answer came in time


@dataclass(frozen=True, slots=True)
class Book:
    """One IDE's lines in each situation. `goodbye` ends with the line after whose time the IDE kills GDB."""

    ide: str
    source: str
    argv: tuple[str, ...]
    in_flight: int  # commands that are sent before the first one is answered
    start: tuple[str, ...]  # up to the resume that ends at `main`; the last line is that resume
    at_stop: tuple[str, ...]  # what fills the views after each stop
    break_at: str
    resume: str
    step: str
    pause: str
    restart: tuple[str, ...]  # the button that starts the program again; the last line is a resume
    goodbye: tuple[Goodbye, ...]
    script: tuple[str, ...] = ()
    ready: str = ""  # GDB's console line after which the IDE goes on, half a second of silence later
    attach: tuple[str, ...] = ()  # how it comes to a board that runs, instead of `start`
    sync: tuple[str, ...] = ()  # what it does behind a reset by an OpenOCD that it has started itself
    live: tuple[str, ...] = ()  # the second GDB of Live Watch: how it connects
    watch: tuple[str, ...] = ()  # … what it creates once, for the variable that is watched
    refresh: tuple[str, ...] = ()  # … and asks again and again


_CORTEX_START = (
    "-gdb-version",
    "-gdb-set mi-async on",
    '-interpreter-exec console "set print demangle on"',
    '-interpreter-exec console "set print asm-demangle on"',
    "-enable-pretty-printing",
    '-interpreter-exec console "set output-radix 0xa"',
    '-interpreter-exec console "set input-radix 0xa"',
    '-file-exec-and-symbols "{elf}"',
)
_CORTEX_SELECT = "-target-select extended-remote localhost:{port}"

CORTEX_DEBUG = Book(
    ide="cortex-debug",
    source="Marus/cortex-debug 428af02 (2026-07): src/external.ts, src/openocd.ts, src/gdb.ts (disconnectRequest2),"
    " src/backend/mi2/mi2.ts (one command at a time; detach() 100 ms, stop() 500 ms, interrupt 2 s), src/live-watch-monitor.ts",
    argv=("-q", "--interpreter=mi2"),
    in_flight=1,
    start=(
        *_CORTEX_START,
        _CORTEX_SELECT,
        '-interpreter-exec console "monitor reset halt"',
        "-target-download",
        '-interpreter-exec console "monitor reset halt"',
        "-break-insert -t --function main",
        "-exec-continue --all",
    ),
    at_stop=(
        "-thread-list-ids",
        "-thread-info {thread}",
        "-stack-list-frames --thread {thread} 0 19",
        "-stack-list-variables --thread {thread} --frame 0 --simple-values",
        "-stack-select-frame --thread {thread} 0",
        "-data-list-register-values x",
        "-data-read-memory-bytes 0x20000000 64",
    ),
    break_at="-break-insert -h {where}",
    resume="-exec-continue --thread {thread}",
    step="-exec-step-instruction --thread {thread}",
    pause="-exec-interrupt",
    restart=(
        '-interpreter-exec console "monitor reset halt"',
        "-break-insert -t --function main",
        "-exec-continue --all",
    ),
    goodbye=(
        Goodbye("-break-delete", FOREVER),
        Goodbye("-target-detach", 0.1, skip=1),
        Goodbye("-target-disconnect", 0.5),
        Goodbye("-gdb-exit", 0.5),
    ),
    attach=(*_CORTEX_START, _CORTEX_SELECT, '-interpreter-exec console "monitor halt"'),
    sync=(
        '-interpreter-exec console "monitor reset halt"',
        '-interpreter-exec console "monitor gdb_sync"',
        '-interpreter-exec console "stepi"',
    ),
    live=(
        *_CORTEX_START,
        '-interpreter-exec console "set stack-cache off"',
        '-interpreter-exec console "set remote interrupt-on-connect off"',
        _CORTEX_SELECT,
    ),
    watch=('-var-create watch_1 @ "counter"',),
    refresh=("-var-update --all-values *",),
)

ECLIPSE = Book(
    ide="eclipse-embed-cdt",
    source="eclipse-embed-cdt/eclipse-plugins 4ed6716b (2024-08): openocd.core DebuggerCommands.java, DefaultPreferences.java,"
    " GnuMcuFinalLaunchSequence.java; eclipse-cdt/cdt 90d1dd31 (2026-07): AbstractMIControl.java (three commands in flight),"
    " FinalLaunchSequence.java, GDBControl.java (an exit without an answer for 2 s: GDB is killed)",
    argv=("-q", "--nx", "--interpreter=mi2"),
    in_flight=3,
    start=(
        "-gdb-version",
        "-environment-cd /",
        "-gdb-set breakpoint pending on",
        "-enable-pretty-printing",
        "-gdb-set print object on",
        "-gdb-set print sevenbit-strings on",
        "-gdb-set charset ISO-8859-1",
        "-gdb-set mi-async on",
        "-gdb-set auto-solib-add on",
        "set mem inaccessible-by-default off",
        "-target-select remote localhost:{port}",
        "monitor reset init",
        "monitor halt",
        "monitor arm semihosting enable",
        "symbol-file {elf}",
        "load {elf}",
        "monitor reset halt",
        "monitor halt",
        "tbreak main",
        "monitor reg",
        "continue",
    ),
    at_stop=(
        "-thread-info {thread}",
        "-stack-info-depth --thread {thread} 11",
        "-stack-list-frames --thread {thread}",
        "-stack-list-arguments --thread {thread} 0",
        "-stack-list-locals --thread {thread} --frame 0 0",
        "-data-list-register-names --thread {thread}",
        "-data-list-register-values --thread {thread} x",
        "-data-read-memory-bytes 0x20000000 64",
        "monitor reg",
    ),
    break_at="-break-insert -h {where}",
    resume="-exec-continue --thread {thread}",
    step="-exec-step-instruction --thread {thread} 1",
    pause="-exec-interrupt --thread {thread}",
    restart=("monitor reset halt", "monitor halt", "tbreak main", "monitor reg", "continue"),
    goodbye=(Goodbye("-target-detach", FOREVER), Goodbye("-gdb-exit", 2.0)),
)

PLATFORMIO = Book(
    ide="platformio",
    source="platformio/platformio-core 145142ea (2025-02): debug/config/generic.py (script), debug/process/gdb.py"
    " (continues by itself, `monitor reset` and exit back to back)",
    argv=("-q", "-l", "10", "--interpreter=mi2", "-x", "{script}", "{elf}"),
    in_flight=1,
    script=(
        "define pio_reset_halt_target",
        "    monitor reset halt",
        "end",
        "define pio_reset_run_target",
        "    monitor reset",
        "end",
        "set mi-async on",
        "target extended-remote localhost:{port}",
        "monitor init",
        "load",
        "pio_reset_halt_target",
        "tbreak main",
        "echo PlatformIO: Initialization completed\\n",
    ),
    ready="PlatformIO: Initialization completed",
    start=("-exec-continue",),
    at_stop=(
        "-thread-info",
        "-stack-list-frames --thread {thread} 0 20",
        "-stack-list-variables --thread {thread} --frame 0 --simple-values",
        "-data-list-register-names",
        "-data-list-register-values N",
        "-data-read-memory-bytes 0x20000000 64",
    ),
    break_at="-break-insert -h {where}",
    resume="-exec-continue",
    step="-exec-step-instruction",
    pause="-exec-interrupt",
    restart=("pio_reset_halt_target", "tbreak main", "-exec-continue"),
    goodbye=(Goodbye("pio_reset_run_target", 0.0), Goodbye("-gdb-exit", FOREVER)),
)

CPPTOOLS = Book(
    ide="cpptools",
    source="microsoft/MIEngine 2014d665 (2026-07): DebuggedProcess.cs GetInitializeCommands, MICommandFactory.cs, gdb.cs"
    " (Terminate is `kill`), Debugger.cs CmdExitAsync",
    argv=("--interpreter=mi",),
    in_flight=1,
    start=(
        '-interpreter-exec console "set pagination off"',
        "set debuginfod enabled off",
        "-gdb-set auto-solib-add on",
        "-file-exec-and-symbols {elf}",
        '-interpreter-exec console "show architecture"',
        "-gdb-set mi-async on",
        "-break-insert -f main",
        "-target-select remote localhost:{port}",
        "monitor reset halt",
        "-exec-continue",
    ),
    at_stop=(
        "-thread-info",
        "-stack-list-frames --thread {thread} 0 1000",
        "-stack-list-arguments --thread {thread} 0 0 0",
        "-stack-list-variables --thread {thread} --frame 0 0",
        "-data-list-register-names",
        "-data-list-register-values --thread {thread} x",
        "-data-read-memory-bytes 0x20000000 64",
    ),
    break_at="-break-insert -f -h {where}",
    resume="-exec-continue",
    step="-exec-step-instruction --thread {thread} --frame 0",
    pause="-exec-interrupt",
    restart=("monitor reset halt", "-exec-continue"),
    goodbye=(Goodbye("kill", FOREVER), Goodbye("-gdb-exit", FOREVER)),
)

BOOKS = {book.ide: book for book in (CORTEX_DEBUG, ECLIPSE, PLATFORMIO, CPPTOOLS)}
