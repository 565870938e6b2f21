"""Which zones are in memory, and how much that is: what nobody has asked for lately goes first.

Law: the hand of a clock goes round the zones in the order in which they came. A zone that was used since the hand
was there stays for another round, any other goes; so a question costs nothing here. The zone that came last always
stays, and a window on a large zone bounds itself.
"""

from __future__ import annotations

from collections import deque

from ddns.answer.image import ZoneImage

SHARE = 2  # ours: one window, or one zone that is held whole, may take this part of the room


class Shelf:
    """The zones in memory, *most* octets of them by their own count."""

    __slots__ = ("_gone", "_order", "most", "octets", "windows")

    def __init__(self, most: int) -> None:
        self.most = most
        self.octets = 0
        self.windows = 0
        self._order: deque[ZoneImage] = deque()
        self._gone = 0  # images in the order that are no longer here

    def put(self, image: ZoneImage) -> None:
        """Take *image* in."""
        image.counted = image.octets
        self.octets += image.counted
        self.windows += not image.whole
        self._order.append(image)

    def resize(self, image: ZoneImage) -> None:
        """Take note of how large *image* is now, where it is here."""
        if image.counted:
            self.octets += image.octets - image.counted
            image.counted = image.octets

    def drop(self, image: ZoneImage) -> None:
        """Let go of *image*."""
        if not image.counted:
            return
        self.octets -= image.counted
        self.windows -= not image.whole
        image.counted = 0
        self._gone += 1
        if self._gone > len(self._order) // 2 + 16:
            self._order = deque([one for one in self._order if one.counted])
            self._gone = 0

    def room(self) -> int:
        """Return how many octets each window, or one zone that is held whole, may take."""
        return self.most // (SHARE * max(self.windows, 1))

    def surplus(self) -> list[ZoneImage]:
        """Return the images that have to go for want of room; they are not here any more."""
        out: list[ZoneImage] = []
        left = 2 * len(self._order)  # two rounds: in the first one all may have been used
        while self.octets > self.most and left and len(self._order) > 1:
            left -= 1
            image = self._order.popleft()
            if not image.counted:
                self._gone -= 1
                continue
            self.resize(image)
            if image.used or not image.whole:
                image.used = False
                self._order.append(image)
                continue
            self.octets -= image.counted
            image.counted = 0
            out.append(image)
        return out

    def images(self) -> list[ZoneImage]:
        """Return all images that are here."""
        return [image for image in self._order if image.counted]
