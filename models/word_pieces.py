"""A tokenizer of pieces of words, as karpathy/llama2.c stores and applies one.

The file: the longest piece's bytes as an int32, then for each piece its score as a float32, its
length as an int32, and its bytes; little endian. Pieces 3 to 258 stand for single bytes.
"""

import struct
from itertools import pairwise

BEGIN = 1
"""The piece that a text begins with."""
FIRST_BYTE = 3


class WordPieces:
    """Pieces and their scores, in order of their numbers."""

    def __init__(self, pieces: list[bytes], scores: list[float]) -> None:
        self.pieces = pieces
        self.scores = scores
        self.numbers = {piece: number for number, piece in reversed(list(enumerate(pieces)))}

    @classmethod
    def read(cls, data: bytes) -> "WordPieces":
        """Read the bytes of a file; struct.error where they end too early."""
        pieces, scores, place = [], [], 4
        while place < len(data):
            score, length = struct.unpack_from("<fi", data, place)
            place += 8
            scores.append(score)
            pieces.append(data[place : place + length])
            place += length
        return cls(pieces, scores)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's pieces: BEGIN, a space, then pairs joined, best score first."""
        numbers = [number for letter in " " + text for number in self._letter(letter.encode())]
        while (best := self._best(numbers)) is not None:
            place, joined = best
            numbers[place : place + 2] = [joined]
        return [BEGIN, *numbers]

    def _letter(self, letter: bytes) -> list[int]:
        if letter in self.numbers:
            return [self.numbers[letter]]
        return [byte + FIRST_BYTE for byte in letter]

    def _best(self, numbers: list[int]) -> tuple[int, int] | None:
        """The place and the number of the neighbours that join with the best score."""
        found = [
            (self.scores[joined], -place, joined)
            for place, pair in enumerate(pairwise(numbers))
            if (joined := self.numbers.get(b"".join(self.pieces[n] for n in pair))) is not None
        ]
        if not found:
            return None
        _, place, joined = max(found)
        return -place, joined
