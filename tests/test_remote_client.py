"""The HTTP client against a real server: what passes is tried again, what does not is told in the server's words."""

import gzip
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest

from rationem import progress
from rationem.engines.remote import client as module
from rationem.engines.remote.client import Client
from rationem.errors import ConfigError, RunError
from stub_server import CUT, Reply, StubServer

pytestmark = pytest.mark.slow

KEY = "sk-very-secret"


def after(*first, then=None):
    """Answers in turn, and one for all that come later."""
    left = list(first)
    return lambda _path, _body: left.pop(0) if left else then or {"ok": True}


def closed_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.fixture
def ask():
    """Start a client that is closed behind the test."""
    made = []

    def start(*urls, **settings):
        made.append(Client([getattr(url, "url", url) for url in urls], **settings))
        return made[-1]

    yield start
    for client in made:
        client.close()


def test_bodies_and_key_arrive_and_answers_come_back(ask):
    with StubServer(lambda path, body: {"path": path, "body": body}) as server:
        client = ask(f"{server.url}/v1/", key=KEY)
        assert client.post("/v1/x", {"n": [1, 2]}).result() == {"path": "/v1/x", "body": {"n": [1, 2]}}
        assert client.get("/v1/models") == {"path": "/v1/models", "body": None}
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        client.close()


def test_a_unix_socket_is_a_server_too(ask, tmp_path):
    with StubServer(after(), socket=tmp_path / "s") as server:
        assert ask(sockets=[server.socket]).get("/health") == {"ok": True}


@pytest.mark.parametrize("failure", [Reply(500, "oh"), Reply(503, "loading"), CUT], ids=["500", "503", "cut"])
def test_what_may_pass_is_tried_again(ask, failure):
    with StubServer(after(failure)) as server:
        assert ask(server).post("/v1/x", {}).result() == {"ok": True}
        assert server.count == 2


def test_retry_after_is_honoured(ask):
    with StubServer(after(Reply(429, "slow down", {"Retry-After": "0.6"}))) as server:
        begun = time.monotonic()
        assert ask(server).post("/v1/x", {}).result() == {"ok": True}
        assert 0.6 <= time.monotonic() - begun < 3


def test_retry_after_may_be_a_date():
    assert module._seconds("Wed, 21 Oct 2065 07:28:00 GMT") > 1e9
    assert module._seconds("Wed, 21 Oct 2015 07:28:00 GMT") == module._seconds("soon") == module._seconds("") == 0


def test_a_wait_beyond_patience_is_not_begun(ask):
    with StubServer(after(then=Reply(429, "quota", {"Retry-After": "3600"}))) as server:
        with pytest.raises(RunError, match=r"quota.*Given up after 0 s"):
            ask(server).post("/v1/x", {}).result()
        assert server.count == 1


def test_patience_ends(ask):
    with StubServer(after(then=Reply(500, {"error": {"message": "out of memory"}}))) as server:
        begun = time.monotonic()
        with pytest.raises(RunError, match=r"POST /v1/x: .*500: out of memory.*Given up"):
            ask(server, patience=0.5).post("/v1/x", {}).result()
        assert 0.5 <= time.monotonic() - begun < 2
        assert server.count >= 3


def test_silence_ends_too_and_is_not_called_an_outage(ask):
    with StubServer(after(), delay=1.0) as server:
        with pytest.raises(RunError, match=r"did not answer within 0.2 s\. Given up after") as error:
            ask(server, patience=0.1, silence=0.2).post("/v1/x", {}).result()
        assert "reached" not in str(error.value)
        with pytest.raises(RunError, match=r"did not answer within 0.1 s\. Given up after"):
            ask(server, revive=[list]).get("/v1/models", patience=0.1)


def test_a_slow_answer_is_no_failure_and_is_asked_for_once(ask):
    """Patience bounds what fails, not what takes long; a server of ours may take any time."""
    revived = []
    with StubServer(after(), delay=0.3) as server:
        assert ask(server, patience=0.1).post("/v1/x", {}).result() == {"ok": True}
        client = ask(server, patience=0.1, silence=0.1, revive=[lambda: revived.append(1)])
        assert client.post("/v1/x", {}).result() == {"ok": True}
        assert (server.count, revived) == (2, [])


def test_long_work_that_is_lost_is_tried_again(ask, monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 0.001)
    with StubServer(after(CUT), delay=0.1) as server:
        assert ask(server, patience=0.05).post("/v1/x", {}).result() == {"ok": True}
    with StubServer(after(CUT, Reply(500, "oh")), delay=0.1) as server:
        client = ask(server, patience=0.05, revive=[lambda: time.sleep(0.1)])
        assert client.post("/v1/x", {}).result() == {"ok": True}
    with StubServer(after(CUT, CUT), delay=0.1) as server, pytest.raises(RunError, match="Given up"):
        ask(server, patience=0.05).post("/v1/x", {}).result()


def test_nobody_there(ask):
    port = closed_port()
    with pytest.raises(RunError, match=f"127.0.0.1:{port} cannot be reached.*Check whether the server runs"):
        ask(f"http://127.0.0.1:{port}").get("/v1/models", patience=0.2)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(400, {"error": {"message": "prompt is too long", "code": 400}}), "400: prompt is too long"),
        (Reply(400, {"object": "error", "message": "too long"}), "400: too long"),
        (Reply(422, {"detail": [{"loc": ["top_k"]}]}), "top_k"),
        (Reply(401, {"error": {"message": f"wrong key {KEY}"}}), r"wrong key \[key\]. Check the key"),
        (Reply(404, "not here"), "404: not here. Check the address"),
        (Reply(307, "", {"Location": "https://other"}), "redirection to https://other"),
        (Reply(501, "never"), "501: never"),
        (Reply(200, "<html>"), "other than a JSON object .<html>"),
        (Reply(200, "[1]"), "other than a JSON object"),
        (Reply(200, '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), r"other than a JSON object .*\[\["),
        (Reply(400, '{"error":' + "[" * 100_000 + "]" * 100_000 + "}"), r"400: .*\[\["),
    ],
)
def test_what_will_not_pass_is_told_at_once_in_the_servers_words(ask, reply, words):
    with StubServer(after(then=reply)) as server:
        with pytest.raises(RunError, match=words):
            ask(server, key=KEY).post("/v1/x", {}).result()
        assert server.count == 1


def test_the_key_is_in_no_error_and_no_repr(ask):
    with StubServer(after(then=Reply(500, f"Bearer {KEY} overloads us"))) as server:
        client = ask(server, key=KEY, patience=0.1)
        with pytest.raises(RunError) as error:
            client.post("/v1/x", {}).result()
        assert "overloads us" in str(error.value)
        chain = [error.value, error.value.__cause__, error.value.__context__]
        assert KEY not in f"{client!r} {client.__dict__['_servers']} {chain!r} {chain}"
    with pytest.raises(ConfigError) as told:
        Client(["http://x"], key=f"{KEY}\n{KEY}")
    assert KEY not in str(told.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://me:word@x", "http://x?key=1"])
def test_addresses_that_cannot_be_used_are_refused(url):
    with pytest.raises(ConfigError) as error:
        Client([url])
    assert "word" not in str(error.value) or "password" in str(error.value)


def test_no_server_is_no_client():
    with pytest.raises(ConfigError, match="No server"):
        Client([])


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/completions", "/v1/chat/completions"])
def test_any_form_of_an_address_will_do(end):
    assert module.address(f"https://host:1/deep{end}") == "https://host:1/deep"


def test_one_of_two_servers_is_dead_and_all_are_served(ask):
    with StubServer(after(), delay=0.01) as server:
        client = ask(f"http://127.0.0.1:{closed_port()}", server)
        begun = time.monotonic()
        assert all(f.result()["ok"] for f in [client.post("/v1/x", {}) for _ in range(200)])
        assert time.monotonic() - begun < 3
        assert server.count == 200


def test_a_server_that_fails_is_left_alone_for_a_while(ask):
    with StubServer(after(then=Reply(500, "down"))) as bad, StubServer(after()) as good:
        client = ask(bad, good)
        for _ in range(50):
            assert client.post("/v1/x", {}).result() == {"ok": True}
        assert bad.count <= 2
        assert good.count == 50


def test_a_dead_servers_requests_go_to_the_others_while_it_is_started_again(ask, tmp_path):
    """One of three dies under way and comes back: each is answered once, none waits for it, and it works again."""
    begun, end = threading.Event(), threading.Event()
    echo = lambda _path, body: {"n": body["n"]}  # noqa: E731
    dying = after(*[CUT] * 4, then={"n": "back"})
    with (
        StubServer(dying, socket=tmp_path / "a", delay=0.01) as first,
        StubServer(echo, socket=tmp_path / "b", delay=0.01) as second,
        StubServer(echo, socket=tmp_path / "c", delay=0.01) as third,
    ):
        revive = [lambda: (begun.set(), end.wait(10)), list, list]
        client = ask(sockets=[one.socket for one in (first, second, third)], concurrency=12, revive=revive)
        answers = [future.result(5)["n"] for future in [client.post("/v1/x", {"n": n}) for n in range(100)]]
        assert answers == list(range(100))
        assert begun.is_set()
        assert (first.count, second.count + third.count) == (4, 100)
        end.set()
        time.sleep(0.2)
        assert "back" in [future.result(5)["n"] for future in [client.post("/v1/x", {"n": n}) for n in range(9)]]


def test_a_server_that_cannot_be_started_again_is_done_without(ask, tmp_path):
    def revive():
        raise RunError("ended too often")

    with StubServer(after(then=CUT), socket=tmp_path / "a") as bad, StubServer(after(), socket=tmp_path / "b") as good:
        client = ask(sockets=[bad.socket, good.socket], revive=[revive, list])
        assert all(f.result(5)["ok"] for f in [client.post("/v1/x", {}) for _ in range(40)])
        assert good.count == 40


def test_work_goes_where_least_is_under_way(ask):
    with StubServer(after(), delay=0.2) as slow, StubServer(after(), delay=0.01) as fast:
        client = ask(slow, fast, concurrency=8)
        for future in [client.post("/v1/x", {}) for _ in range(80)]:
            future.result()
        assert fast.count > 2 * slow.count > 0


def test_never_more_under_way_than_asked_for(ask):
    with StubServer(after(), delay=0.01) as server:
        client = ask(server, concurrency=7)
        for future in [client.post("/v1/x", {}) for _ in range(70)]:
            future.result()
        assert server.most == 7


def test_a_lost_server_is_revived_before_the_next_try(ask, monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 0.02)
    revived = []
    with StubServer(after(CUT, Reply(500, "oh"), Reply(429, "busy"))) as server:
        client = ask(server, revive=[lambda: revived.append(threading.current_thread().name)])
        assert client.post("/v1/x", {}).result() == {"ok": True}
    assert len(revived) == 2
    assert "rationem-client" not in revived


def test_what_revival_raises_ends_the_request(ask):
    def revive():
        raise RunError("no memory for the server")

    with StubServer(after(then=Reply(500, "oh"))) as server:
        with pytest.raises(RunError, match=r"^no memory"):
            ask(server, revive=[revive]).post("/v1/x", {}).result()
        assert server.count == 1


def test_a_revival_is_waited_for_by_all_and_by_no_exit(ask, monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 0.02)
    threads, end = [], threading.Event()

    def revive():
        threads.append(threading.current_thread())
        end.wait(10)

    with StubServer(after(*[CUT] * 5)) as server:
        client = ask(server, revive=[revive])
        futures = [client.post("/v1/x", {}) for _ in range(5)]
        time.sleep(0.3)
        end.set()
        assert [future.result() for future in futures] == [{"ok": True}] * 5
    (thread,) = threads
    assert thread.daemon


def test_closing_does_not_wait_for_a_revival(ask):
    begun, end = threading.Event(), threading.Event()
    with StubServer(after(then=CUT)) as server:
        client = ask(server, revive=[lambda: (begun.set(), end.wait(10))])
        future = client.post("/v1/x", {})
        assert begun.wait(5)
        now = time.monotonic()
        client.close()
        assert time.monotonic() - now < 1
        assert future.cancelled()
        end.set()


@pytest.mark.slow
def test_the_interpreter_does_not_wait_for_a_revival():
    program = """
import socket, threading, time
from rationem.engines.remote.client import Client
with socket.socket() as held:
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
begun = threading.Event()
client = Client([f"http://127.0.0.1:{port}"], revive=[lambda: (begun.set(), time.sleep(60))])
client.post("/v1/x", {})
assert begun.wait(10)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)


def test_a_bug_in_a_revival_leaves_nobody_waiting_and_keeps_its_traceback(ask, monkeypatch):
    seen, told = [], threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda args: (seen.append(args.exc_type), told.set()))

    def revive():
        raise KeyError("bug")

    with StubServer(after(then=CUT)) as server, pytest.raises(RunError, match="traceback"):
        ask(server, revive=[revive]).post("/v1/x", {}).result(5)
    assert told.wait(5)
    assert seen == [KeyError]


def test_models_are_those_that_have_a_name(ask):
    odd = [None, "text", 3, {}, [None, 1, "x", ["y"], {"id": None}, {"id": 3}, {}]]
    for data in odd:
        with StubServer(after({"data": data}, {"data": [{"id": "a"}, {"id": "b"}]}, {})) as server:
            client = ask(server)
            assert [client.models() for _ in range(3)] == [[], ["a", "b"], []]
            assert server.asked[0] == ("/v1/models", None)


def test_a_long_wait_is_told_once(ask, monkeypatch):
    monkeypatch.setattr(module, "_FIRST", 0.02)
    said = []

    class Display(progress.Silent):
        def say(self, text):
            said.append(text)

    monkeypatch.setattr(progress, "_display", Display())
    with StubServer(after(*[Reply(503, "loading")] * 6)) as server:
        client = ask(server)
        assert [f.result() for f in [client.post("/v1/x", {}) for _ in range(2)]] == [{"ok": True}] * 2
    (line,) = said
    assert "loading. Trying again, for up to" in line


def test_closing_cancels_what_is_under_way_and_may_be_repeated(ask):
    with StubServer(after(), delay=5) as server:
        client = ask(server, concurrency=2)
        futures = [client.post("/v1/x", {}) for _ in range(6)]
        time.sleep(0.1)
        client.close()
        client.close()
        for future in futures:
            with pytest.raises(CancelledError):
                future.result(1)
        with pytest.raises(RunError, match="closed"):
            client.post("/v1/x", {})
    assert not any(thread.name == "rationem-client" for thread in threading.enumerate())


def test_many_threads_may_ask(ask):
    with StubServer(lambda _path, body: body) as server:
        client, found = ask(server), []
        threads = [
            threading.Thread(target=lambda n=n: found.append(client.post("/v1/x", {"n": n}).result()["n"]))
            for n in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == list(range(40))


def test_an_answer_without_end_is_not_read_to_its_end(ask, monkeypatch):
    """A body of any size, and a small one that unpacks into a big one."""
    monkeypatch.setattr(module, "_BIGGEST", 1 << 20)
    packed = gzip.compress(b'{"x": "' + b" " * (64 << 20) + b'"}')
    for reply in ({"x": "y" * (2 << 20)}, Reply(200, packed, {"Content-Encoding": "gzip"})):
        with StubServer(after(reply)) as server, pytest.raises(RunError, match="more than 1 MiB"):
            ask(server).get("/v1/models", patience=1.0)
    with StubServer(after({"x": "y" * 1000})) as server:
        assert ask(server).get("/v1/models") == {"x": "y" * 1000}


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://10.1.2.3:8000", True),
        ("http://example.org", True),
        ("http://127.0.0.1.example.org", True),
        ("http://localhost:8000/v1", False),
        ("http://127.0.0.2:8000", False),
        ("http://[::1]:8000", False),
        ("https://example.org", False),
    ],
)
def test_a_key_that_anybody_can_read_on_the_way_is_told(ask, monkeypatch, url, warned):
    told = []
    monkeypatch.setattr(progress, "say", told.append)
    ask(url)
    assert told == []
    ask(url, key=KEY)
    assert [("unencrypted" in one) for one in told] == [True] * warned
    assert not any(KEY in one for one in told)
