"""Reads what ``POST /v1/documents`` is sent: files as a form, or URLs as JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from llmflow.errors import ForbiddenError, InvalidInputError
from llmflow.ingestion.guarding import check_url
from llmflow.ingestion.intake import Upload
from llmflow.ingestion.naming import clean_name
from llmflow.schema import Scope
from llmflow.settings import FetchSettings

MAX_DOCUMENTS = 100
_T = TypeVar("_T")

Value = (
    Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
    | bool
    | Annotated[int, Field(ge=-(2**53), le=2**53)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | None
)
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")], Value],
    Field(max_length=50, description="Values to filter by.", examples=[{"year": 2026, "reviewed": True}]),
]


class DocumentFields(BaseModel):
    """What is said of all documents of a request."""

    model_config = ConfigDict(extra="forbid")

    department: str | None = Field(
        None, description="Department they go to; default: the first of the credential's.", examples=["인사"]
    )
    dataset_id: str | None = Field(
        None, pattern=r"^[^\x00-\x1f\x7f]{1,64}$", description="Data set they belong to.", examples=["handbook"]
    )
    metadata: Metadata = Field(default_factory=dict)
    webhook_url: str | None = Field(
        None,
        max_length=2000,
        description="Called when a job ends, signed by Standard Webhooks.",
        examples=["https://app.example.com/hooks/llmflow"],
    )


class UrlsRequest(DocumentFields):
    """Documents to be downloaded."""

    urls: list[Annotated[str, Field(min_length=1, max_length=2000)]] = Field(
        min_length=1,
        max_length=MAX_DOCUMENTS,
        description="http or https addresses of documents.",
        examples=[["https://www.example.com/handbook.pdf"]],
    )


@dataclass(frozen=True, slots=True)
class Submission:
    """Documents to be taken in; one without content is to be downloaded from its source."""

    department: str
    uploads: tuple[tuple[Upload, BinaryIO | None], ...]


@asynccontextmanager
async def submission(request: Request, scope: Scope, settings: FetchSettings) -> AsyncIterator[Submission]:
    """What a request asks to take in; its files are on the disk while the context lasts.

    Raises:
        InvalidInputError, RequestValidationError: a part of the request is not what it must be.
        ForbiddenError: the credential may not write to the department.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=MAX_DOCUMENTS, max_fields=20) as form:
            yield _of_form(form, scope, settings)
    elif kind == "application/json":
        body = await request.body()
        yield _of_urls(_valid(lambda: UrlsRequest.model_validate_json(body)), scope, settings)
    else:
        raise InvalidInputError(
            f"the body is {kind or 'of no type'}; send files as multipart/form-data, or URLs as application/json",
            param="content-type",
        )


def request_body() -> dict[str, Any]:
    """The body in the OpenAPI document."""
    fields = DocumentFields.model_json_schema()
    described = fields["properties"] | {
        "metadata": {
            "type": "string",
            "description": "A JSON object of values to filter by.",
            "examples": ['{"year": 2026}'],
        },
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": MAX_DOCUMENTS,
            "description": "Files; one named as an earlier one of the department replaces it.",
        },
    }
    form = fields | {"title": "FilesRequest", "properties": described, "required": ["files"]}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": UrlsRequest.model_json_schema()},
            },
        }
    }


def _of_form(form: FormData, scope: Scope, settings: FetchSettings) -> Submission:
    files: list[UploadFile] = []
    values: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name == "files":
            files.append(value)
        elif isinstance(value, UploadFile) or name == "files":
            raise InvalidInputError("send files, with names, as the form's fields `files`", param=name[:100])
        elif value:  # a form sends what was left out as an empty text
            values[name] = _parsed(value) if name == "metadata" else value
    if not files:
        raise InvalidInputError("there are no files; send them as the form's fields `files`", param="files")
    fields = _valid(lambda: DocumentFields.model_validate(values))
    department = _department(fields, scope, settings)
    contents: dict[str, BinaryIO] = {}
    for file in files:
        shown = clean_name(file.filename or "")
        if not shown:
            raise InvalidInputError(f"the file name {(file.filename or '')[:80]!r} is none; give it one", param="files")
        if shown in contents:
            raise InvalidInputError(f"two files are named {shown!r}; the second would replace the first", param="files")
        contents[shown] = file.file
    return Submission(
        department,
        tuple(
            (_upload(f"upload://{department}/{shown}", shown, fields), content) for shown, content in contents.items()
        ),
    )


def _of_urls(body: UrlsRequest, scope: Scope, settings: FetchSettings) -> Submission:
    department = _department(body, scope, settings)
    # As parsed, so that an address written in another way is the same document.
    urls = {str(url): clean_name(url.path) or url.host for url in (check_url(url, settings) for url in body.urls)}
    return Submission(department, tuple((_upload(url, name, body), None) for url, name in urls.items()))


def _upload(source: str, name: str, fields: DocumentFields) -> Upload:
    return Upload(source, name, fields.dataset_id, fields.metadata, fields.webhook_url)


def _department(fields: DocumentFields, scope: Scope, settings: FetchSettings) -> str:
    """Where the documents go, everything else said of them being allowed."""
    department = fields.department or scope.departments[0]
    if department not in scope.departments:
        raise ForbiddenError(
            f"the credential may not write to {department[:100]!r}; it may write to: {', '.join(scope.departments)}",
            param="department",
        )
    if fields.webhook_url:
        try:
            check_url(fields.webhook_url, settings)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, param="webhook_url") from None
    return department


def _parsed(metadata: str) -> Any:
    try:
        return json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"metadata is no JSON object: {error}", param="metadata") from None


def _valid(read: Callable[[], _T]) -> _T:
    """What ``read`` reads; errors as those of any other request."""
    try:
        return read()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**problem, "loc": ("body", *problem["loc"])} for problem in problems]) from None
