"""A stand-in for the Hugging Face hub: what an upload needs, over real HTTP, and the files are really received."""

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN = "hf_secretsecretsecretsecretsecret"  # of nobody
OWNER = "me"


class Hub:
    """Repositories in memory: name -> {"private": bool, "branches": {branch: {path: bytes}}}."""

    def __init__(self):
        self.repos, self.objects, self.asked = {}, {}, []

    def add(self, name, files=None, *, private=False):
        self.repos[name] = {"private": private, "branches": {"main": dict(files or {})}}

    def files(self, name, branch="main"):
        return self.repos[name]["branches"][branch]

    def answer(self, verb, path, body, token):
        """Return status and JSON; a message of the hub's repeats the token, as no message of ours may."""
        if token != TOKEN:
            return 401, {"error": f"Invalid username or password: {token}"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(\w+)/([^/?]+))?(?:\?.*)?", path):
            return self._repo(verb, *match.groups(), body)
        if match := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return 200, {"transfer": "basic", "objects": [self._slot(one) for one in json.loads(body)["objects"]]}
        return 404, {"error": f"nothing at {path}"}

    def _create(self, wanted):
        name = f"{wanted['organization'] or OWNER}/{wanted['name']}"
        if not name.startswith(f"{OWNER}/"):
            return 403, {"error": f"You don't have the rights to create a model under this namespace ({TOKEN})"}
        if name in self.repos:
            return 409, {"error": "You already created this model repo", "url": f"{self.url}/{name}"}
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=private)
        return 200, {"url": f"{self.url}/{name}"}

    def _slot(self, one):
        put = {"href": f"{self.url}/put/{one['oid']}", "header": {}}
        return {**one, "actions": {"upload": put}}

    def _repo(self, verb, name, what, branch, body):
        repo = self.repos.get(name)
        if repo is None:
            return 404, {"error": "Repository not found"}
        if verb == "GET" and what in (None, "revision"):
            return 200, {"id": name, "private": repo["private"], "sha": "0" * 40, "siblings": []}
        if verb == "POST" and not name.startswith(f"{OWNER}/"):
            return 403, {"error": f"Forbidden: {TOKEN}"}
        if what == "branch":
            repo["branches"].setdefault(branch, dict(repo["branches"]["main"]))
            return 200, {}
        files = repo["branches"].get(branch)
        if files is None:
            return 404, {"error": "Invalid rev id"}
        if what == "tree":
            return 200, [{"type": "file", "path": p, "size": len(c), "oid": "1" * 40} for p, c in files.items()]
        if what == "preupload":
            return 200, {"files": [_mode(one["path"]) for one in json.loads(body)["files"]]}
        return self._commit(name, files, [json.loads(line) for line in body.splitlines()])

    def _commit(self, name, files, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        return 200, {"success": True, "commitOid": "2" * 40, "commitUrl": f"{self.url}/{name}/commit/{'2' * 40}"}


def _mode(path):
    return {"path": path, "uploadMode": "lfs" if path.endswith(".safetensors") else "regular", "shouldIgnore": False}


@contextmanager
def serve():
    """Run a hub on this machine; its ``url`` is the endpoint."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.asked.append((self.command, self.path))
            if self.command == "PUT":
                oid = self.path.rsplit("/", 1)[-1]
                assert hashlib.sha256(body).hexdigest() == oid
                hub.objects[oid] = body
                status, said = 200, {}
            else:
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                status, said = hub.answer(self.command, self.path, body, token)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
