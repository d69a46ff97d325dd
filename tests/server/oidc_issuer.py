"""An OIDC issuer for the tests: real keys, served over HTTP."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str, **fields: str) -> dict[str, Any]:
    kind = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    algorithm = next((kind[base] for base in kind if isinstance(key, base)), OKPAlgorithm)
    made: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**made, "kid": kid, "use": "sig", **fields}


class Issuer:
    """An OIDC issuer on a port of its own; ``paths`` are the calls it got."""

    def __init__(self) -> None:
        issuer = self
        self.keys: list[dict[str, Any]] = [public(RSA_KEY, "one"), public(EC_KEY, "ec"), public(ED_KEY, "ed")]
        self.paths: list[str] = []
        self.broken = False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.paths.append(self.path)
                body = {
                    "/realms/acme/.well-known/openid-configuration": issuer.discovery,
                    "/keys": {"keys": issuer.keys},
                }.get(self.path)
                self.send_response(500 if issuer.broken else 200 if body else 404)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.root}/realms/acme"
        self.discovery: Any = {"issuer": self.url, "jwks_uri": f"{self.root}/keys"}
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "llmflow",
            "sub": "u-17",
            "iat": now,
            "exp": now + 300,
            "tenant": "acme",
            "departments": ["hr", "it"],
            "role": "editor",
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "one", **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
