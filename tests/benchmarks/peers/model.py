"""A model server on loopback for the benchmark of asking, in a process of its own.

    python tests/benchmarks/peers/model.py        prints its address and serves until its standard input is closed

The name of the model says how it behaves: `steady-200` answers after 200 ms; `twenty-200` takes twenty requests at once and
answers 429 with `Retry-After: 1` to all others; `faulty-0` gets one request in four wrong; `telling-0` says with each answer
that nothing is to be sent for 300 ms.  `GET /counts` tells what was sent since it was last asked.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from aiohttp import web

AT_ONCE = 20
PAIRS = 2
TOLD = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
FAULTS = (("malformed", 0.10), ("empty", 0.05), ("error", 0.05), ("dropped", 0.05), ("cut off", 0.02))


class Model:
    """Answers chat completions with two pairs, and counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.at_once = 0
        self.last = 0.0
        self.dice = random.Random(7)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await request.json()
        behaviour, _, latency = body["model"].partition("-")
        self.counts["sent"] += 1
        if behaviour == "telling" and self.last:
            gap = round((time.monotonic() - self.last) * 1000)
            self.counts["shortest gap"] = min(self.counts["shortest gap"] or gap, gap)
        if behaviour == "twenty" and self.at_once >= AT_ONCE:
            self.counts["refused"] += 1
            error = {"error": {"message": "too many at once", "type": "requests", "code": "rate_limit_exceeded"}}
            return web.json_response(error, status=429, headers={"Retry-After": "1"})
        self.at_once += 1
        self.counts["most at once"] = max(self.counts["most at once"], self.at_once)
        try:
            if float(latency):
                await asyncio.sleep(float(latency) / 1000)
        finally:
            self.at_once -= 1
        fault = self._fault() if behaviour == "faulty" else ""
        self.counts[fault or "good"] += 1
        if fault == "dropped":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault == "error":
            return web.json_response({"error": {"message": "out of order", "type": "server_error"}}, status=500)
        self.last = time.monotonic()
        return web.json_response(self._answer(body, fault), headers=TOLD if behaviour == "telling" else None)

    def _fault(self) -> str:
        thrown = self.dice.random()
        for name, share in FAULTS:
            if thrown < share:
                return name
            thrown -= share
        return ""

    def _answer(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        number = self.counts["sent"]
        lines = [json.dumps({"prompt": f"What is {number}, {n}?", "completion": f"It is {n}."}) for n in range(PAIRS)]
        text = {"malformed": "Certainly! Here are your pairs.", "empty": "", "cut off": lines[0][:30]}.get(
            fault, "\n".join(lines)
        )
        message = {"role": "assistant", "content": text}
        finish = "length" if fault == "cut off" else "stop"
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140},
        }

    async def tell(self, _request: web.Request) -> web.Response:
        """Return what was counted, and begin anew."""
        told, self.counts = dict(self.counts), Counter()
        return web.json_response(told)


async def serve() -> None:
    """Serve until standard input is closed."""
    model, app = Model(), web.Application()
    app.add_routes([web.post("/v1/chat/completions", model.complete), web.get("/counts", model.tell)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    assert runner.addresses
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
