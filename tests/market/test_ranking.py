"""Of several sources, who speaks for a symbol, and what a change of source may do."""

from __future__ import annotations

import pytest

from tests.market.rivals import START_MS, Rivals
from vyomo_rt.domain.quote import Quote, Tick
from vyomo_rt.market.ranking import NEWER_MS, RETURN_AFTER_MS


@pytest.fixture
def rivals() -> Rivals:
    """Both have spoken, and the first has the floor."""
    rivals = Rivals()
    rivals.says("first", 1000)
    rivals.says("second", 1010)
    assert rivals.told == [("first", 1000)]
    return rivals


def test_while_the_first_is_fresh_nobody_hears_of_the_others(rivals: Rivals) -> None:
    for number in range(100):
        rivals.after(1)
        rivals.says("second", 1010 + number % 2)
        if number % 10 == 0:
            rivals.says("first", 1000 + number)
        assert rivals.shown[0] == rivals.counts[0] == "first"
    assert {source for source, _ in rivals.told} == {"first"}


def test_a_source_that_goes_silent_is_followed_at_once_by_the_next(rivals: Rivals) -> None:
    """A socket may be open and silent: no failure is needed for it, nor a tick of the next."""
    rivals.after(15)
    assert rivals.shown == ("first", 1000, False)
    rivals.after(0.001)
    assert rivals.shown == ("second", 1010, False)
    assert rivals.quote.as_of_ms == START_MS
    assert rivals.counts == ("first", 1000, True), "until the next has spoken twice"
    assert rivals.told == []


def test_the_price_with_which_a_source_took_the_floor_is_its_first_word(rivals: Rivals) -> None:
    rivals.after(16)
    rivals.says("second", 900)
    assert rivals.shown == ("second", 900, False)
    assert rivals.told == [("second", 900)], "its price of before the change was the first"


def test_a_new_speaker_acts_with_its_second_differing_tick() -> None:
    rivals = Rivals()
    rivals.says("first", 1000)
    rivals.after(16)
    assert rivals.told == [("first", 1000)]
    rivals.says("second", 900)
    assert rivals.shown == ("second", 900, False)
    assert rivals.counts == ("first", 1000, True)
    for _ in range(3):
        rivals.board.accept(Tick("NIFTY", 900, START_MS + 16_000, "second"))
        rivals.after(1)
    assert rivals.told == [], "a repetition is no second word"
    rivals.says("second", 900)
    assert rivals.told == [("second", 900)], "the same price of a later moment is one"
    assert rivals.counts == rivals.shown == ("second", 900, False)


def test_the_first_that_is_fresh_follows_not_the_last_that_spoke() -> None:
    rivals = Rivals("a", "b", "c")
    for source in "abc":
        rivals.says(source, 1000)
    rivals.after(10)
    rivals.says("b", 1001)
    rivals.after(1)
    rivals.says("c", 1002)
    rivals.after(5)
    assert rivals.shown[0] == "b"
    rivals.after(9.5)
    assert rivals.shown[0] == "c", "when that one is silent, too"


def test_who_speaks_does_not_depend_on_how_often_somebody_looks() -> None:
    looked, unseen = Rivals("a", "b", "c"), Rivals("a", "b", "c")
    for rivals in (looked, unseen):
        for source in "abc":
            rivals.says(source, 1000)
            rivals.after(2)
        for _ in range(40):
            rivals.after(1)
            if rivals is looked:
                assert rivals.shown
    assert looked.shown == unseen.shown == ("c", 1000, True)
    assert looked.counts == unseen.counts


def test_if_none_is_fresh_the_last_price_stands_and_is_stale(rivals: Rivals) -> None:
    rivals.after(3600)
    assert rivals.shown == ("second", 1010, True)
    rivals.says("first", 990, age_s=3000)
    assert rivals.shown == ("first", 990, True), "one that is much newer is shown in its place"
    assert rivals.counts == rivals.shown, "and counts, because it triggers nothing"
    rivals.says("second", 1020, age_s=3000 - NEWER_MS / 1000)
    assert rivals.shown == ("first", 990, True), "among prices of an age there is no to and fro"
    assert rivals.told == []


def test_a_source_that_was_never_away_takes_its_place_at_once_but_needs_two_words() -> None:
    rivals = Rivals()
    rivals.says("second", 1010)
    rivals.after(1)
    assert rivals.told == [("second", 1010)]
    rivals.says("first", 1000)
    assert rivals.shown == ("first", 1000, False)
    assert rivals.counts == ("second", 1010, False)
    rivals.says("second", 1011)
    assert rivals.told == [], "what counts stands still meanwhile"
    assert rivals.counts == ("second", 1010, False)
    rivals.after(1)
    rivals.says("first", 1001)
    assert rivals.told == [("first", 1001)]


def test_a_source_that_comes_back_has_to_stay_before_it_is_believed_again(rivals: Rivals) -> None:
    rivals.after(20)
    rivals.says("second", 1011)
    back_ms = rivals.now_ms + 1000
    for _ in range(60):
        rivals.after(1)
        rivals.says("second", 1012)
        rivals.says("first", 1001)
        is_back = rivals.now_ms - back_ms >= RETURN_AFTER_MS
        assert rivals.shown[0] == ("first" if is_back else "second")
    assert rivals.counts == ("first", 1001, False)


def test_a_source_that_comes_and_goes_does_not_take_the_price_with_it(rivals: Rivals) -> None:
    changes, speaker = 0, "first"
    for _ in range(20):
        rivals.keeps_saying("first", 1000, 10)
        for _ in range(25):
            rivals.after(1)
            rivals.says("second", 1010)
            if rivals.shown[0] != speaker:
                changes, speaker = changes + 1, rivals.shown[0]
    assert changes == 1


def test_a_clock_that_is_set_back_lets_the_next_source_speak(rivals: Rivals) -> None:
    rivals.now_ms -= 3_600_000
    rivals.says("second", 1011)
    assert rivals.shown == ("second", 1011, False)
    for _ in range(31):
        rivals.keeps_saying("first", 1002, 1)
        rivals.says("second", 1012)
    assert rivals.shown == ("first", 1002, False)


def test_a_close_that_comes_after_the_other_sources_last_price_counts_over_night() -> None:
    """And it is the first word: the next morning's first price is the second."""
    rivals = Rivals()
    rivals.says("first", 1000)
    rivals.after(1800)
    rivals.says("second", 1005, age_s=900)
    assert rivals.shown == rivals.counts == ("second", 1005, True)
    rivals.after(3600)
    assert rivals.told == [("first", 1000)]
    rivals.says("second", 1020)
    assert rivals.told == [("second", 1020)]
    assert rivals.counts == ("second", 1020, False)


def test_if_the_other_goes_silent_one_that_is_back_need_not_wait(rivals: Rivals) -> None:
    rivals.after(20)
    assert rivals.shown[0] == "second"
    rivals.after(15)
    rivals.says("first", 1001)
    assert rivals.shown == ("first", 1001, False)


def test_two_that_disagree_by_a_stop_do_not_trigger_it() -> None:
    """Long at 1000 with a stop at 995: the second source says 990 all along."""
    rivals = Rivals()
    rivals.says("first", 1000)
    rivals.says("second", 990)
    rivals.after(16)
    assert rivals.shown[:2] == ("second", 990)
    assert rivals.told == [("first", 1000)]
    assert rivals.counts == ("first", 1000, True)


def test_a_reconnect_that_replays_changes_nothing(rivals: Rivals) -> None:
    rivals.says("second", 1015)
    rivals.after(16)
    assert rivals.shown == ("second", 1015, False)
    for age_s in (60, 45, 30, 20):
        assert "older than the last" in str(rivals.says("first", 800, age_s=age_s))
    assert rivals.shown == ("second", 1015, False)
    assert rivals.told == []


@pytest.mark.parametrize("age_s", [3600, 61, -4, -3600])
def test_moments_in_the_past_or_future_take_no_place(rivals: Rivals, age_s: float) -> None:
    rivals.after(5)
    rivals.says("first", 1002)
    rivals.says("second", 900, age_s=age_s)
    assert rivals.shown == ("first", 1002, False)
    assert rivals.counts == ("first", 1002, False)


def test_a_symbol_that_disappears_from_one_source_goes_on_at_the_next(rivals: Rivals) -> None:
    """Others of that source stay with it."""
    for number in range(40):
        rivals.after(1)
        rivals.says("first", 500 + number, "SBIN")
        rivals.says("second", 505 + number, "SBIN")
        rivals.says("second", 1010 + number)
    assert rivals.shown[0] == rivals.counts[0] == "second"
    quote = rivals.board.quote("SBIN")
    assert quote is not None
    assert quote.source == "first"


def test_a_speaker_that_only_sends_late_prices_gives_way(rivals: Rivals) -> None:
    rivals.after(5)
    rivals.says("second", 1011)
    rivals.after(65)
    rivals.says("second", 1012)
    rivals.says("first", 1001, age_s=61)
    assert rivals.shown == ("second", 1012, False)


def test_a_change_back_before_the_second_word_needs_two_words_as_well(rivals: Rivals) -> None:
    rivals.after(16)
    assert rivals.shown[0] == "second"
    rivals.after(15)
    rivals.says("first", 960)
    assert rivals.shown == ("first", 960, False)
    assert (rivals.counts, rivals.told) == (("first", 1000, True), [])
    rivals.after(1)
    rivals.says("first", 961)
    assert rivals.told == [("first", 961)]


def test_a_price_of_a_former_start_gives_way_to_the_first_that_is_fresh() -> None:
    rivals = Rivals()
    kept = Quote("NIFTY", 1000, START_MS - 60_000, "second", stale=False)
    rivals.board.restore(rivals.books["second"], [kept])
    assert rivals.shown == ("second", 1000, True)
    rivals.says("first", 900)
    assert rivals.shown == ("first", 900, False)
    assert (rivals.counts, rivals.told) == (("second", 1000, True), [])
    rivals.after(1)
    rivals.says("first", 901)
    assert rivals.told == [("first", 901)]


def test_a_symbol_that_was_forgotten_begins_anew(
    rivals: Rivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vyomo_rt.market.places.MAX_SYMBOLS", 1)
    rivals.says("second", 500, "SBIN")
    assert rivals.board.quote("NIFTY") is None
    rivals.says("second", 900)
    assert rivals.shown == ("second", 900, False)
    assert rivals.told == [("second", 500), ("second", 900)]


def test_a_tick_under_another_name_is_a_fault_of_the_feed() -> None:
    with pytest.raises(LookupError, match="'third', the sources here are first, second"):
        Rivals().says("third", 1)
