#!/bin/bash
# Loads dumps into every server below a folder, and compares with what the server makes of them itself:
#
#     tests/load-sweep.sh RDBKIT SERVERS CORPUS [CASE...]
#
# SERVERS holds a folder a server, NAME-VERSION/run-server and run-cli; CORPUS a folder a server with CASE.rdb in it. Each
# server that starts gets the dumps of all servers of its own kind up to its own version (and of Redis up to 7.2, for
# Valkey), in the four ways of `rdbkit load`. DEBUG DIGEST and FUNCTION LIST must be those of the server's own loading.
# By hand, for it takes minutes; tests/load.rs has a choice of these. Prints a line a server, and one for each difference.
# Exit status 1 if there was one.
set -u
RDBKIT=$(realpath "$1") SERVERS=$(realpath "$2") CORPUS=$(realpath "$3")
shift 3
work=$(mktemp -d /tmp/load-sweep.XXXXXX)
pid=
trap '[ -n "$pid" ] && kill -9 $pid 2>/dev/null; rm -rf "$work"' EXIT
failed=0

ask() { "$server/run-cli" -s "$work/socket" "$@" 2>&1; }

# Whether version $1 is at most $2.
upto() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

# Whether a server, kind and version, loads what another one has saved. Release candidates are left out.
loads() { # KIND VERSION KIND VERSION
    case $4 in *rc*|rdb*) return 1 ;; esac
    local minor=${2%.*} of=${4%.*}
    [ "$1" = redict ] && minor=7.2
    if [ "$1" = valkey ]; then
        [ "$3" = valkey ] && { upto "$of" "$minor"; return; }
        upto "$of" 7.2
    else
        [ "$3" = redis ] && upto "$of" "$minor"
    fi
}

sum() { # what the server holds, as far as its digest and its functions say
    ask DEBUG DIGEST
    ask FUNCTION LIST WITHCODE | grep -v 'unknown command' | sort | cksum
}

empty() {
    ask FLUSHALL >/dev/null
    ask FUNCTION FLUSH >/dev/null
}

# What the server holds that has read a dump itself; nothing if it does not load it.
own() { # DUMP
    cp "$1" "$work/dump.rdb"
    if upto 6.0 "$version"; then
        [ "$(ask DEBUG RELOAD NOSAVE)" = OK ] && sum
        return
    fi
    # Before 6.0 it would save its own data over the dump first.
    "$server/run-server" --port 0 --unixsocket "$work/own" --dir "$work" --save '' >/dev/null 2>&1 &
    local own=$! i
    for i in $(seq 100); do
        [ "$("$server/run-cli" -s "$work/own" PING 2>/dev/null)" = PONG ] && break
        sleep 0.05
    done
    "$server/run-cli" -s "$work/own" DEBUG DIGEST && "$server/run-cli" -s "$work/own" FUNCTION LIST WITHCODE 2>&1 |
        grep -v 'unknown command' | sort | cksum
    kill -9 $own; wait $own 2>/dev/null
    rm -f "$work/own"
}

for server in "$SERVERS"/*/; do
    server=${server%/} name=$(basename "$server") count=0 wrong=0
    kind=${name%-*} version=${name##*-}
    debug=
    upto 7.0 "$version" && debug='--enable-debug-command yes'
    rm -f "$work"/socket "$work"/dump.rdb
    # shellcheck disable=SC2086
    "$server/run-server" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' $debug >"$work/log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do [ "$(ask PING)" = PONG ] && break; sleep 0.1; done
    if [ "$(ask PING)" != PONG ]; then
        echo "$name: does not start"
        kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null; continue
    fi
    ask DEBUG SET-ACTIVE-EXPIRE 0 >/dev/null
    for dump in "$CORPUS"/*/*.rdb; do
        of=$(basename "$(dirname "$dump")") case=$(basename "$dump" .rdb)
        loads "$kind" "$version" "${of%-*}" "${of##*-}" || continue
        # Times after 2038 in 32 bits: servers drop keys that rdbkit keeps.
        case $of/$case in redis-2.0.5/multidb|redis-2.4.18/multidb) continue ;; esac
        # Modules are not here; arrays have no digest; a slot on its way crashes Valkey outside of a cluster.
        case $case in modules|falkordb|array|slot_import|expired) continue ;; esac
        [ $# -gt 0 ] && { case " $* " in *" $case "*) ;; *) continue ;; esac; }
        empty
        want=$(own "$dump")
        [ -n "$want" ] || { echo "$name: does not load $of/$case itself"; continue; }
        for method in auto restore commands replication; do
            empty
            said=$("$RDBKIT" load -q "$dump" "unix://$work/socket" --method $method --yes 2>&1) ||
                { echo "$name: $of/$case by $method: $said"; wrong=$((wrong + 1)); continue; }
            [ "$(sum)" = "$want" ] || { echo "$name: $of/$case by $method: differs"; wrong=$((wrong + 1)); }
            count=$((count + 1))
        done
    done
    echo "$name: $count loads, $wrong wrong"
    [ $wrong -gt 0 ] && failed=1
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    pid=
done
exit $failed
