"""The share of a prompt that the server took from its cache."""

from __future__ import annotations

import msgspec
import pytest

from jetbox.engine.models.prefix import PrefixWatch

HEAD = b'{"model":"a","tools":[1],"messages":['
TAIL = '],"options":{"num_ctx":16384,"num_predict":100}}'
FIRST = [b'{"role":"system","content":"%s"}' % (b"s" * 3000), b'{"role":"user","content":"do it"}']
SECOND = [*FIRST, b'{"role":"assistant","content":"yes"}', b'{"role":"tool","content":"done"}']
COLD = {"prompt_eval_count": 1000, "prompt_eval_duration": 2_000_000_000, "prompt_eval_cached_count": 0}


def watch() -> PrefixWatch:
    """After one request."""
    found = PrefixWatch()
    found.sent("a", HEAD, FIRST, TAIL)
    reuse = found.answered(COLD, warm=False)
    assert reuse is not None
    assert (reuse.tokens, reuse.expected, reuse.miss) == (0, 0, "")
    return found


def test_a_counted_reuse_is_told_as_it_is() -> None:
    one = watch()
    one.sent("a", HEAD, SECOND, TAIL)
    reuse = one.answered({**COLD, "prompt_eval_count": 1030, "prompt_eval_cached_count": 1000}, warm=True)
    assert reuse is not None
    assert (reuse.tokens, reuse.of, reuse.estimated, reuse.miss) == (1000, 1030, False, "")
    assert 950 < reuse.expected < 1030


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_load_after_a_request_that_broke_off_is_not_put_down_to_another_client(tries: int) -> None:
    one = watch()
    for _ in range(tries):
        one.sent("a", HEAD, SECOND, TAIL)
    reuse = one.answered({**COLD, "load_duration": 4_000_000_000}, warm=True)
    assert reuse is not None
    assert ("another client" in reuse.miss, "started anew?" in reuse.miss) == (tries == 1, tries > 1)
    one.sent("a", HEAD, SECOND, TAIL)
    after = one.answered({**COLD, "load_duration": 4_000_000_000}, warm=True)
    assert after is not None
    assert "another client" in after.miss


def test_a_request_that_the_server_refused_is_in_no_cache() -> None:
    fresh = PrefixWatch()
    for _ in range(3):
        fresh.sent("a", HEAD, FIRST, TAIL)
        fresh.refused()
    fresh.sent("a", HEAD, FIRST, TAIL)
    first = fresh.answered(COLD, warm=False)
    assert first is not None
    assert (first.expected, first.miss) == (0, "")
    fresh.broke("the conversation was summarised")
    for _ in range(2):
        fresh.sent("a", HEAD, SECOND, TAIL)
        fresh.refused()
    fresh.sent("a", HEAD, [SECOND[0]], TAIL)
    second = fresh.answered(COLD, warm=True)
    assert second is not None
    assert second.miss == "the conversation was summarised"


def test_an_answer_without_figures_says_nothing() -> None:
    assert watch().answered({}, warm=True) is None


@pytest.mark.parametrize(
    ("head", "messages", "tail", "words"),
    [
        (HEAD.replace(b"[1]", b"[1,2]"), SECOND, TAIL, "the tools changed"),
        (HEAD.replace(b'"a"', b'"a","think":"high"'), SECOND, TAIL, "the level of thinking changed"),
        (HEAD, [FIRST[0].replace(b"ss", b"xs", 1), *SECOND[1:]], TAIL, "message 1 changed"),
        (
            HEAD,
            SECOND,
            TAIL.replace("16384", "8192"),
            "the window changed, which makes the server load the model again",
        ),
    ],
)
def test_the_first_thing_that_differs_is_the_reason(head: bytes, messages: list[bytes], tail: str, words: str) -> None:
    one = watch()
    one.sent("a", head, messages, tail)
    reuse = one.answered(COLD, warm=True)
    assert reuse is not None
    assert reuse.miss == words


@pytest.mark.parametrize(("read", "miss"), [(920, ""), (800, "the tools changed")])
def test_what_stood_behind_a_change_is_told_however_much_of_the_beginning_the_server_kept(read: int, miss: str) -> None:
    one = watch()
    one.sent("a", HEAD.replace(b"[1]", b"[1,2]"), SECOND, TAIL)
    reuse = one.answered({**COLD, "prompt_eval_cached_count": read}, warm=True)
    assert reuse is not None
    assert (reuse.tokens, reuse.miss) == (read, miss), "about 975 of the 1,000 had been sent before"


@pytest.mark.parametrize("spent", [40_000_000, 2_000_000_000])
def test_a_change_of_ours_is_told_where_no_reuse_is_counted_and_no_rate_is_known(spent: int) -> None:
    one = PrefixWatch()
    old = {"prompt_eval_count": 1000, "prompt_eval_duration": spent}
    one.sent("a", HEAD, FIRST, TAIL)
    assert one.answered(old, warm=False) is None
    one.sent("a", HEAD.replace(b"[1]", b"[1,2]"), SECOND, TAIL)
    reuse = one.answered(old, warm=True)
    told = reuse and (reuse.tokens, reuse.estimated, reuse.miss)
    assert told == ((0, True, "the tools changed") if spent > 1e9 else None), "what takes no time is not worth a word"


def test_a_summary_that_goes_on_from_the_one_before_breaks_the_prefix_all_the_same() -> None:
    one = watch()
    old = [FIRST[0], b'{"role":"user","content":"So far: a"}', b'{"role":"tool","content":"%s"}' % (b"t" * 3000)]
    one.sent("a", HEAD, old, TAIL)
    one.answered(COLD, warm=True)
    one.broke("the conversation was summarised")
    one.sent(
        "a",
        HEAD,
        [old[0], b'{"role":"user","content":"So far: a, b"}', b'{"role":"tool","content":"%s"}' % (b"u" * 4000)],
        TAIL,
    )
    reuse = one.answered({**COLD, "prompt_eval_cached_count": 400}, warm=True)
    assert reuse is not None
    assert reuse.miss == "the conversation was summarised"


def test_a_miss_of_the_servers_own_is_told_apart_from_a_reload() -> None:
    one = watch()
    one.sent("a", HEAD, SECOND, TAIL)
    dropped = one.answered(COLD, warm=True)
    one.sent("a", HEAD, SECOND, TAIL)
    reloaded = one.answered({**COLD, "load_duration": 5_000_000_000}, warm=True)
    one.sent("a", HEAD, SECOND, TAIL)
    slow = one.answered({**COLD, "load_duration": 5_000_000_000, "prompt_eval_cached_count": 400}, warm=True)
    assert dropped is not None
    assert reloaded is not None
    assert slow is not None
    assert slow.miss == "the server had dropped it", "of a model that was loaded nothing is left"
    assert dropped.miss == "the server had dropped it"
    assert "loaded the model again" in reloaded.miss


def test_without_the_count_the_cold_rate_gives_an_estimate() -> None:
    one = PrefixWatch()
    old = {"prompt_eval_count": 1000, "prompt_eval_duration": 2_000_000_000, "load_duration": 3_000_000_000}
    one.sent("a", HEAD, FIRST, TAIL)
    assert one.answered(old, warm=False) is None, "nothing is known yet of what a cold prompt takes"
    assert one.rate == 500
    one.sent("a", HEAD, SECOND, TAIL)
    reuse = one.answered({"prompt_eval_count": 1400, "prompt_eval_duration": 800_000_000}, warm=True)
    assert reuse is not None
    assert (reuse.tokens, reuse.estimated) == (1000, True)
    one.sent("a", HEAD, SECOND, TAIL)
    warm = one.answered({"prompt_eval_count": 1400, "prompt_eval_duration": 40_000_000}, warm=True)
    assert warm is not None
    assert (warm.tokens, warm.estimated) == (warm.expected, True)


def test_a_process_that_has_just_begun_has_nothing_in_its_cache() -> None:
    one = PrefixWatch()
    one.know("a", 500.0)
    one.sent("a", HEAD, FIRST, TAIL)
    one.answered({"prompt_eval_count": 1000, "prompt_eval_duration": 2_000_000_000}, warm=True)
    one.sent("a", HEAD, SECOND, TAIL)
    read = {"prompt_eval_count": 1400, "prompt_eval_duration": 900_000_000}
    begun = one.answered({**read, "load_duration": 4_000_000_000}, warm=False)
    assert begun is not None
    assert (begun.tokens, begun.estimated) == (0, False), "it reads faster than it once did, and that is all"
    one.sent("b", HEAD.replace(b'"a"', b'"b"'), SECOND, TAIL)
    one.answered(read, warm=False)
    one.unloaded("a")
    one.sent("a", HEAD, SECOND, TAIL)
    assert one.answered({**read, "load_duration": 900_000_000}, warm=False) is None, "nothing is expected of it"


def test_what_another_session_may_have_left_in_the_cache_teaches_no_rate() -> None:
    one = PrefixWatch()
    one.sent("a", HEAD, FIRST, TAIL)
    assert one.answered({"prompt_eval_count": 1000, "prompt_eval_duration": 150_000_000}, warm=False) is None
    one.sent("a", HEAD, SECOND, TAIL)
    later = {"prompt_eval_count": 1400, "prompt_eval_duration": 900_000_000}
    assert one.answered(later, warm=True) is None, "it would pass for a cache that was lost"
    one.know("a", 500.0)
    one.sent("a", HEAD, SECOND, TAIL)
    reuse = one.answered(later, warm=True)
    assert reuse is not None
    assert (reuse.tokens, reuse.estimated, reuse.miss) == (950, True, "")


def test_the_way_back_to_a_model_counts_from_its_own_last_request() -> None:
    one = watch()
    one.sent("b", HEAD.replace(b'"a"', b'"b"'), SECOND, TAIL)
    switched = one.answered(COLD, warm=False)
    assert switched is not None
    assert switched.miss == "the switch from a"
    one.sent("a", HEAD, SECOND, TAIL)
    back = one.answered({**COLD, "prompt_eval_count": 1030, "prompt_eval_cached_count": 1000}, warm=True)
    assert back is not None
    assert back.miss == ""
    assert msgspec.structs.asdict(back)["expected"] > 900


LATE = {"prompt_eval_count": 1030, "prompt_eval_duration": 600_000_000, "load_duration": 3_000_000_000}


def test_a_load_on_a_warm_model_proves_that_nothing_was_cached_where_no_reuse_is_counted() -> None:
    one = PrefixWatch()
    one.sent("a", HEAD, FIRST, TAIL)
    assert one.answered({**LATE, "load_duration": 100_000_000}, warm=False) is None
    one.sent("a", HEAD, SECOND, TAIL)
    reuse = one.answered(LATE, warm=True)
    assert reuse is not None
    assert (reuse.tokens, reuse.estimated) == (0, False)
    assert "another client" in reuse.miss
    one.sent("a", HEAD, SECOND, TAIL)
    assert one.answered({**LATE, "prompt_eval_duration": 40_000_000}, warm=True) is None, "it waited for another's load"
    one.moves_tools = True
    one.sent("a", HEAD, SECOND, TAIL)
    seen_to_go = one.answered(LATE, warm=False)
    assert seen_to_go is not None
    assert seen_to_go.miss == "the server held the model no more, and loaded it again"


@pytest.mark.parametrize(
    ("head", "tail", "cached", "miss"),
    [
        (b'{"model":"a","keep_alive":"10m","tools":[1],"messages":[', TAIL, 1000, ""),
        (b'{"model":"a","keep_alive":"10m","tools":[1],"messages":[', TAIL, 0, "the server had dropped it"),
        (
            b'{"model":"a","keep_alive":"10m","tools":[2],"messages":[',
            TAIL.replace("16384", "32768"),
            0,
            "the window changed, which makes the server load the model again",
        ),
    ],
)
def test_what_is_no_part_of_the_prompt_is_no_reason_and_a_reload_comes_first(
    head: bytes, tail: str, cached: int, miss: str
) -> None:
    one = watch()
    one.sent("a", head, SECOND, tail)
    reuse = one.answered({**COLD, "prompt_eval_cached_count": cached}, warm=True)
    assert reuse is not None
    assert reuse.miss == miss


def test_a_prompt_that_was_not_read_to_its_end_is_expected_in_no_cache() -> None:
    one = PrefixWatch()
    one.sent("a", HEAD, FIRST, TAIL)  # stopped while it was read
    one.sent("a", HEAD, FIRST, TAIL)
    first = one.answered(COLD, warm=False)
    assert first is not None
    assert (first.expected, first.miss) == (0, "")
    one.broke("the conversation was summarised")
    for _ in range(2):
        one.sent("a", HEAD, [FIRST[1]], TAIL)
    summarised = one.answered({**COLD, "prompt_eval_count": 300}, warm=True)
    assert summarised is not None
    assert summarised.miss == "the conversation was summarised", "the reason of the one that was stopped holds on"
    one.sent("a", HEAD.replace(b"[1]", b"[2]"), SECOND, TAIL)  # stopped, with other tools
    one.sent("a", HEAD, [FIRST[1], *SECOND], TAIL)
    after = one.answered(COLD, warm=True)
    assert after is not None
    assert (after.expected, after.miss) == (0, ""), "the one before may have taken all of it out"


def test_where_a_load_may_have_been_too_short_to_be_told_apart_both_are_named() -> None:
    one = watch()
    one.sent("a", HEAD, SECOND, TAIL)
    reuse = one.answered({**COLD, "load_duration": 700_000_000}, warm=True)
    assert reuse is not None
    assert reuse.miss == "the server had it no more: it dropped it or loaded the model again"


@pytest.mark.parametrize(("behind", "again"), [(200, 0), (5000, 5000)])
def test_a_change_is_told_where_a_share_that_matters_is_read_again(behind: int, again: int) -> None:
    system, last = (
        b'{"role":"system","content":"%s"}' % (b"s" * 27_000),
        b'{"role":"tool","content":"%s"}' % (b"t" * behind),
    )
    one = PrefixWatch()
    one.sent("a", HEAD, [system, b'{"role":"user","content":"old"}', last], TAIL)
    one.answered({**COLD, "prompt_eval_count": 27_000 + behind}, warm=False)
    one.sent("a", HEAD, [system, b'{"role":"user","content":"new"}', last], TAIL)
    told = {"prompt_eval_count": 27_000 + behind, "prompt_eval_cached_count": 27_000}
    reuse = one.answered({**COLD, **told}, warm=True)
    assert reuse is not None
    assert reuse.miss == ("message 2 changed" if again else "")
    assert abs(reuse.again - again) < 64


@pytest.mark.parametrize(("spent", "miss"), [(4, ""), (29, "the level of thinking changed")])
def test_without_counts_what_a_change_cost_is_told_by_what_a_whole_prompt_takes(spent: int, miss: str) -> None:
    one = PrefixWatch()
    one.sent("a", HEAD, FIRST, TAIL)
    assert one.answered({"prompt_eval_count": 7500, "prompt_eval_duration": 30_000_000_000}, warm=False) is None
    one.sent("a", HEAD.replace(b'"a"', b'"a","think":"high"'), SECOND, TAIL)
    reuse = one.answered({"prompt_eval_count": 8500, "prompt_eval_duration": spent * 1_000_000_000}, warm=True)
    assert (reuse.miss if reuse is not None else "") == miss


def test_tools_that_are_all_others_were_not_in_the_prompt_before() -> None:
    one = PrefixWatch()
    tools = [b'{"model":"a","tools":["%s"],"messages":[' % (sign * 6000) for sign in (b"x", b"y")]
    one.sent("a", tools[0], FIRST, TAIL)
    one.answered({**COLD, "prompt_eval_count": 9000}, warm=False)
    one.sent("a", tools[1], FIRST, TAIL)
    reuse = one.answered({**COLD, "prompt_eval_count": 9000}, warm=True)
    assert reuse is not None
    assert reuse.miss == "the tools changed"
    assert 2800 < reuse.again < 3200, "the messages alone"


def test_a_later_summary_has_its_reason_though_it_begins_as_the_one_before() -> None:
    one = watch()
    known = b'{"role":"user","content":"So far: %s' % (b"a" * 2000)
    one.sent("a", HEAD, [FIRST[0], known + b'"}', SECOND[2], SECOND[3]], TAIL)
    one.answered(COLD, warm=True)
    one.broke("the conversation was summarised")
    one.sent("a", HEAD, [FIRST[0], known + b'%s"}' % (b"b" * 2300)], TAIL)
    reuse = one.answered({**COLD, "prompt_eval_count": 1756, "prompt_eval_cached_count": 1205}, warm=True)
    assert reuse is not None
    assert reuse.miss == "the conversation was summarised"
