"""The OpenAPI document: valid, complete, and its examples are what the API takes and gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from schemathesis import openapi

import llmflow

PUBLIC = {"health", "ready", "metrics"}
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def mistakes(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": document["components"], "$schema": "https://json-schema.org/draft/2020-12/schema"}
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    (only,) = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return schema if only is schema else resolved(document, only)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == llmflow.__version__


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for method, path, operation in operations(document):
        assert re.fullmatch("[a-z_]+", operation["operationId"]), (method, path)
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert set(operation["tags"]) <= tags, (method, path)
        assert operation["tags"], (method, path)


def test_every_operation_names_its_security_and_errors(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if operation["operationId"] in PUBLIC:
            continue
        assert operation["security"] == [{"bearer": []}], (method, path)
        expected = {"413", "422", "429", "500", "503", "504"} | ({"403"} if path == "/retrieval" else {"401", "403"})
        assert expected <= set(operation["responses"]), (method, path)
        for status in expected:
            form = operation["responses"][status]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert form == ("KnowledgeError" if path == "/retrieval" else "ErrorResponse"), (method, path, status)


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                where = (method, path, status, media_type)
                assert "example" in content or status >= "400", where
                if "example" not in content:
                    continue
                assert mistakes(document, content.get("schema", {}), content["example"]) == [], where


def test_every_request_has_examples_that_its_schema_takes(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if "requestBody" in operation:
            where, content = (method, path), operation["requestBody"]["content"]["application/json"]
            schema = resolved(document, content["schema"])
            single = {name: field["examples"][0] for name, field in schema["properties"].items() if "examples" in field}
            assert "examples" in schema or single, where
            for example in schema.get("examples", [single]):
                assert mistakes(document, content["schema"], example) == [], where
        for parameter in operation.get("parameters", ()):
            for example in parameter["schema"].get("examples", ()):
                assert mistakes(document, parameter["schema"], example) == [], (method, path, parameter["name"])


def test_the_interactive_pages_are_not_served(app: FastAPI) -> None:
    assert (app.docs_url, app.redoc_url, app.openapi_url) == (None, None, "/openapi.json")
