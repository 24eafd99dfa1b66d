"""Text that XML 1.0 can hold."""

import re

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Replaces what XML cannot hold, control characters, by U+FFFD.

    Source: XML 1.0, section 2.2.
    """
    return FORBIDDEN.sub("\ufffd", text)
