"""What notes call a code: the words of its title, and its synonyms in the clinical lexicon.

Titles are shortened to what a clinician writes: "Unspecified atrial fibrillation" is atrial
fibrillation, "Pneumonia, unspecified organism" is pneumonia. A name that says who has the condition
or since when ("history of", "former", "no appetite") can't be denied or given to a relative, so it
is left out; so are names that say nothing of a condition ("infection", "lesion").
"""

import re
from dataclasses import dataclass

from icdcli.icd.codes import System
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import icd10_equivalent, synonyms_of
from icdcli.icd.titles import title_of

_LONGEST = 5
_USUAL = 2

# What a title adds for classification only.
_ADDED = re.compile(
    r"\s*(?:,| without | with | due to | in other ).*|\s*[\[(][^\])]*[\])]|\bunspecified\b ?|"
    r"^other ",
    re.I,
)
_TITLE_IS_NO_NAME = re.compile(
    r"\b(and|or|other|specified|elsewhere|disorders?|conditions?|findings?|abnormal|encounter|"
    r"nonspecific|ill-defined|classified|symptoms?|complications?|diseases? of|episode|region|use|"
    r"part|site|status|by|through|unknown|cause)\b|/",
    re.I,
)
_VAGUE = frozenset(
    "infection infections injury injuries lesion lesions neoplasm tumor illness disease pain "
    "hemorrhage haemorrhage bleeding infección dolor hemorragia sangrado trauma mass 감염 통증 출혈"
    "".split()
) | {"infectious disease", "enfermedad infecciosa"}
# Names that already say that somebody hasn't the condition, or had it, or that it runs in families.
_CUES = {
    "en": r"no|not|without|never|history|family|familial|hereditary|former|ex|quit|stopped|past|"
    r"prior|previous|old|status|remote|resolved|possible|suspected|screening|unable|can't|cannot|"
    r"allergy|allergic|mother|father|free|denies|absent|absence|unknown|unclear",
    "es": r"no|sin|nunca|antecedentes?|ex|previ[oa]s?|familiar(?:es)?|hereditari[oa]|alergia|"
    r"alérgic[oa]|exfumador[a]?|ausencia|falta|desconocid[oa]",
    "ko": r"과거|금연자|가족성|유전성|알레르기\w*|없\w*|안|못\w*|불명\w*",
}
# Words for a person, or of a sentence, instead of a condition: they don't follow "treated for".
_NO_NOUN = {
    "en": r"^(?:feeling|throwing|coughing|seeing|seizing|losing|lost|hurts|smokes|drinks|drinking|"
    r"puking|puffing|passing|passed|wets|wetting|hearing|sweating|peeing|spitting|getting|having|"
    r"talking|walking|thinking|trying|hit|fell|on|in|run|room|out|up|wheezy|queasy|giddy|dizzy|"
    r"giddy|nauseous|sick|blind|deaf|drunk|pale|faint|tired|itchy|sleepy|thirsty|shaky|jaundiced|"
    r"known|current|active|heavy|the|is|has|had|was|body|light-?headed|unwell|senile|"
    r"unconscious|pregnant|overweight|underweight|obese|blue)\b(?! (?:skin|urine|stools?|lungs?))"
    r"|\b(?:smoker|drinker|diabetic|asthmatic|alcoholic|epileptic|patient|addict|user|dependent)$"
    r"|^\S*(?:ed|ive|ile|emic|tic|matous|oid|enic|ious|ish)$(?<!bleed)(?<!\bcolic)(?<!typhoid)(?<!carcinoid)"
    r"(?<!sarcoid)|(?:^| )(?:swallows|sleep too much)$",
    "es": r"^(?:\S*(?:oso|osa|ador|adora|enso|ensa|émico|émica|bético|bética|mático|mática|éptico|"
    r"éptica|hólico|hólica)|febril|obes[oa]|anticoagulad[oa]|mareado|mareada|confuso|confusa|inconsciente|"
    r"embarazada|gestante|bebedora?|fumadora?|ronca|ronco|ciego|ciega|sordo|sorda|estreñid[oa]|"
    r"deprimid[oa]|desnutrid[oa]|deshidratad[oa]|paralítico|histerectomizada)\b",
    "ko": r"(?:자|환자)$|[이가] ",
}


@dataclass(frozen=True)
class ConditionNames:
    """What notes call a code.

    Attributes:
        usual: The words of its title and its first synonym, or the first two synonyms.
        synonyms: Other nouns for it.
        wordings: Words for it that aren't nouns: "short of breath", "febrile".
        abbreviations: Abbreviations of which it is the usual sense.
    """

    usual: tuple[str, ...]
    synonyms: tuple[str, ...]
    wordings: tuple[str, ...]
    abbreviations: tuple[str, ...]


def names_of(code: str, system: System, language: str) -> ConditionNames:
    """Return what notes call a diagnosis.

    Args:
        code: The dotted code.
        system: Its coding system.
        language: The language of the notes.
    """
    listed = [
        name
        for name in synonyms_of(code, "diagnosis", system, language)
        if is_usable(name, language)
    ]
    nouns = [name for name in listed if not re.search(_NO_NOUN[language], name, re.I)]
    title = _from_title(code, system) if language == "en" else None
    ordered = list(dict.fromkeys([*([title] if title else []), *nouns]))
    # British spellings are synonyms: "edema" and "oedema" aren't two usual names.
    different = list({_american(name): name for name in reversed(ordered)}.values())[::-1]
    usual = different[: _USUAL if title or len(different) > _USUAL else 1]
    return ConditionNames(
        tuple(usual),
        tuple(name for name in ordered if name not in usual),
        tuple(name for name in listed if name not in nouns),
        _abbreviations(code, system, language),
    )


def is_usable(name: str, language: str) -> bool:
    """Return whether a note can deny a name, or give it to a relative."""
    shout = name.isupper() and name.isascii()
    return not (
        shout
        or len(name.split()) > _LONGEST
        or name.lower() in _VAGUE
        or re.search(rf"(?<![\w])(?:{_CUES[language]})(?![\w])", name, re.I)
    )


def _american(name: str) -> str:
    return name.replace("ae", "e").replace("oe", "e")


def _from_title(code: str, system: System) -> str | None:
    title = title_of(code, "diagnosis", system) or ""
    words = _ADDED.sub("", title).strip()
    if not words or _TITLE_IS_NO_NAME.search(words) or not is_usable(words, "en"):
        return None
    first = words.split()[0]
    proper = first.endswith(("'s", "s'")) or first[1:] != first[1:].lower()
    return words if proper else words[0].lower() + words[1:]


def _abbreviations(code: str, system: System, language: str) -> tuple[str, ...]:
    in_icd10 = code if system == "icd10" else icd10_equivalent(code)
    category = in_icd10.split(".")[0]
    if not category:
        return ()
    return tuple(
        written
        for written, senses in abbreviations(language).items()
        if senses[0].code in (in_icd10, category)
    )
