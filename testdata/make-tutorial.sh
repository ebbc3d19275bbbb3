#!/bin/bash
# Makes tutorial.rdb and tutorial.truth.json afresh with a real redis-server 6.2.14:
#
#     testdata/make-tutorial.sh
#
# The data are always the same; the bytes are not, for a server notes the time and its memory in the dump and
# keeps its keys in an order of its own. Needs what tests/servers.sh needs.
set -eu
cd "$(dirname "$0")/.."
servers=${RDBKIT_SERVERS:-target/servers}
tests/servers.sh redis-6.2.14 >&2

tmp=$(mktemp -d)
trap 'kill $! 2>/dev/null || true; rm -rf "$tmp"' EXIT
"$servers/redis-6.2.14/run-server" --port 0 --unixsocket "$tmp/socket" --dir "$tmp" --dbfilename dump.rdb \
    --rdbcompression yes --save '' --appendonly no > "$tmp/log" &

python3 - "$tmp/socket" > "$tmp/truth.json" <<'PYTHON'
import json, socket, sys, time

COUNTRIES = {
    "Bahamas": "Nassau", "South_Africa": "Pretoria", "Croatia": "Zagreb",
    "Lebanon": "Beirut", "Norway": "Oslo", "France": "Paris",
}
SITES = {
    "fixes.co.za": {"url": "https://fixes.co.za/", "github": "fixes", "fullname": "fixes"},
    "pypa": {"url": "https://www.pypa.io/", "github": "pypa", "fullname": "Python Packaging Authority"},
}
HATS = {
    "hat:56854717": ("black", "49.99", "fitted", "1000", "0"),
    "hat:1326692461": ("maroon", "59.99", "hipster", "500", "0"),
    "hat:1736174144": ("green", "99.99", "baseball", "200", "0"),
}
HAT_FIELDS = ("color", "price", "style", "quantity", "npurchased")

connection = socket.socket(socket.AF_UNIX)
for attempt in range(100):
    try:
        connection.connect(sys.argv[1])
        break
    except OSError:
        time.sleep(0.1)
replies = connection.makefile("rb")


def reply():
    line = replies.readline().decode().rstrip()
    kind, rest = line[:1], line[1:]
    if kind == "$":
        return None if rest == "-1" else replies.read(int(rest) + 2)[:-2].decode("latin-1")
    if kind == "*":
        return [reply() for _ in range(int(rest))]
    if kind == "-" or not kind:
        sys.exit(f"the server says: {rest}")
    return int(rest) if kind == ":" else rest


def ask(*words):
    words = [w.encode() for w in words]
    connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    return reply()


def pairs(flat):
    return [list(p) for p in zip(flat[::2], flat[1::2])]


for key, value in COUNTRIES.items():
    ask("SET", key, value)
for key, fields in SITES.items():
    ask("HSET", key, *(word for pair in fields.items() for word in pair))
ask("SELECT", "1")
for key, values in HATS.items():
    ask("HSET", key, *(word for pair in zip(HAT_FIELDS, values) for word in pair))

dbs = {}
for db in "0", "1":
    ask("SELECT", db)
    dbs[db] = []
    for key in sorted(ask("KEYS", "*")):
        kind, ttl = ask("TYPE", key), ask("PTTL", key)
        value = ask("GET", key) if kind == "string" else pairs(ask("HGETALL", key))
        encoding = ask("OBJECT", "ENCODING", key)
        if ttl != -1:
            sys.exit(f"{key} has an expiry")
        dbs[db].append({"key": key, "type": kind, "encoding": encoding, "expire_ms": None, "value": value})
info = dict(line.split(":", 1) for line in ask("INFO", "server").splitlines() if ":" in line)
ask("SAVE")

# an entry a line
print(json.dumps({"case": "tutorial", "server": "redis-" + info["redis_version"], "header": "REDIS0009"})[:-1] + ', "dbs": {')
print(",\n".join(f'"{db}": [\n' + ",\n".join(map(json.dumps, keys)) + "\n]" for db, keys in dbs.items()))
print("}}")
PYTHON

[ "$(head -c 9 "$tmp/dump.rdb")" = REDIS0009 ] || { echo "not the RDB version of a 6.2 server" >&2; exit 1; }
mv "$tmp/dump.rdb" testdata/tutorial.rdb
mv "$tmp/truth.json" testdata/tutorial.truth.json
