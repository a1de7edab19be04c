#!/usr/bin/env python3
"""Validates the description of the admin API, as a running gateway serves it, and that
the gateway's answers are as it says: every operation is called, and every status,
content type and body must be described.

    python3 .ci/check_openapi.py CARROT
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import jsonschema
import openapi_spec_validator
import yaml

ADMIN_KEY = "admin-key-0123456789"
CONFIG = """
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
admin_key: %s
store: carrot.db
providers: [{name: nobody, kind: openai, base_url: "http://127.0.0.1:1/v1"}]
models: [{name: gpt-4o-2024-08-06, provider: nobody}]
policies: [{name: support}]
clients: [{name: listed, key: listed-key-0123456789, policies: [support], labels: {team: a}}]
budgets: [{client: listed, usd: 10, per: month}, {usd: 1, per: day, soft: true}]
""" % ADMIN_KEY

CLIENT = {
    "name": "shop",
    "labels": {"team": "search"},
    "policies": ["support", "cheap"],
    "rates": {"requests_per_minute": 60, "tokens_per_minute": 100000, "concurrent_requests": 4},
    "budgets": [{"usd": 100, "per": "month", "time_zone": "Europe/Berlin"}, {"usd": 0.5, "per": "month", "soft": True, "pacing": 4}],
    "expires": "2100-01-01T00:00:00Z",
}

# Method, path as described, path, body, status. None for a body: there is none.
CALLS = [
    ("get", "/keys", "/keys", None, 200),
    ("post", "/keys", "/keys", CLIENT, 201),
    ("post", "/keys", "/keys", CLIENT, 409),
    ("post", "/keys", "/keys", {"name": "minimal"}, 201),
    ("post", "/keys", "/keys", {"name": "a b"}, 400),
    ("post", "/keys", "/keys", {"name": "a" * 70000}, 413),
    ("get", "/keys", "/keys", None, 200),
    ("get", "/keys/{name}", "/keys/shop", None, 200),
    ("get", "/keys/{name}", "/keys/listed", None, 200),
    ("get", "/keys/{name}", "/keys/nobody", None, 404),
    ("patch", "/keys/{name}", "/keys/shop", {"labels": {"team": "shop"}, "rates": None, "expires": None}, 200),
    ("patch", "/keys/{name}", "/keys/shop", {"budgets": [{"usd": 1, "per": "day"}], "policies": None}, 200),
    ("patch", "/keys/{name}", "/keys/shop", {"policies": ["nothing"]}, 400),
    ("patch", "/keys/{name}", "/keys/listed", {}, 409),
    ("patch", "/keys/{name}", "/keys/nobody", {}, 404),
    ("post", "/keys/{name}/rotate", "/keys/shop/rotate", None, 200),
    ("post", "/keys/{name}/rotate", "/keys/shop/rotate", {"grace_seconds": 0}, 200),
    ("post", "/keys/{name}/rotate", "/keys/shop/rotate", {"grace_seconds": -1}, 400),
    ("post", "/keys/{name}/rotate", "/keys/nobody/rotate", None, 404),
    ("delete", "/keys/{name}", "/keys/shop?prefix=nothing", None, 404),
    ("delete", "/keys/{name}", "/keys/shop", None, 200),
    ("delete", "/keys/{name}", "/keys/listed", None, 409),
    ("post", "/keys/{name}/rotate", "/keys/shop/rotate", None, 409),
    ("get", "/keys/{name}", "/keys/shop", None, 200),
    ("get", "/audit", "/audit", None, 200),
    ("get", "/audit", "/audit?client=shop&limit=2&before=100", None, 200),
    ("get", "/audit", "/audit?limit=many", None, 400),
    ("get", "/budgets", "/budgets", None, 200),
]


def ask(base, method, path, body=None, key=ADMIN_KEY):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, data, headers, method=method.upper())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read()


def check(base):
    status, _, text = ask(base, "get", "/openapi.yaml")
    assert status == 200, (status, text)
    document = yaml.safe_load(text)
    openapi_spec_validator.validate(document)

    def described(node):
        while isinstance(node, dict) and "$ref" in node:
            found = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def faults(schema, value):
        # The components are beside the schema, so that its references are found.
        whole = {"components": document["components"], "allOf": [schema]}
        validator = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def compare(method, template, path, body, want, key=ADMIN_KEY):
        where = f"{method.upper()} {path}"
        operation = document["paths"][template][method]
        if body is not None and want < 300:
            schema = described(operation["requestBody"])["content"]["application/json"]["schema"]
            assert not faults(schema, body), (where, faults(schema, body))
        status, kind, text = ask(base, method, path, body, key)
        assert status == want, (where, status, want, text)
        answer = described(operation["responses"].get(str(status)))
        assert answer, f"{where}: status {status} is not described"
        content = answer["content"].get(kind)
        assert content, f"{where}: {kind} is not described for status {status}"
        value = json.loads(text) if kind == "application/json" else text.decode()
        wrong = faults(content["schema"], value)
        assert not wrong, (where, wrong, text)

    for method, template, path, body, want in CALLS:
        compare(method, template, path, body, want)
        compare(method, template, path, body, 401, key="another-key-0123456789")
    operations = {(method, path) for path, item in document["paths"].items() for method in item if method != "parameters"}
    missing = operations - {(method, template) for method, template, *_ in CALLS}
    assert not missing, f"not called: {missing}"
    # The schemas refuse what is not described, so that the checks above can fail.
    assert faults({"$ref": "#/components/schemas/Client"}, {"schema": "carrot.key/1", "client": {}})
    assert faults({"$ref": "#/components/schemas/Time"}, "yesterday")
    print(f"{len(operations)} operations, {2 * len(CALLS)} answers are as described")


def main():
    carrot = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "carrot.yaml"), "w") as file:
            file.write(CONFIG)
        gateway = subprocess.Popen([carrot, "serve", "--config", "carrot.yaml"], cwd=folder, stderr=subprocess.PIPE, text=True)
        try:
            log = ""
            for line in gateway.stderr:
                log += line
                if found := re.search(r'"msg":"serving".*"admin":"([^"]+)"', line):
                    break
            else:
                sys.exit("carrot serve ended:\n" + log)
            check("http://" + found.group(1))
        finally:
            gateway.terminate()
            gateway.wait()


if __name__ == "__main__":
    main()
