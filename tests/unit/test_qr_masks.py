"""The mask of a QR code is the one with the lowest penalty, as rules that look at each module say."""

import itertools
import random

import pytest
import segno

from ddns.operator.paper import masking, qr

TEXTS = [
    "x", "ddns://" + "A" * 60, "ddns://invite-1.homes.example:" + "q7Z_" * 11 + "@ns1.homes.example/smith", "0" * 700,
]  # fmt: skip


def penalty(rows):
    """Return the penalty of ISO/IEC 18004 §7.8.3.1, module by module."""
    size = len(rows)
    lines = [list(row) for row in rows] + [[row[at] for row in rows] for at in range(size)]
    total = 0
    for line in lines:
        run = 1
        for before, module in [*itertools.pairwise(line), (line[-1], None)]:
            if before == module:
                run += 1
            else:
                total += run - 2 if run >= 5 else 0
                run = 1
        total += 40 * sum(
            tuple(line[at : at + 11]) in ((1, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0), (0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1))
            for at in range(size - 10)
        )
    total += 3 * sum(
        rows[i][j] == rows[i][j + 1] == rows[i + 1][j] == rows[i + 1][j + 1]
        for i in range(size - 1) for j in range(size - 1)
    )  # fmt: skip
    dark = sum(map(sum, rows))
    return total + 10 * int(abs(dark * 100 / (size * size) - 50) / 5)


def drawn(text, mask):
    made = segno.make_qr(text.encode(), error="m", mode="byte", boost_error=False, mask=mask)
    return tuple(bytes(row) for row in made.matrix)


@pytest.mark.parametrize("text", TEXTS, ids=["one", "short", "invitation", "long"])
def test_a_code_has_the_mask_with_the_lowest_penalty_and_is_what_that_mask_draws(text):
    candidates = [drawn(text, mask) for mask in range(masking.MASKS)]

    chosen = qr.code(text).rows

    assert chosen == min(candidates, key=penalty)
    assert masking.modules(masking.number(chosen), len(chosen)) == chosen


def test_of_two_texts_with_one_size_the_second_is_drawn_from_what_was_learnt_with_the_first():
    masks = masking.Differences()
    for text in ("ddns://" + "b" * 60, "ddns://" + "c" * 60):
        asked = []

        def draw(mask, text=text, asked=asked):
            asked.append(mask)
            return drawn(text, mask)

        assert masks.best(draw) in [drawn(text, mask) for mask in range(masking.MASKS)]
    assert asked == [0]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_the_penalty_of_whole_rows_is_that_of_each_module(share):
    dice = random.Random(int(share * 100))
    for size in (21, 25, 45):
        rows = tuple(bytes(int(dice.random() < share) for _ in range(size)) for _ in range(size))

        assert masking._grid(size).penalty(masking.number(rows)) == penalty(rows)
