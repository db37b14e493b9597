"""The command line, as text for every dialect and against the real OpenOCD's configuration stage."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from ocdsup.openocd import command
from ocdsup.openocd.command import UNDER_RESET, BackendSpec, Core, LaunchProfile, Ports, argv
from ocdsup.openocd.dialect import Family, Version
from ocdsup.openocd.tcl import guard_script, parse_guarded, parse_list, tcl_quote, wrap_script

V10, V11, V12 = Version(0, 10, 0), Version(0, 11, 0), Version(0, 12, 0)
MASTER = Version(0, 12, 0, "+dev-01234")
FIXED = Ports(1001, 1002, 1003)
STLINK = BackendSpec(
    config=("interface/stlink.cfg", "target/stm32f4x.cfg"), vid_pid="0483:374b", serial="066B", adapter_speed_khz=950
)
LISTENING = re.compile(r"Listening on port (?P<port>\d+) for (?P<service>\w+) connections")
HOSTILE = ["a b", "[exit 7]", "$x", "a;exit 7", "}{", '"', "\\", "#", "{a", "é ", "a\tb", "-d3", "*", "~", "\\}", "a\\\nb"]


def scripts(line: list[str]) -> list[str]:
    return [line[at + 1] for at, word in enumerate(line) if word == "-c"]


def test_a_start_under_reset_reads_word_for_word() -> None:
    profile = LaunchProfile(under_reset=True, speed_khz=240, after="run")
    spec = BackendSpec("/opt/openocd", ("i.cfg", "t.cfg"), ("/a", "/b"), ("source x",), location="1-2", debug=3)
    listen = "bindto 127.0.0.1; gdb_port 0; telnet_port 0; tcl_port 0"
    line = argv(spec, V12, profile, Ports(), "TOKEN")
    assert line[:11] == ["/opt/openocd", "-s", "/a", "-s", "/b", "-d3", "-c", listen, "-f", "i.cfg", "-f"]
    assert scripts(line)[2:] == [
        "source x",
        "adapter speed 240",
        "gdb_report_data_abort enable",
        "gdb_report_register_access_error enable",
        command._REMEMBER,
        "reset_config srst_only srst_nogate connect_assert_srst",
        listen,
        command._PRIVATE,
        command._PROBE,
        command._ATTACH,
        "init",
        "catch {reset run}; list",
        command._NO_END,
        'echo "TOKEN [join [target names]]"',
    ]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (V10, ["adapter_khz 950", "hla_vid_pid 0x0483 0x374b", "hla_serial 066B", "jlink serial 066B"]),
        (
            V11,
            [
                "adapter speed 950",
                "hla_vid_pid 0x0483 0x374b",
                "hla_serial 066B",
                "st-link serial 066B",
                "register_access_error",
            ],
        ),
        (V12, ["adapter speed 950", "st-link vid_pid 0x0483 0x374b", "adapter serial 066B", "register_access_error"]),
        (MASTER, ["adapter speed 950", "adapter usb vid_pid 0x0483 0x374b", "adapter serial 066B", "register_access_error"]),
    ],
)
def test_every_dialect_has_its_own_words(version: Version, words: list[str]) -> None:
    text = "\n".join(scripts(argv(STLINK, version, LaunchProfile(), FIXED, "T")))
    assert [word for word in words if word not in text] == []
    assert ("adapter_khz" in text, "register_access_error" in text) == (version == V10, version != V10)


def test_master_is_told_its_own_names_first_and_the_others_only_theirs() -> None:
    """The old ones print DEPRECATED there (src/server/startup.tcl); builds of master from before 2024 know no others."""
    services = {
        "gdb port 50000": "gdb_port 50000",
        "telnet port 50001": "telnet_port 50001",
        "tcl port 50002": "tcl_port 50002",
    }
    reports = {f"gdb {words} enable": f"gdb_{words} enable" for words in ("report_data_abort", "report_register_access_error")}
    said = "\n".join(scripts(argv(STLINK, MASTER, LaunchProfile(), Ports(50000, 50001, 50002), "T")))
    for new, old in (services | reports).items():
        assert f"if {{[catch {{{new}}}]}} {{{old}}}" in said
    for version in (V10, V11, V12):
        said = "\n".join(scripts(argv(STLINK, version, LaunchProfile(), Ports(50000, 50001, 50002), "T")))
        assert all(old in said and new not in said for new, old in services.items())


def test_a_cures_own_speed_counts_and_not_the_configured_one() -> None:
    said = scripts(argv(replace(STLINK, adapter_speed_khz=4000), V12, LaunchProfile(True, 240, "run"), Ports(), "T"))
    assert [text for text in said if text.startswith("adapter speed")] == ["adapter speed 240"]


def test_a_place_that_cannot_be_chosen_is_an_error_only_where_nothing_else_chooses_the_probe() -> None:
    alone, named = (command.pins(BackendSpec(serial=serial, location="1-2"), V12)[-1] for serial in (None, "066B"))
    assert "error" in alone
    assert "error" not in named


def test_a_plain_start_never_speaks_of_reset() -> None:
    for version in (V10, V11, V12, MASTER):
        assert "reset" not in " ".join(argv(STLINK, version, LaunchProfile(), FIXED, "T"))


@pytest.mark.parametrize("after", ["run", "halt", "init"])
def test_the_wished_reset_follows_init(after: str) -> None:
    assert scripts(argv(STLINK, V12, LaunchProfile(after=after), Ports(), "T"))[-4:-2] == [
        "init",
        f"catch {{reset {after}}}; list",
    ]


@pytest.mark.parametrize("after", ["leave", "hold", "resume"])
def test_a_start_under_reset_must_reset(after: str) -> None:
    with pytest.raises(ValueError, match="leaves the board dead in reset"):
        LaunchProfile(under_reset=True, after=after)


@pytest.mark.parametrize(
    ("after", "does", "not_this"), [("hold", "arp_halt", "reset run"), ("resume", "reset run", "arp_halt")]
)
def test_a_core_is_put_back_into_its_state_behind_init_and_before_the_token(after: str, does: str, not_this: str) -> None:
    said = scripts(argv(STLINK, V12, LaunchProfile(after=after), Ports(), "TOKEN"))
    assert said[-4] == "init"
    assert does in said[-3]
    assert not_this not in said[-3]
    assert said[-1].startswith('echo "TOKEN')


def test_the_pins_select_exactly_this_probe() -> None:
    said = command.pins(BackendSpec(vid_pid="0483:374b", serial="066B", location="1-2"), V12)
    assert ["hla_vid_pid" in said[0] or "vid_pid 0x0483 0x374b" in said[0], "066B" in said[1], "1-2" in said[2]] == [True] * 3


def test_a_profile_that_would_leave_the_board_in_reset_is_refused() -> None:
    with pytest.raises(ValueError, match="dead in reset"):
        LaunchProfile(under_reset=True)
    with pytest.raises(ValueError, match="after must be"):
        LaunchProfile(after="explode")


def test_openocd_0_10_needs_fixed_ports() -> None:
    with pytest.raises(ValueError, match="does not print its ports"):
        argv(STLINK, V10, LaunchProfile(), Ports(), "T")


def test_the_stlink_server_replaces_usb_selection() -> None:
    spec = BackendSpec(vid_pid="0483:374b", location="1-2", serial="A", stlink_server_port=7184)
    text = "\n".join(scripts(argv(spec, V12, LaunchProfile(), Ports(), "T")))
    assert "st-link backend tcp 7184" in text
    assert "hla_stlink_backend tcp 7184" in text
    assert "vid_pid" not in text
    assert "location" not in text
    assert "adapter serial A" in text


def test_the_ready_line_names_the_targets() -> None:
    assert command.parse_ready("T a.cpu b.cpu", "T") == ("a.cpu", "b.cpu")
    assert command.parse_ready("T ", "T") == ()
    assert command.parse_ready("T", "T") == ()
    assert command.parse_ready("TT a", "T") is None
    assert command.parse_ready("xT a", "T") is None


def test_core_states_are_read() -> None:
    found = command.parse_cores("a.cpu 0 running {b c} 1 unknown ap 2 running")
    assert found == (Core("a.cpu", True, "running"), Core("b c", False, "unknown"), Core("ap", True, "running", core=False))
    assert command.parse_cores("") == ()


@pytest.mark.parametrize(
    "script",
    [
        command.verify_cores(),
        command.look_at_cores(["a b", "c}d"], "T"),
        command.examine(),
        command.restore_reset_config(),
        command.halt("a b"),
        command.resume("a}b"),
    ],
)
def test_every_snippet_can_be_asked_over_tcl(script: str) -> None:
    assert script in wrap_script(script)


def test_only_known_reset_modes_are_spelled() -> None:
    assert command.reset("halt") == "reset halt"
    with pytest.raises(ValueError, match="no reset mode"):
        command.reset("leave; exit")


# Against the real OpenOCD 0.12 ---------------------------------------------------------------------------------------

DUMMY = BackendSpec(
    config=("interface/dummy.cfg",),
    commands=(
        "transport select jtag; jtag newtap x y -irlen 4; target create a.cpu testee -chain-position x.y; list",
        "target create b.cpu testee -chain-position x.y -event gdb-attach {halt}; list",
        "reset_config trst_and_srst srst_push_pull",
        "adapter speed 100",
    ),
)

END = "_ocdsup_end"  # `shutdown` is refused behind a start


def run(line: list[str], *last: str) -> tuple[int, str]:
    extra = [word for script in last for word in ("-c", script)]
    done = subprocess.run(
        [*line, *extra], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False
    )
    return done.returncode, done.stdout.decode()


@pytest.mark.bench
@pytest.mark.parametrize("config", ["interface/stlink.cfg", "interface/stlink-dap.cfg"])
@pytest.mark.parametrize("profile", [LaunchProfile(), LaunchProfile(True, 240, "halt")])
@pytest.mark.parametrize("server", [None, 1])
def test_the_stlink_configurations_fail_only_where_the_probe_is_opened(
    config: str, profile: LaunchProfile, server: int | None
) -> None:
    spec = BackendSpec(
        config=(config, "target/stm32f4x.cfg"), vid_pid="0483:374b", serial="NO SUCH; [exit 7]", stlink_server_port=server
    )
    code, output = run(argv(spec, V12, profile, Ports(), "T"))
    errors = [text for text in output.splitlines() if text.startswith("Error")]
    assert code == 1
    assert errors == [
        "Error: open failed" if server is None else "Error: cannot connect to stlink server, errno: Connection refused"
    ]
    assert ("connect_assert_srst" in output) is profile.under_reset


@pytest.mark.bench
def test_a_whole_start_under_reset_runs_and_gives_the_boards_own_reset_config_back() -> None:
    line = argv(DUMMY, V12, LaunchProfile(True, 240, "run"), Ports(), "TOKEN")
    code, output = run(
        line,
        "echo BEFORE:[reset_config]",
        command.restore_reset_config(),
        "echo AFTER:[reset_config]",
        "echo ATTACH:[b.cpu cget -event gdb-attach]",
        f"echo CORES:[{command.verify_cores().replace('; ', ';')}]",
        END,
    )
    assert code == 0, output
    lines = output.splitlines()
    assert [command.parse_ready(text, "TOKEN") for text in lines if text.startswith("TOKEN")] == [("a.cpu", "b.cpu")]
    assert "BEFORE:srst_only separate srst_nogate srst_push_pull connect_assert_srst" in lines
    assert "AFTER:trst_and_srst separate srst_gates_jtag trst_push_pull srst_push_pull connect_deassert_srst" in lines
    assert "ATTACH:catch {ocdsup_attach b.cpu}" in lines
    cores = next(text for text in lines if text.startswith("CORES:")).removeprefix("CORES:")
    assert [core.target for core in command.parse_cores(cores)] == ["a.cpu", "b.cpu"]
    assert "clock speed 240 kHz" in output
    assert UNDER_RESET not in command.restore_reset_config()


@pytest.mark.bench
def test_cores_are_told_from_targets_that_have_none_and_a_look_leaves_the_log_level_alone() -> None:
    """A TAP that is disabled has no core to ask; a look prints a line of its own, and nothing is its result."""
    more = "jtag newtap x z -irlen 4 -disable; target create c.cpu testee -chain-position x.z; list"
    spec = replace(DUMMY, commands=(*DUMMY.commands, more))
    line = argv(spec, V12, LaunchProfile(), Ports(), "TOKEN")
    look = command.look_at_cores(["b.cpu", "c.cpu", "no such"], "LOOK")
    code, output = run(line, f"echo CORES:[{command.verify_cores()}]", f"echo RESULT:[{look}]", "debug_level", END)
    assert code == 0, output
    lines = output.splitlines()
    told = [text.removeprefix("CORES:").removeprefix("LOOK ") for text in lines if text.startswith(("CORES:", "LOOK "))]
    names = [[(core.target, core.core) for core in command.parse_cores(text)] for text in told]
    assert names == [[("a.cpu", True), ("b.cpu", True), ("c.cpu", False)]] * 2
    assert "RESULT:" in lines
    assert "debug_level: 2" in lines


SAID_TO_ALL = "ocdsup: this OpenOCD is supervised; `ocdsup stop` takes it down"


@pytest.mark.bench
@pytest.mark.parametrize(
    "script",
    [
        "shutdown",
        "shutdown error",
        "::shutdown",
        "if 1 shutdown",
        "{*}shutdown",
        "set a shut; ${a}down",
        "lmap x 1 {shutdown}",
        "apply {{} shutdown}",
        "proc bye {} {shutdown}; bye",
        "program /no/such.elf exit",
    ],
)
def test_a_supervised_openocd_refuses_to_end_however_it_is_told_to(script: str) -> None:
    line = argv(DUMMY, V12, LaunchProfile(), Ports(), "T")
    code, output = run(line, f"catch {{{script}}} said; list", "echo <$said>", f"echo alive; {END}")
    assert code == 0, output
    assert f"<{SAID_TO_ALL}>" in output
    assert "\nalive\n" in output


@pytest.mark.bench
def test_a_command_that_ends_openocd_later_does_not_end_a_supervised_one() -> None:
    line = argv(DUMMY, V12, LaunchProfile(), Ports(), "T")
    code, output = run(line, "after 1 shutdown", f"after 50 {{echo alive; {END}}}")
    assert code == 0, output
    assert SAID_TO_ALL in output
    assert "\nalive\n" in output


@pytest.mark.bench
@pytest.mark.parametrize("script", ["shutdown", "proc init_targets {} {shutdown}"])
def test_the_boards_own_files_may_still_end_openocd_in_its_start(script: str) -> None:
    spec = replace(DUMMY, commands=(*DUMMY.commands, script))
    _, output = run(argv(spec, V12, LaunchProfile(), Ports(), "TOKEN"))
    assert "shutdown command invoked" in output
    assert "TOKEN" not in output


@pytest.mark.bench
@pytest.mark.parametrize(
    "own", ["proc shutdown {args} {echo <own>; return -code 9}; list", "lappend pre_shutdown_commands {echo <own>}; list"]
)
def test_what_a_board_does_at_the_end_of_openocd_is_left_to_it(own: str) -> None:
    spec = replace(DUMMY, commands=(*DUMMY.commands, own))
    line = argv(spec, V12, LaunchProfile(), Ports(), "T")
    _, output = run(line, "echo hidden:[llength [info commands _ocdsup_end]]", "exit")
    assert "hidden:0" in output


@pytest.mark.bench
def test_a_guarded_command_finds_its_own_end_over_the_refusal_and_leaves_that_in_place() -> None:
    line = argv(DUMMY, V12, LaunchProfile(), Ports(), "T")
    guarded = guard_script("[format shut%s down] error")
    code, output = run(line, f"set told [{guarded}]; list", "echo <$told>", "catch shutdown said; list", "echo <$said>", END)
    assert code == 0, output
    (told,) = re.findall("^<(.*shutdown error.*)>$", output, flags=re.MULTILINE)
    assert parse_guarded(told).ended == 1
    assert f"<{SAID_TO_ALL}>" in output


@pytest.mark.bench
def test_a_configuration_file_cannot_open_a_public_port() -> None:
    spec = BackendSpec(
        config=DUMMY.config, commands=(*DUMMY.commands, "bindto 0.0.0.0; gdb_port 3333; telnet_port 4444; tcl_port 6666")
    )
    code, output = run(argv(spec, V12, LaunchProfile(), Ports(), "T"), f"after 1 {END}; list")
    assert code == 0, output
    ports = {match["service"]: int(match["port"]) for match in LISTENING.finditer(output)}
    assert set(ports) == {"tcl", "telnet"}
    assert not set(ports.values()) & {3333, 4444, 6666}


@pytest.mark.bench
@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (BackendSpec(config=DUMMY.config, stlink_server_port=1), "has no ST-LINK server backend"),
        (BackendSpec(config=("no/such} ; exit 7 ; {.cfg",)), "Can't find no/such} ; exit 7 ; {.cfg"),
        (BackendSpec(config=("no/such file [exit 7] $x.cfg",)), "Can't find no/such file [exit 7] $x.cfg"),
    ],
)
def test_what_openocd_cannot_do_ends_the_start_with_its_reason(spec: BackendSpec, says: str) -> None:
    code, output = run(argv(spec, V12, LaunchProfile(), Ports(), "T"))
    assert code == 1
    assert says in output


@pytest.mark.bench
def test_openocds_own_tcl_reads_hostile_words_as_text() -> None:
    wanted = [f"<{text}>" for text in HOSTILE]
    echo = "; ".join(f"echo <[string map {{}} {tcl_quote(text)}]>" for text in HOSTILE)
    code, output = run(["openocd", "-c", echo, "-c", "shutdown"])
    assert code == 0, output
    assert "\n".join(wanted) in output


def test_every_family_that_starts_is_in_the_table() -> None:
    assert {version.family for version in (V10, V11, V12, MASTER)} == {f for f in Family if f >= Family.V0_10}


@pytest.mark.parametrize(
    ("profile", "first"),
    [
        (LaunchProfile(under_reset=True, after="halt", held=("a", "b c")), "catch {reset halt}"),
        (LaunchProfile(after="hold", held=("a", "b c")), "set _h 0"),
    ],
)
def test_a_start_for_some_of_the_cores_lets_the_others_run(profile: LaunchProfile, first: str) -> None:
    """The names are one Tcl word that is the list of them."""
    [_, reset, _, _] = scripts(argv(BackendSpec(config=("t.cfg",)), V12, profile, Ports(), "T"))[-4:]
    assert reset.startswith(first)
    word = reset.partition("lsearch -exact ")[2].partition(" $_t]")[0]
    assert parse_list(parse_list(word)[0]) == ["a", "b c"]
    assert "targets $_t; catch {resume}" in reset


def test_states_are_read_from_a_line_with_our_word_only() -> None:
    assert command.parse_states("T a 0 running b 0 {examine deferred}", "T") == (
        Core("a", True, "running"),
        Core("b", True, "examine deferred"),
    )
    assert command.parse_states("U a 0 running", "T") is None
