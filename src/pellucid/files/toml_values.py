"""Values as people write them on a command line, read as TOML reads them."""

import tomllib


def read_value(text: str) -> object:
    """Reads a value: 3, true, "words", [1, 2]. What is no value of TOML is text, so words need no quotes."""
    try:
        # TOML has no values alone
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
