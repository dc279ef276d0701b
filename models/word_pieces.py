"""A tokenizer of pieces of words, as karpathy/llama2.c stores and applies one.

The file: the longest piece's bytes as an int32, then for each piece its score as a float32, its
length as an int32, and its bytes; little endian. Pieces 3 to 258 stand for single bytes.
"""

import struct
from heapq import heapify, heappop, heappush

BEGIN = 1
"""The piece that a text begins with."""
FIRST_BYTE = 3

Pair = tuple[float, int, int, int, int, int]
"""Two neighbours: the score turned round, their places, their numbers, that of both together."""


class WordPieces:
    """Pieces and their scores, in order of their numbers."""

    def __init__(self, pieces: list[bytes], scores: list[float]) -> None:
        self.pieces = pieces
        self.scores = scores
        self.numbers = {piece: number for number, piece in reversed(list(enumerate(pieces)))}

    @classmethod
    def read(cls, data: bytes) -> "WordPieces":
        """Read the bytes of a file; struct.error where they are no such file."""
        pieces, scores, place = [], [], 4
        while place < len(data):
            score, length = struct.unpack_from("<fi", data, place)
            place += 8
            if not 0 <= length <= len(data) - place:
                raise struct.error(f"a piece of {length} bytes")
            scores.append(score)
            pieces.append(data[place : place + length])
            place += length
        return cls(pieces, scores)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's pieces: BEGIN, a space, then pairs joined, best score first.

        Of several pairs with the best score the first is joined.
        """
        numbers = [number for letter in " " + text for number in self._letter(letter.encode())]
        before, behind = list(range(-1, len(numbers))), list(range(1, len(numbers) + 1))
        waiting = [
            pair for at in range(len(numbers) - 1) if (pair := self._pair(numbers, at, at + 1))
        ]
        heapify(waiting)
        while waiting:
            _, at, then, left, right, joined = heappop(waiting)
            if numbers[at] != left or behind[at] != then or numbers[then] != right:
                continue  # one of the two has been joined with another meanwhile
            numbers[at], numbers[then], behind[at] = joined, -1, behind[then]
            before[behind[at]] = at
            for first, second in ((before[at], at), (at, behind[at])):
                if first >= 0 and second < len(numbers):
                    pair = self._pair(numbers, first, second)
                    if pair is not None:
                        heappush(waiting, pair)
        return [BEGIN, *(number for number in numbers if number >= 0)]

    def _letter(self, letter: bytes) -> list[int]:
        if letter in self.numbers:
            return [self.numbers[letter]]
        return [byte + FIRST_BYTE for byte in letter]

    def _pair(self, numbers: list[int], at: int, then: int) -> Pair | None:
        """Two neighbours that can be joined; the best score sorts first."""
        left, right = numbers[at], numbers[then]
        joined = self.numbers.get(self.pieces[left] + self.pieces[right])
        return None if joined is None else (-self.scores[joined], at, then, left, right, joined)
