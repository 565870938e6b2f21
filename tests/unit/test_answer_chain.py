"""The ring of sorted keys, beside a plain sorted list."""

import random

from ddns.answer.chain import Chain


def nearest(model, key):
    """Return what the ring must give, reckoned over all keys."""
    keys = sorted(model)
    if not keys:
        return None
    found = max((one for one in keys if one <= key), default=keys[-1])
    return found, model[found]


def test_an_empty_ring_gives_nothing():
    chain = Chain()

    assert chain.at_or_before(b"a") is None
    assert chain.get(b"a") is None
    chain.remove(b"a")
    assert len(chain) == 0


def test_before_the_first_key_stands_the_last():
    chain = Chain({b"b": 1, b"d": 2})

    assert chain.at_or_before(b"a") == (b"d", 2)
    assert chain.at_or_before(b"b") == (b"b", 1)
    assert chain.at_or_before(b"c") == (b"b", 1)
    assert chain.at_or_before(b"z") == (b"d", 2)
    assert chain.get(b"c") is None


def test_it_equals_a_sorted_list_through_thousands_of_changes():
    """Blocks split as they grow and vanish as they empty."""
    rng = random.Random(3)
    start = [rng.randbytes(3) for _ in range(1500)]
    model = dict.fromkeys(start, 0)
    chain = Chain(model)

    for turn in range(6000):
        key = rng.randbytes(3)
        if turn % 3000 < 2000:
            model[key] = turn
            chain.put(key, turn)
        else:
            for gone in rng.sample(sorted(model), 2) if turn % 2 else [key]:
                model.pop(gone, None)
                chain.remove(gone)
        if turn % 50 == 0:
            probe = rng.randbytes(3)
            assert chain.at_or_before(probe) == nearest(model, probe)
            assert len(chain) == len(model)

    for key in sorted(model):
        assert chain.get(key) == model[key]
        chain.remove(key)
    assert len(chain) == 0
    chain.put(b"again", 1)
    assert chain.at_or_before(b"a") == (b"again", 1)
