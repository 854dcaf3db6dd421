"""`mmsr serve` fuzzed from its own OpenAPI schema with schemathesis; more cases by hand:

    python tests/serve/fuzz_api.py --cases 10000

Most requests that bring a picture bring a sound one, since random bytes never are; jobs that exist
are asked about. No answer may be a 5xx, and each has to be one that the schema describes.
"""

import argparse
from collections import Counter

import cv2
import numpy as np
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from running import server
from schemathesis import GenerationMode, checks

CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)
PICTURES = [
    cv2.imencode(suffix, np.arange(9 * 7 * 3, dtype=np.uint8).reshape(9, 7, 3))[1].tobytes()
    for suffix in (".png", ".jpg", ".webp")
]


def fuzz(port, cases, pictures, seconds=30.0):
    """Send about so many requests; how many were answered with which status.

    AssertionError, with the request, when an answer is not as the schema has it.
    """
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    counts, jobs = Counter(), []
    for operation in operations:
        kinds = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

        @settings(
            max_examples=max(1, cases // len(operations)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(
            case=st.one_of(kinds), picture=st.sampled_from([None, *pictures]), many=st.booleans()
        )
        def send(case, picture, many):
            if picture is not None and isinstance(case.body, dict) and "image" in case.body:
                others = [name for name in case.body if name not in ("image", "model")]
                kept = others if len(others) < 2 or many else others[:1]
                case.body = {"image": picture} | {name: case.body[name] for name in kept}
            if picture is not None and jobs and "id" in case.path_parameters:
                case.path_parameters["id"] = jobs[-1] if case.method != "DELETE" else jobs.pop()
            answer = case.call(timeout=seconds)
            counts[answer.status_code] += 1
            if answer.status_code == 202:
                jobs.append(answer.json()["id"])
            case.validate_response(answer, checks=list(CHECKS))

        send()
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--model", default="compact-x4")
    asked = parser.parse_args()
    with server(asked.model, "--max-megapixels", 1, "--max-upload", "1M") as (_, port):
        counts = fuzz(port, asked.cases, PICTURES)
    print(f"{counts.total()} cases:", ", ".join(f"{k}: {n}" for k, n in sorted(counts.items())))


if __name__ == "__main__":
    main()
