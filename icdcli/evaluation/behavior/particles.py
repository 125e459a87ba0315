"""Korean particles that agree with the word before them: 폐렴은, 천식은; 두통으로, 발열로."""

PARTICLES = {
    "은": ("은", "는"),
    "이": ("이", "가"),
    "을": ("을", "를"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
    "이나": ("이나", "나"),
}
"""Particle, as templates write it, to its forms after a consonant and after a vowel."""

_FIRST, _LAST, _FINALS, _RIEUL = "가", "힣", 28, 8
# How Koreans read letters and digits: 엘, 엠, 엔, 알; 영, 일, 삼, 육, 칠, 팔. Those in the second
# group end in ㄹ.
_WITH_FINAL, _WITH_RIEUL = frozenset("mn036"), frozenset("lr178")


def with_particle(word: str, particle: str) -> str:
    """Return a word with a particle in the form that agrees with its last syllable.

    Args:
        word: The word; what follows its last letter or digit doesn't count.
        particle: One of `PARTICLES`.
    """
    last = next((char for char in reversed(word.lower()) if char.isalnum()), "")
    if _FIRST <= last <= _LAST:
        final = (ord(last) - ord(_FIRST)) % _FINALS
    else:
        final = _RIEUL if last in _WITH_RIEUL else int(last in _WITH_FINAL)
    consonant, vowel = PARTICLES[particle]
    after_vowel = not final or (particle == "으로" and final == _RIEUL)
    return word + (vowel if after_vowel else consonant)


def split_particle(field: str) -> tuple[str, str]:
    """Return the name of a field without its particle, and the particle or nothing."""
    for particle in sorted(PARTICLES, key=len, reverse=True):
        if field.endswith(particle):
            return field.removesuffix(particle), particle
    return field, ""
