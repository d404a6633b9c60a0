"""A stand-in for a model server: real HTTP on a thread of its own, answers as a test dictates or from a real model."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from aiohttp import web

#: Breaks the connection in the middle of the answer's body.
CUT = object()


@dataclass
class Reply:
    """An answer other than 200 with a JSON object."""

    status: int = 200
    body: object = None
    headers: dict = field(default_factory=dict)


class StubServer:
    """Serves ``answer(path, body) -> dict | Reply | CUT``; counts what is under way and keeps what was asked."""

    def __init__(self, answer, *, socket=None, delay=0.0, keep=True):
        self.answer, self.delay, self.keep, self.socket = answer, delay, keep, socket
        self.asked, self.headers, self.under_way, self.most, self.count = [], [], 0, 0, 0
        self._up = Event()

    def __enter__(self):
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_error):
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join()

    async def _serve(self):
        self._loop, self._down = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.UnixSite(runner, str(self.socket)) if self.socket else web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://localhost" if self.socket else "http://{}:{}".format(*runner.addresses[0])
        self._up.set()
        await self._down.wait()
        await site.stop()
        await _accepted()
        transports = [connection.transport for connection in runner.server.connections]
        await runner.cleanup()
        for transport in filter(None, transports):  # one whose client does not read any more waits to send for ever
            transport.abort()
        for _ in range(20):  # the loop's own steps until a closed transport has closed its socket
            await asyncio.sleep(0)

    async def _handle(self, request):
        text = await request.text()
        body = json.loads(text) if text else None
        self.count += 1
        if self.keep:
            self.asked.append((request.path, body))
            self.headers.append(dict(request.headers))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.delay)
            return await self._reply(request, self.answer(request.path, body))
        finally:
            self.under_way -= 1

    async def _reply(self, request, answer):
        if answer is CUT:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            request.transport.close()
            with suppress(ConnectionError):
                await response.write_eof()
            return response
        if not isinstance(answer, Reply):
            answer = Reply(200, answer)
        if isinstance(answer.body, bytes):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return web.Response(status=answer.status, text=text, headers=answer.headers)


async def _accepted():
    """Wait until every socket that the loop has accepted belongs to a connection, which can be closed."""
    for _ in range(3):  # accepting, making the transport, telling the protocol
        await asyncio.sleep(0)
        under_way = [task for task in asyncio.all_tasks() if "_accept_connection" in repr(task.get_coro())]
        if under_way:
            await asyncio.wait(under_way, timeout=10)


class ModelAnswers:
    """Answers /v1/completions from a real model, one plain forward per token: slow, and the definition itself.

    ``can`` names what this server knows: "token_ids", "logprob_token_ids", "prompt_logprobs".
    """

    def __init__(self, loaded, *, can=("token_ids", "logprob_token_ids", "prompt_logprobs")):
        self.model, self.tokenizer, self.can = loaded.model, loaded.tokenizer, can
        self._lock = Lock()

    def __call__(self, path, body):
        import torch

        assert path == "/v1/completions"
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        with self._lock, torch.inference_mode():
            return {"choices": [{"index": i, **self._choice(prompt, body)} for i, prompt in enumerate(prompts)][::-1]}

    def _choice(self, prompt, body):
        import torch

        ids, logps, rows, finish = list(prompt), [], [], "length"
        noise = torch.Generator().manual_seed(body.get("seed", 0))
        while len(ids) - len(prompt) < body["max_tokens"] and finish == "length":
            row = (self._logits(ids)[-1] / body["temperature"]).log_softmax(-1)
            token = int(torch.multinomial(row.exp(), 1, generator=noise))
            ids.append(token)
            logps.append(float(row[token]))
            rows.append(row)
            text = self._text(ids[len(prompt) :])
            if token in body.get("stop_token_ids", ()) or text.endswith(tuple(body.get("stop", ()))):
                finish = "stop"
        return self._form(prompt, ids[len(prompt) :], logps, rows, finish, body)

    def _form(self, prompt, ids, logps, rows, finish, body):
        import torch

        found = {"text": self._text(ids), "finish_reason": finish, "logprobs": {"token_logprobs": logps}}
        if "token_ids" in self.can:
            found |= {"token_ids": ids, "prompt_token_ids": prompt}
        if "logprob_token_ids" in self.can and "logprob_token_ids" in body:
            found["logprobs"]["top_logprobs"] = [
                {f"token_id:{token}": float(row[token]) for token in body["logprob_token_ids"]} for row in rows
            ]
        if "prompt_logprobs" in self.can and "prompt_logprobs" in body:
            told = self._logits(prompt).log_softmax(-1)[:-1].gather(1, torch.tensor(prompt[1:]).unsqueeze(1))
            found["prompt_logprobs"] = [None] + [
                {str(token): {"logprob": float(logp)}} for token, logp in zip(prompt[1:], told, strict=True)
            ]
        return found

    def _logits(self, ids):
        import torch

        return self.model(torch.tensor([ids])).logits[0].float()

    def _text(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=False)
