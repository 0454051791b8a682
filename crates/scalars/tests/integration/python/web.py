"""Starts TensorBoard on a log folder and requests every scalar from its web API, as the page does.

Usage: web.py LOGDIR [true|false]      (the value of --load_fast)

Prints JSON: {run: {tag: [[wall_time, step, value], ...]}}; NaN and infinities as TensorBoard spells them.
TensorBoard shows at most 1000 points per curve by default, so the script raises the limit.
"""

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request


def start(logdir, fast):
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--port", "0", "--load_fast", fast]
    command += ["--samples_per_plugin", "scalars=1000000", "--reload_interval", "1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if found := re.search(r"(http://\S+?)/? \(Press", line):
            return server, found[1]
    raise SystemExit("TensorBoard did not start")


def get(url, path):
    return json.load(urllib.request.urlopen(f"{url}/data/plugin/{path}"))


def scalars(url):
    """The tags come after a first load; wait until two answers agree."""
    before = None
    for _ in range(120):
        now = {
            run: {
                tag: get(url, "scalars/scalars?" + urllib.parse.urlencode({"run": run, "tag": tag}))
                for tag in sorted(tags)
            }
            for run, tags in sorted(get(url, "scalars/tags").items())
        }
        if now and now == before:
            return now
        before = now
        time.sleep(1)
    return before


def main(logdir, fast="true"):
    server, url = start(logdir, fast)
    try:
        json.dump(scalars(url), sys.stdout)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
