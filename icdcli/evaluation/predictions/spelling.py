"""One spelling for the codes of gold and predictions, with and without dots, in any case.

Without the dot and in capitals, two codes are the same unless they are an ICD-9 diagnosis and
procedure (033.1 and 03.31). Codes without a dot are then matched with the only code that the gold
annotations or dotted predictions have for them; if there are two, they are refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from icdcli.errors import DataError
from icdcli.icd.codes import KINDS, SYSTEMS, Kind, System, dotted, kind_of
from icdcli.icd.titles import is_known

_ENOUGH = 0.5  # of the gold codes must be known for a guess of the system


def bare(code: str) -> str:
    """Return a code in capitals, without its dot and without any text after the code."""
    return code.strip().upper().rstrip("*+†!").replace(".", "")


@dataclass
class CodeSpelling:
    """The spelling of the codes of gold and predictions.

    Attributes:
        system: The coding system, which decides where dots are; None: unknown.
        kind: The kind of all codes; None: each code shows its own.
    """

    system: System | None
    kind: Kind | None = None
    _by_bare: dict[str, set[str]] = field(default_factory=dict)

    def learn(self, codes: Iterable[str]) -> None:
        """Learn the spelling of codes that are written with their dots."""
        for code in codes:
            self._by_bare.setdefault(bare(code), set()).add(self._canonical(code))

    def spelled(self, code: str, *, dots: bool = True, where: object = "") -> str:
        """Return the spelling of a code.

        Args:
            code: The code as it is written.
            dots: Whether its file has codes with dots, so that one without may need none.
            where: The file, for the message.

        Raises:
            DataError: If a code without a dot may be two codes.
        """
        own = self._canonical(code)
        if "." in code.strip(". ") or (dots and "." not in own):
            return own
        known = self._by_bare.get(bare(code), set())
        if len(known) > 1:
            raise DataError(
                f"{where}: {code!r} has no dot and may be {' or '.join(sorted(known))}. Write the "
                "codes with their dots."
            )
        return next(iter(known)) if known else own

    def _canonical(self, code: str) -> str:
        """Return a code as its system writes it; a code of no system in capitals."""
        plain = code.strip().upper().rstrip("*+†!").rstrip(".")
        if self.system is None:
            return plain
        try:
            return dotted(plain, self.kind or kind_in(plain, self.system), self.system)
        except ValueError:
            return plain


def kind_in(code: str, system: System) -> Kind:
    """Return the kind of a code with or without its dot.

    An ICD-10 code without a dot is a diagnosis if it, or one above it, exists as one.
    """
    if system == "icd10" and "." not in code and len(code) > 3 and code[0].isalpha():
        with_dot = f"{code[:3]}.{code[3:]}"
        if is_known(with_dot, "diagnosis", system):
            return "diagnosis"
        if is_known(code, "procedure", system):
            return "procedure"
        return "diagnosis" if is_known(code[:3], "diagnosis", system) else "procedure"
    return kind_of(code, system)


def guess_system(codes: Iterable[str]) -> System | None:
    """Return the system that most gold codes are of; None if it isn't clear."""
    distinct = {code.strip().upper() for code in codes}
    best: System | None = None
    most = _ENOUGH * len(distinct)
    for system in SYSTEMS:
        spelled = map(CodeSpelling(system).spelled, distinct)
        known = sum(any(is_known(code, kind, system) for kind in KINDS) for code in spelled)
        if known > most:
            best, most = system, known
    return best
