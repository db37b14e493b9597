"""Threads of an RTOS: what a new OpenOCD has to be told and asked, and what GDB is told meanwhile."""

from collections.abc import Generator

import pytest

from ocdsup.rsp.answers import Answers
from ocdsup.rsp.packets import monitor_request, name
from ocdsup.rsp.policy import Policy
from ocdsup.rsp.reception import answer_here
from ocdsup.rsp.replay import Heard
from ocdsup.rsp.shadow import Shadow
from ocdsup.rsp.threads import (
    choose,
    chooser,
    current,
    is_listed,
    known,
    learn,
    named,
    read,
    step_there,
    symbol,
    with_thread,
    written_to,
)

LIST = b'l<?xml version="1.0"?>\n<threads>\n<thread id="20000088" name="a">Name: a</thread>\n</threads>\n'
NO_LIST = b'l<?xml version="1.0"?>\n<threads>\n</threads>\n'
ASK = b"qXfer:threads:read::0,1000"


def talk(dialogue: Generator[bytes, Heard, object], replies: dict[bytes, bytes]) -> list[bytes]:
    """Hold a dialogue with somebody who has these replies and says `OK` to all else; return what was asked."""
    asked: list[bytes] = []
    try:
        asked.append(next(dialogue))
        while True:
            asked.append(dialogue.send(Heard(replies.get(asked[-1], b"OK"))))
    except StopIteration:
        return asked


def told(shadow: Shadow, *pairs: tuple[bytes, bytes]) -> Shadow:
    """Let GDB and its OpenOCD speak about symbols: pairs of request and reply."""
    for body, reply in pairs:
        shadow.answered(name(body), body, reply)
    return shadow


def test_what_gdb_has_answered_once_is_answered_again() -> None:
    """In whatever order the next process asks; what GDB did not know stays unknown, and what it was never asked too."""
    shadow = told(Shadow(), (b"qSymbol::", b"qSymbol:61"), (b"qSymbol:20000000:61", b"qSymbol:62"), (b"qSymbol::62", b"OK"))
    asked = talk(
        learn(shadow),
        {b"qSymbol::": b"qSymbol:62", b"qSymbol::62": b"qSymbol:61", b"qSymbol:20000000:61": b"qSymbol:63"},
    )
    assert asked == [b"qSymbol::", b"qSymbol::62", b"qSymbol:20000000:61", b"qSymbol::63"]


def test_a_question_that_gdb_has_still_to_answer_is_left_to_it() -> None:
    """The process died in the middle: the replay goes as far as GDB had come."""
    shadow = told(Shadow(), (b"qSymbol::", b"qSymbol:61"), (b"qSymbol:20000000:61", b"qSymbol:62"))
    asked = talk(learn(shadow), {b"qSymbol::": b"qSymbol:61", b"qSymbol:20000000:61": b"qSymbol:62"})
    assert asked == [b"qSymbol::", b"qSymbol:20000000:61"]


def test_without_an_offer_of_gdb_nothing_is_offered() -> None:
    """A GDB without a program knows no symbols."""
    assert talk(learn(Shadow()), {}) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"qSymbol::", (b"", b"")),
        (b"qSymbol:20000000:61", (b"61", b"20000000")),
        (b"qSymbol::61", (b"61", b"")),
        (b"qSymbol", None),
    ],
)
def test_a_symbol_is_read(body: bytes, found: tuple[bytes, bytes] | None) -> None:
    """Name and address; what has another form is none."""
    assert symbol(body) == found


def test_a_stop_names_its_thread_and_ours_do_too() -> None:
    """The reason stays, and a name that is there is not replaced."""
    assert named(b"T05thread:20000088;") == b"20000088"
    assert named(b"T05watch:20000000;thread:1;") == b"1"
    assert named(b"S05") == b""
    assert with_thread(b"T02", b"1") == b"T02thread:1;"
    assert with_thread(b"S05", b"1") == b"T05thread:1;"
    assert with_thread(b"T05thread:2;", b"1") == b"T05thread:2;"
    assert with_thread(b"S05", b"") == b"S05"


def test_the_thread_of_the_last_stop_is_chosen_again() -> None:
    """As GDB takes it, which then sends no `Hg`; one that it has sent since counts more."""
    shadow = Shadow(threads={b"Hg": b"Hg0", b"Hc": b"Hc-1"}, resume=b"c")
    shadow.stopped(b"T05thread:20000088;")
    assert talk(choose(shadow), {}) == [b"Hc-1", b"Hg20000088"]
    told(shadow, (b"Hg20000100", b"OK"))
    assert talk(choose(shadow), {}) == [b"Hc-1", b"Hg20000100"]


def test_after_a_reset_no_thread_of_before_is_chosen() -> None:
    """Its registers are read from what was its stack."""
    shadow = Shadow(last_stop=b"T05thread:20000088;", chosen=b"Hg20000100")
    shadow.owes("reset\n")
    assert talk(choose(shadow), {}) == [b"Hg0"]


@pytest.mark.parametrize(("reply", "thread"), [(b"QC0000000020000088", b"20000088"), (b"QC0", b""), (b"", b""), (b"E01", b"")])
def test_the_current_thread_is_asked_for(reply: bytes, thread: bytes) -> None:
    """None where the server knows of none."""
    dialogue = current()
    assert next(dialogue) == b"qC"
    with pytest.raises(StopIteration) as ended:
        dialogue.send(Heard(reply))
    assert ended.value.value == thread


@pytest.mark.parametrize(("reply", "steps"), [(b"QC0000000000000000", True), (b"QC0000000000000001", False), (b"QC0", False)])
def test_threads_are_read_by_a_step_only_where_it_is_certainly_none(reply: bytes, steps: bool) -> None:
    """A server that knows of no RTOS would make it."""
    asked = talk(read(Shadow(last_stop=b"T05thread:1;")), {b"qC": reply})
    assert asked == ([b"qC", b"vCont;s:7fffffff"] if steps else [b"qC"])
    assert talk(read(Shadow(last_stop=b"S05")), {b"qC": reply}) == []


def test_a_list_is_one_with_threads_in_it() -> None:
    """Without any GDB keeps what it has."""
    assert is_listed(ASK, LIST)
    assert not is_listed(ASK, NO_LIST)
    assert not is_listed(ASK, b"E01")
    assert is_listed(b"qfThreadInfo", b"m1,2")
    assert not is_listed(b"qXfer:features:read:target.xml:0,1000", LIST)


def test_what_was_listed_since_the_stop_is_known_until_the_next_resume() -> None:
    """A thread that was listed lives; without a list nobody knows."""
    shadow = told(Shadow(attached=True), (ASK, LIST))
    assert known(name(ASK), ASK, shadow) == LIST
    assert known(name(b"T20000088"), b"T20000088", shadow) == b"OK"
    assert known(name(b"T20000099"), b"T20000099", shadow) is None
    shadow.resumes(b"c")
    assert known(name(ASK), ASK, shadow) is None
    shadow.stopped(b"T05thread:20000088;")
    assert known(name(ASK), ASK, shadow) is None


def test_a_register_is_that_of_a_thread() -> None:
    """Each core of a group has its own; the last write to each counts, in the order of the writes."""
    shadow = Shadow(last_stop=b"T05thread:1;")
    told(shadow, (b"P0=01", b"OK"), (b"Hg2", b"OK"), (b"P0=02", b"OK"), (b"Hg1", b"OK"), (b"P0=03", b"OK"))
    assert [(chooser(where), body) for where, body in shadow.registers.items()] == [(b"Hg2", b"P0=02"), (b"Hg1", b"P0=03")]
    assert chooser(written_to(Shadow(last_stop=b"S05"), b"P0=01")) == b""


CORES = LIST.replace(
    b'<thread id="20000088" name="a">Name: a</thread>',
    b'<thread id="1" name="a.cpu0">a</thread><thread id="2" name="a.cpu1">b</thread>',
)


@pytest.mark.parametrize(
    ("reply", "elsewhere"), [(b"QC0000000000000002", True), (b"QC0000000000000001", False), (b"QC0", False)]
)
def test_a_core_that_openocd_takes_for_the_stopped_one_is_noticed(reply: bytes, elsewhere: bool) -> None:
    """It would answer a step of the other one without making it."""
    shadow = Shadow(last_stop=b"T05thread:1;")
    talk(read(shadow), {b"qC": reply})
    assert shadow.elsewhere is elsewhere


def test_the_step_of_the_stopped_core_is_made_by_its_name_and_answered_once() -> None:
    """Afterwards OpenOCD has the target selected that it had before, and GDB's step ends in its thread."""
    shadow = told(Shadow(attached=True, last_stop=b"T05thread:1;", elsewhere=True), (ASK, CORES), (b"P0=01", b"OK"))
    asked = talk(step_there(shadow), {monitor_request("target current"): b"a.cpu1".hex().encode()})
    assert asked[:3] == [monitor_request(line) for line in ("target current", "targets a.cpu0", "step")]
    assert (shadow.elsewhere, shadow.registers) == (False, {})
    step = b"vCont;s:1"
    here = answer_here(name(step), step, shadow, Answers(), Policy())
    assert here is not None
    assert (here.replies, here.stop) == ((b"T05thread:1;",), True)
    assert answer_here(name(step), step, shadow, Answers(), Policy()) is None


def test_a_core_without_a_name_is_left_to_openocd() -> None:
    """Nothing is stepped that is not certainly the one."""
    shadow = Shadow(attached=True, last_stop=b"T05thread:1;", elsewhere=True)
    assert talk(step_there(shadow), {}) == [monitor_request("target current")]
    assert shadow.stepped == b""
