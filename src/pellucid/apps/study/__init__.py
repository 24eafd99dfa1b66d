"""The page on which people say which of two images they prefer."""

from importlib.util import find_spec

from pellucid.errors import missing_package

for package in ("fastapi", "uvicorn"):
    if find_spec(package) is None:  # asked here, for every file of this folder
        raise missing_package(package, "the page of a study", "eval")
