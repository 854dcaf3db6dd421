"""A small part of the fuzzing, and what the schema says; fuzz_api.py does the rest."""

import pytest
from running import server


def test_no_answer_to_many_requests_is_a_5xx_or_unknown_to_the_schema(upscaler):
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from fuzz_api import PICTURES, fuzz

    with server(upscaler) as (_, port):
        counts = fuzz(port, 45, PICTURES)
    assert counts[200] > 5
    assert counts.total() > 30


def test_the_schema_describes_every_route(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/v1/upscale",
        "/v1/plans",
        "/v1/jobs",
        "/v1/jobs/{id}",
        "/v1/jobs/{id}/image",
        "/v1/jobs/{id}/map",
        "/v1/models",
        "/health",
        "/metrics",
    }
    refused = schema["paths"]["/v1/upscale"]["post"]["responses"]["429"]["content"]
    assert list(refused) == ["application/problem+json"]
