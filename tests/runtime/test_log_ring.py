"""The recent lines of a bench: bounded, dated, and told to whoever follows."""

from datetime import datetime, timedelta

from ocdsup.runtime.log_ring import KEPT, Entry, Journal, LogRing
from tests.runtime.kept_log import KeptLog


def test_a_line_is_kept_with_its_bench_its_source_and_its_date_in_utc() -> None:
    ring = LogRing("nucleo")
    ring.add("openocd", "Info : halted")
    (line,) = ring.last(10)
    at = datetime.fromisoformat(str(line.pop("at")))
    assert line == {"bench": "nucleo", "source": "openocd", "text": "Info : halted"}
    assert at.utcoffset() == timedelta(0)


def test_the_newest_lines_are_kept_and_the_oldest_go() -> None:
    ring = LogRing("nucleo")
    for number in range(KEPT + 5):
        ring.add("ocdsup", str(number))
    everything = ring.last(10 * KEPT)
    assert (len(everything), everything[0]["text"], everything[-1]["text"]) == (KEPT, "5", str(KEPT + 4))


def test_the_last_lines_come_oldest_first_and_none_when_none_are_wanted() -> None:
    ring = LogRing("nucleo")
    for text in "abc":
        ring.add("ocdsup", text)
    assert [line["text"] for line in ring.last(2)] == ["b", "c"]
    assert ring.last(0) == []


def test_a_follower_gets_every_further_line_until_it_has_enough() -> None:
    ring, seen = LogRing("nucleo"), list[Entry]()
    ring.add("ocdsup", "before")
    end = ring.follow(seen.append)
    ring.add("ocdsup", "meanwhile")
    end()
    ring.add("ocdsup", "after")
    assert [line["text"] for line in seen] == ["meanwhile"]


def test_a_follower_that_leaves_while_it_is_told_takes_no_line_from_the_others() -> None:
    ring, first, second = LogRing("nucleo"), list[Entry](), list[Entry]()

    def once(entry: Entry) -> None:
        first.append(entry)
        end()

    end = ring.follow(once)
    ring.follow(second.append)
    ring.add("ocdsup", "one")
    ring.add("ocdsup", "two")
    assert ([line["text"] for line in first], [line["text"] for line in second]) == (["one"], ["one", "two"])


def test_a_decision_is_in_the_log_and_among_the_recent_lines() -> None:
    ring, log = LogRing("nucleo"), KeptLog()
    Journal(log, ring).warning("port_taken", port=3333, owner="gdbserver")
    assert log.lines == [("warning", "port_taken", {"port": 3333, "owner": "gdbserver"})]
    assert [(line["source"], line["text"]) for line in ring.last(1)] == [("ocdsup", "port_taken port=3333 owner=gdbserver")]
