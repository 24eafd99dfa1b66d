"""Names that people give themselves."""

import unicodedata


def name_key(name: str) -> str:
    """Returns what two spellings of one name have in common.

    Case, white space and Unicode's other forms of the same letters make no other person: "Ann", " ann" and
    full-width "Ａｎｎ" have one key.
    """
    # folding may leave letters that NFKC writes otherwise, hence twice (Unicode's NFKC_Casefold)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
