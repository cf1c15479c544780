"""Serves httpbin at ADDRESS:PORT and prints `ready` when it listens."""

import sys

import waitress
from httpbin import app

host, port = sys.argv[1].rsplit(":", 1)
server = waitress.create_server(app, host=host, port=int(port), threads=8, clear_untrusted_proxy_headers=False)
print("ready", flush=True)
server.run()
