"""The OpenAPI document, from which clients are generated, and what it promises."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from live_server import Running

pytest.importorskip("schemathesis")


@pytest.fixture(scope="module")
def document(server: Running) -> dict[str, Any]:
    return server.http.get("/openapi.json").json()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(document["components"]["schemas"])
    assert {"GenerateRequest", "SplitRequest", "ErrorBody", "ImagesResponse", "JobAnswer"} <= names


def test_every_operation_has_a_name_and_tells_its_errors(document: dict[str, Any]) -> None:
    names: list[str] = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            names.append(operation["operationId"])
            assert operation["description"], path
            assert operation["responses"]["400"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/ErrorBody"
            }
    assert len(set(names)) == len(names)


def test_fuzzed_requests_meet_what_the_document_says(server: Running, tmp_path: Path) -> None:
    """No server error but a full queue's, and no answer that the document does not describe."""
    (tmp_path / "schemathesis.toml").write_text(
        '[checks]\nnot_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]\n'
    )
    checks = (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    )  # fmt: skip
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"), "run", f"{server.url}/openapi.json",
            "--checks", ",".join(checks),
            "--phases", "coverage,fuzzing", "--max-time", "15", "--seed", "1",
        ],
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Selected: 17/17" in done.stdout
