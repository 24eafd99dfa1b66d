"""Former names work for one release, and say what to write instead."""

import importlib
from pathlib import Path

import pytest

import pellucid
import tiny
from pellucid._deprecation import renamed_arguments

SOURCE = Path(pellucid.__file__).parent
MOVED = [
    ".".join(("pellucid", *path.relative_to(SOURCE).with_suffix("").parts))
    for path in sorted(SOURCE.rglob("*.py"))
    if "moved_module(__name__" in path.read_text()
]


def test_there_are_moved_modules() -> None:
    assert "pellucid.pipelines.transparent" in MOVED


@pytest.mark.parametrize("name", MOVED)
def test_a_moved_module_is_told_with_its_new_name(name: str) -> None:
    module = importlib.import_module(name)
    today = importlib.import_module((module.__doc__ or "").split("`")[1])
    known = next(each for each, value in vars(today).items() if value.__class__.__name__ == "function")
    with pytest.warns(DeprecationWarning, match=f"{name}.{known} is now {today.__name__}"):
        assert getattr(module, known) is getattr(today, known)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018 - the access is what raises


def test_renamed_names_of_moved_modules_are_found() -> None:
    from pellucid.files.conversion import to_rgba8
    from pellucid.pipelines import codec

    with pytest.warns(DeprecationWarning, match="codec.rgba_of is now pellucid.files.conversion.to_rgba8"):
        assert codec.rgba_of is to_rgba8


def test_a_former_keyword_works_and_both_at_once_do_not() -> None:
    @renamed_arguments(old="new")
    def double(*, new: int) -> int:
        return 2 * new

    with pytest.warns(DeprecationWarning, match=r"double\(old=…\) is now new=…"):
        assert double(old=2) == 4  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="old"), pytest.raises(TypeError, match="old and new"):
        double(old=2, new=3)  # type: ignore[call-arg]


def test_former_keywords_of_the_pipeline_work() -> None:
    stock = tiny.sd15()
    pipe = pellucid.attach(stock, None, autoencoder=tiny.codec(stock.vae))
    with pytest.warns(DeprecationWarning, match="mend_backdrop"):
        scene = pipe.generate("a", num_inference_steps=1, passes=1, mend_backdrop=False)  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="picture"):
        pipe.vary(picture=scene.layers[0].image, prompt="a", strength=0.0, passes=1)  # type: ignore[call-arg]


def test_former_names_of_modules_that_stay_are_found() -> None:
    from pellucid.files import images, metadata

    with pytest.warns(DeprecationWarning, match="metadata.Provenance is now GenerationMetadata"):
        assert metadata.Provenance is metadata.GenerationMetadata
    with pytest.warns(DeprecationWarning, match="read_picture is now read_image"):
        assert images.read_picture is images.read_image
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        images.nonsense  # noqa: B018 - the access is what raises


def test_former_words_of_cleaning_work() -> None:
    from pellucid.rgba.cleanup import Cleaning

    with pytest.warns(DeprecationWarning, match=r"Cleaning\(dirt=…\) is now noise_threshold=…"):
        assert Cleaning(dirt=2) == Cleaning(noise_threshold=2)  # type: ignore[call-arg]
