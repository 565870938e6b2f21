"""A zone seen through a window, or unpacked when it is asked for, answers as one that is held whole."""

from asking import TCP, UDP
from hypothesis import given, settings
from test_answers import ORIGIN, Type, asked, content, histories, state, step, wire
from twins import Both
from windows import Source, answer, unpacked

from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.answer.window import Window


@given(histories, asked)
@settings(max_examples=150, deadline=None)
def test_a_zone_through_a_window_answers_as_the_whole_zone_after_any_history(history, questions):
    zone, param = history[0]
    before = content(zone, 1, param=param)
    source = Source(ORIGIN, before)
    table = Table(entries=20)
    table.install(Window(1, ORIGIN, 1, source.apex(), complete=False))
    responder = Responder(table)
    plain = [(name, rdtype, form) for name, rdtype, form in questions if rdtype != Type.ANY]  # it shows an order

    for number, (zone, has_param) in enumerate(history[1:], start=2):
        for name, rdtype, form in plain:
            answer(responder, table, source, wire(name, rdtype, form), UDP)
        after = content(zone, number, param=has_param)
        assert table.patch(step(before, after, number))
        source.published = before = after
        fresh_table = Table()
        fresh_table.install(ZoneImage(1, ORIGIN, number, before.values()))
        fresh = Responder(fresh_table)
        for name, rdtype, form in plain:
            message = wire(name, rdtype, form)
            expected = fresh.respond(message, UDP)
            assert answer(responder, table, source, message, UDP)[0] == expected
            assert Both(table).lookup(message) in (None, expected)
            assert answer(responder, table, source, message, TCP)[0] == fresh.respond(message, TCP)


@given(histories)
@settings(max_examples=100, deadline=None)
def test_a_zone_unpacked_when_it_is_asked_for_is_the_zone_and_takes_editions(history):
    zone, param = history[0]
    before = content(zone, 1, param=param)
    image = unpacked(ORIGIN, before)
    assert state(image) == state(ZoneImage(1, ORIGIN, 1, before.values()))

    image = unpacked(ORIGIN, before)
    for number, (zone, has_param) in enumerate(history[1:], start=2):
        after = content(zone, number, param=has_param)
        image.patch(step(before, after, number))
        before = after

    assert state(image) == state(ZoneImage(1, ORIGIN, 9, before.values()))
    assert image.octets > 0
