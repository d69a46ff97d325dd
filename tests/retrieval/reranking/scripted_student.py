"""A real HTTP server in the form of vLLM, or of another OpenAI server, that reads how good passages are off them.

A passage says "관련도 7" or "relevance 7"; that is the logit of its label. Characters are tokens, but for the words
of its vocabulary.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmflow.models.llm import LLMClient
from llmflow.settings import LLMSettings

_BLOCK = re.compile(r"(?:\[(\w+)\]\n)?<passage>\n(.*?)\n</passage>", re.DOTALL)
_RELEVANCE = re.compile(r"(?:관련도|relevance) (-?\d+)")
_WORD_IDS = 2_000_000


@dataclass
class ScriptedStudent:
    """What it is and does; may be changed while it runs.

    Attributes:
        vllm: speaks vLLM's additions; otherwise only the OpenAI API.
        words: of several characters that are one token.
        relevance: of passages that say none.
        first_bonus: added to the logit of the first block, whatever stands there.
        shown: log-probabilities another server gives at most; the least likely are left out.
        instead: the one token another server gives a log-probability for.
        faults: what the next chat calls meet: an HTTP status, "truncate" or "hang".
        writes: the text of answers without log-probabilities; default: the right order.
    """

    vllm: bool = True
    words: tuple[str, ...] = ("yes", "no")
    relevance: int | None = None
    first_bonus: float = 0.0
    shown: int = 20
    instead: str | None = None
    logprobs: bool = True
    faults: list[int | str] = field(default_factory=list)
    writes: str | None = None
    url: str = ""
    chats: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def client(self, **settings: Any) -> LLMClient:
        """A client that does not try again unless told to."""
        defaults = {"retries": 0, "timeout_s": 10, "model": "student"}
        return LLMClient(LLMSettings(base_url=f"{self.url}/v1", **defaults | settings))

    def tokenize(self, text: str) -> list[int]:
        """Ids of words and characters."""
        tokens, start = [], 0
        while start < len(text):
            word = next((word for word in self.words if text.startswith(word, start)), None)
            tokens.append(_WORD_IDS + self.words.index(word) if word else ord(text[start]))
            start += len(word) if word else 1
        return tokens

    def text(self, tokens: Sequence[int]) -> str:
        """The text of ids."""
        return "".join(self.words[token - _WORD_IDS] if token >= _WORD_IDS else chr(token) for token in tokens)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The reply, or None for a path it does not have."""
        if path == "/v1/chat/completions":
            return self._chat(body)
        if path == "/tokenize" and self.vllm:
            return {"tokens": self.tokenize(body.get("prompt") or "<user>?<assistant>\n")}
        if path == "/detokenize" and self.vllm:
            return {"prompt": self.text(body["tokens"])}
        return None

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = "\n".join(message["content"] for message in body["messages"])
        blocks = [(label, self._relevance_of(text)) for label, text in _BLOCK.findall(prompt)]
        usage = {"prompt_tokens": len(self.tokenize(prompt)), "completion_tokens": body["max_tokens"]}
        if not body.get("logprobs"):
            order = sorted(blocks, key=lambda block: -block[1])
            written = " > ".join(f"[{label}]" for label, _ in order) if self.writes is None else self.writes
            choice: dict[str, Any] = {"message": {"content": written}, "finish_reason": "stop"}
        else:
            logits = {label: float(value) for label, value in blocks}
            if "" in logits:
                logits = {"O": logits[""], "yes": logits[""], "X": 0.0, "no": 0.0}
            else:
                logits[blocks[0][0]] += self.first_bonus
            choice = {"message": {"content": "A"}, "logprobs": self._logprobs(body, logits)}
        return {"choices": [choice], "usage": usage}

    def _relevance_of(self, text: str) -> int:
        found = _RELEVANCE.search(text)
        value = int(found[1]) if found else self.relevance
        assert value is not None, f"no relevance in {text!r}"
        return value

    def _logprobs(self, body: dict[str, Any], logits: dict[str, float]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        total = math.log(sum(math.exp(value) for value in [*logits.values(), 1.0]))  # 1.0: every other token
        found = sorted(((value - total, label) for label, value in logits.items()), reverse=True)
        if self.vllm:
            names = {label: f"token_id:{self.tokenize(label)[0]}" for label in logits}
            asked = {f"token_id:{token}" for token in body["logprob_token_ids"]}
            entries = [{"token": "token_id:7", "logprob": 1.0 - total}]
            entries += [{"token": names[label], "logprob": value} for value, label in found if names[label] in asked]
        else:
            entries = [{"token": label, "logprob": value} for value, label in found[: self.shown]]
            if self.instead is not None:
                entries = [{"token": self.instead, "logprob": -0.01}]
        return {"content": [{**entries[0], "top_logprobs": entries}]}


@contextmanager
def scripted_student(**script: Any) -> Iterator[ScriptedStudent]:
    """A running server."""
    student = ScriptedStudent(**script)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            student.paths.append(self.path)
            owner = "vllm" if student.vllm else "somebody"
            self._send({"data": [{"id": "student", "owned_by": owner}]} if self.path == "/v1/models" else None)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            student.paths.append(self.path)
            fault = None
            if self.path.endswith("/chat/completions"):
                student.chats.append(body)
                fault = student.faults.pop(0) if student.faults else None
            if fault == "hang":
                student.released.wait(20)
                return
            self._send({"error": "on purpose"} if isinstance(fault, int) else student.answer(self.path, body), fault)

        def _send(self, reply: dict[str, Any] | None, fault: int | str | None = None) -> None:
            data = json.dumps(reply).encode()
            self.send_response(fault if isinstance(fault, int) else 404 if reply is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if fault == "truncate" else data)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    student.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield student
    finally:
        student.released.set()
        server.shutdown()
        server.server_close()
