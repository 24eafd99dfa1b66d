"""`pellucid models show mini` and `pellucid models words`."""

import json

from click.testing import CliRunner

from pellucid.apps.commands.models import models_command


def run(*arguments: str) -> str:
    result = CliRunner().invoke(models_command, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_card_of_the_embedded_model() -> None:
    card = json.loads(run("show", "mini", "--json"))
    assert card["native size"] == "256x256"
    assert card["subjects"].startswith("1420: ")
    assert "fluent-3d" in card["sets"]


def test_words_are_listed_and_found() -> None:
    assert "cat" in json.loads(run("words", "--json"))["animals"]
    assert json.loads(run("words", "Katze", "--json"))["known"][0] == "cat"
    assert len(json.loads(run("words", "a gothic cathedral", "--json"))["nearest"]) == 10
