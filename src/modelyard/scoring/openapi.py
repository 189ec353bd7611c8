"""The description of a service at `/swagger.json`: OpenAPI 3.0, or Swagger 2.0 with `?version=2`."""

from __future__ import annotations

import copy
from typing import Any, Dict, Optional

from modelyard.scoring.entry import RunFunction

_ANY: Dict[str, Any] = {"description": "Any JSON value; what run() of the entry script takes."}
_ERRORS = {
    "400": "The input does not fit what run() takes.",
    "401": "The key is missing or wrong.",
    "500": "run() failed.",
    "504": "run() took longer than the scoring timeout.",
}


def describe(
    run: RunFunction,
    name: str,
    revision: int,
    auth_enabled: bool,
    version: int = 3,
    inputs: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """`inputs`: the schema of what is taken where the entry script declares none."""
    inputs = copy.deepcopy(run.input_schema or inputs or _ANY)
    outputs = copy.deepcopy(run.output_schema) or {"description": "What run() returned."}
    info = {"title": name, "version": str(revision), "description": f"Web service {name}."}
    return (_openapi3 if version >= 3 else _swagger2)(info, inputs, outputs, auth_enabled)


def _security(auth_enabled: bool) -> Dict[str, Any]:
    return {"security": [{"key": []}]} if auth_enabled else {}


def _openapi3(
    info: Dict[str, str], inputs: Dict[str, Any], outputs: Dict[str, Any], auth_enabled: bool
) -> Dict[str, Any]:
    responses: Dict[str, Any] = {
        "200": _content3("The scores.", {"$ref": "#/components/schemas/ServiceOutput"}),
    }
    responses.update((status, _content3(words, None)) for status, words in _ERRORS.items())
    components: Dict[str, Any] = {"schemas": {"ServiceInput": inputs, "ServiceOutput": outputs}}
    if auth_enabled:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    score = {
        "operationId": "RunMLService",
        "description": "Run the model on the data given.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ServiceInput"}}},
        },
        "responses": responses,
    }
    return {
        "openapi": "3.0.3",
        "info": info,
        "paths": {
            "/": {"get": _health({"200": _content3("It answers.", None)})},
            "/score": {"post": dict(score, **_security(auth_enabled))},
        },
        "components": components,
    }


def _content3(words: str, schema: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    if schema is None:
        return {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _swagger2(
    info: Dict[str, str], inputs: Dict[str, Any], outputs: Dict[str, Any], auth_enabled: bool
) -> Dict[str, Any]:
    responses: Dict[str, Any] = {
        "200": {"description": "The scores.", "schema": {"$ref": "#/definitions/ServiceOutput"}}
    }
    responses.update((status, {"description": words}) for status, words in _ERRORS.items())
    body = {
        "name": "serviceInputPayload",
        "in": "body",
        "required": True,
        "schema": {"$ref": "#/definitions/ServiceInput"},
    }
    score = {
        "operationId": "RunMLService",
        "description": "Run the model on the data given.",
        "parameters": [body],
        "responses": responses,
    }
    described: Dict[str, Any] = {
        "swagger": "2.0",
        "info": info,
        "schemes": ["http"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": {
            "/": {"get": _health({"200": {"description": "It answers."}})},
            "/score": {"post": dict(score, **_security(auth_enabled))},
        },
        "definitions": {"ServiceInput": inputs, "ServiceOutput": outputs},
    }
    if auth_enabled:
        described["securityDefinitions"] = {
            "key": {"type": "apiKey", "name": "Authorization", "in": "header"}
        }
    return described


def _health(responses: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "operationId": "ServiceHealthCheck",
        "description": "Answers 200 while the service can score.",
        "responses": responses,
    }
