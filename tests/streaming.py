"""A scripted engine that takes requests one by one and finishes them in an order of its own."""

import heapq
import threading
from concurrent.futures import Future

import numpy as np

from rationem import ScriptedEngine


class Streaming:
    """Serves what another engine would, out of order: whoever waits, waits for one of up to ``concurrency`` others.

    ``most`` is the largest number of requests that were ever under way together.
    """

    honours_seeds = True

    def __init__(self, engine: ScriptedEngine, concurrency: int = 8, order: int = 0, die_after: int | None = None):
        self._engine, self._die_after = engine, die_after
        self._order = np.random.default_rng(order)
        self._heap: list = []
        self._ready = threading.Condition()
        self._closed = False
        self.concurrency, self.batch_size = concurrency, 4 * concurrency
        self.most = self.under_way = self.served = 0
        self.live: dict[str, int] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def submit(self, request):
        return self._submit(lambda: self._engine.sample([request])[0])

    def submit_levels(self, query):
        return self._submit(lambda: self._engine.score_levels([query])[0])

    def close(self):
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()
        self._engine.close()

    def _submit(self, work):
        future: Future = Future()
        with self._ready:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            heapq.heappush(self._heap, (self._order.random(), id(future), future, work))
            self._ready.notify()
        return future

    def _serve(self):
        while True:
            with self._ready:
                while not self._heap and not self._closed:
                    self._ready.wait()
                if self._closed:
                    return
                *_, future, work = heapq.heappop(self._heap)
                self.under_way -= 1
                self.served += 1
                dead = self._die_after is not None and self.served > self._die_after
            if not future.set_running_or_notify_cancel():
                continue
            if dead:
                future.set_exception(ConnectionError("gone"))
            else:
                future.set_result(work())
