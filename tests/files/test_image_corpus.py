"""Images by the specifications of their formats show what they should, whichever function opens them."""

from pathlib import Path

from corpus.images import image_cases
from pellucid.files.images import read_image
from pellucid.scene.scene import Scene


def test_every_image_shows_what_it_should(tmp_path: Path) -> None:
    wrong: list[str] = []
    cases = image_cases()
    for case in cases:
        path = tmp_path / f"x.{case.ending}"
        path.write_bytes(case.content)
        for rgba in (read_image(path).rgba, Scene.open(path).composite()):
            if (off := case.off(rgba)) > case.levels:
                wrong.append(f"{case.ending}: {case.name}: {off:.2f} levels off")
    assert not wrong, "\n".join([f"{len(wrong)} of {2 * len(cases)}", *wrong])
