"""Cells with codes of a system that is only known by its list: an in-house one, that of a country.

Such codes may have any form, also that of several words, so the list decides what a code is. What
it doesn't have is kept unchanged.
"""

import re
from collections.abc import Collection, Iterator
from functools import cached_property

from icdcli.icd.codes import KINDS, System
from icdcli.icd.editions.edition import Edition
from icdcli.icd.gm_letters import check_certainty, is_letters, split_letters
from icdcli.icd.titles import is_known

_BETWEEN_CODES = re.compile(r"[;|\r\n\t]+")
_MARKS = "+*!†‡#"  # ICD-10: dagger, asterisk, and the optional codes of ICD-10-GM
_SYSTEM_NAME = re.compile(r"ICD[- ]?(?:9|10|11)(?:[- ]?[A-Z]{2,3})?\s*[:_ -]\s*", re.IGNORECASE)
_RANGE = re.compile(r"(.+?)\s*(?:[-–—]|\bto\b|\bbis\b|\ba\b)\s*(.+)")
_EXAMPLES = 5
_OTHERS: dict[System, str] = {"icd10": "ICD-10-CM or ICD-10-PCS", "icd9": "ICD-9-CM"}
_UNCLEAR = "has a code of the list among words, so what is a code isn't clear. Separate codes by ;"


class ListedCodes:
    """Reads cells by the list of a coding system."""

    def __init__(self, edition: Edition) -> None:
        self._edition = edition
        self._known: dict[str, str | None] = {}

    def spelled(self, raw: str) -> str:
        """Return a code as the list writes it, or unchanged if the list doesn't have it."""
        return self.find(raw) or raw.strip()

    def find(self, raw: str) -> str | None:
        """Return the code of the list that a text means; None: it means none.

        Capitals, dots and the marks of ICD-10 (``†``, ``*``, ``!``) may be missing, and those that
        the list doesn't have are left out, as are the sides of ICD-10-GM.

        Raises:
            ValueError: If the letters of ICD-10-GM behind a code say that it doesn't count.
        """
        raw = raw.strip()
        if raw not in self._known:
            self._known[raw] = self._find(raw)
        return self._known[raw]

    def read(self, text: str, several: bool = True) -> list[str]:
        """Return the codes of a text, with or without their titles.

        Args:
            text: The text.
            several: Whether commas may separate codes; False: the text is an element of a list.

        Raises:
            ValueError: If it can't be read in one way only; the message is the end of a sentence.
        """
        return [
            code
            for part in _BETWEEN_CODES.split(text)
            if part.strip()
            for code in self._of_part(part.strip(), several)
        ]

    def problem(self, codes: Collection[str]) -> str | None:
        """Return why codes can't be those of the list; None: at least half of them are in it."""
        unknown = sorted(code for code in codes if self.find(code) is None)
        if len(unknown) <= len(codes) / 2:
            return None
        problem = (
            f"has {len(unknown):,} of {len(codes):,} codes that {self._edition.about.name} lacks "
            f"({', '.join(unknown[:_EXAMPLES])}). Check code_system and the column"
        )
        for system, name in _OTHERS.items():
            if sum(_exists(code, system) for code in unknown) > len(unknown) / 2:
                return f"{problem}. Most of them are codes of {name}: set code_system: {system}"
        return problem

    def _of_part(self, part: str, several: bool) -> Iterator[str]:
        if (code := self.find(part)) is not None:
            yield code
            return
        pieces = [piece.strip() for piece in part.split(",") if piece.strip()]
        found = [self._of_piece(piece) for piece in pieces]
        if not several and not any(codes for codes, _ in found):
            yield part
            return
        described = False
        for piece, (codes, words) in zip(pieces, found, strict=True):
            yield from codes
            if not codes and not (described and words):  # else it continues a description
                yield from [piece] if words else piece.split()
            described = bool(words) and (described or bool(codes))

    def _of_piece(self, piece: str) -> tuple[list[str], bool]:
        """Return the codes at the beginning of a piece, and whether words follow."""
        if (code := self.find(piece)) is not None:
            return [code], False
        ends = _RANGE.fullmatch(piece)
        if ends and self.find(ends[1]) and self.find(ends[2]):
            raise ValueError("looks like a range of codes. Write each code of the range")
        tokens = piece.split()
        codes: list[str] = []
        place = 0
        while place < len(tokens):
            ends_at = range(min(len(tokens), place + self._most_words), place, -1)
            end, code = next(
                (
                    (end, code)
                    for end in ends_at
                    if (code := self.find(" ".join(tokens[place:end]))) is not None
                ),
                (place, None),
            )
            if code is None:
                break
            codes.append(code)
            place = end
            if (
                place < len(tokens)
                and _follows(code, tokens[place])
                and not self.find(tokens[place])
            ):
                check_certainty(tokens[place])
                place += 1
        rest = tokens[place:]
        if not rest:
            return codes, False
        words = any(not re.search(r"\d", token) for token in rest)
        if codes and self._is_title(codes[-1], rest):
            return codes, True
        if not words and codes:
            return [*codes, *rest], False
        if any(self.find(token) for token in rest):
            raise ValueError(_UNCLEAR)
        return codes, words

    def _is_title(self, code: str, words: list[str]) -> bool:
        title = self._edition.title(code) or ""
        return [word.casefold() for word in words] == title.casefold().split()

    def _find(self, raw: str) -> str | None:
        bare = _SYSTEM_NAME.sub("", raw, count=1) if _SYSTEM_NAME.match(raw) else raw
        for written in dict.fromkeys((raw, bare, bare.rstrip(_MARKS).strip())):
            row = self._edition.spelled(written) if written else None
            if row is not None and self._edition.level(row) in ("category", "code"):
                return self._edition.codes[row]
            if (folded := self._folded.get(written.casefold())) is not None:
                return folded
        code, letters = split_letters(bare.upper())
        if letters and (found := self.find(code)) is not None:
            check_certainty(letters)
            return found
        return None

    @cached_property
    def _folded(self) -> dict[str, str]:
        """Return the codes of several words, or with small letters, by their small letters."""
        return {code.casefold(): code for code in self._edition.codes if code != code.upper()}

    @cached_property
    def _most_words(self) -> int:
        return max((len(code.split()) for code in self._edition.codes), default=1)


def _follows(code: str, token: str) -> bool:
    """Return whether a token may be the letters of ICD-10-GM behind a code."""
    return is_letters(token) and re.match(r"[A-Z]\d\d", code) is not None


def _exists(code: str, system: System) -> bool:
    return any(is_known(code.upper(), kind, system) for kind in KINDS)
