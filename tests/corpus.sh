#!/bin/bash
# Exports every dump of a corpus and holds the exports against what the servers that saved the dumps said was in them:
#
#     tests/corpus.sh DIR [BINARY]      e.g. tests/corpus.sh testdata/corpus
#
# Takes each DIR/SERVER/CASE.rdb with a CASE.expect.json.zst (or .xz) beside it. Both export formats must parse, agree
# with that truth, and be the same bytes with one thread and with four. BINARY: target/release/rdbkit if not given.
# Prints a line for each case that fails and, last, 'N of M cases right, K of L keys right'. Exit status 0 when all are.
set -u
[ $# -ge 1 ] || { echo "usage: tests/corpus.sh DIR [BINARY]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
binary=${2:-$here/../target/release/rdbkit}
[ -d "$dir" ] || { echo "corpus.sh: no folder $dir" >&2; exit 2; }
[ -x "$binary" ] || { echo "corpus.sh: no program $binary" >&2; exit 2; }

python=$(python3 -c 'import sys; print(sys.executable)') # not through a version manager's slow shim

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Whether a file is one JSON value, or with 'ndjson' one a line.
parses() { # FORMAT FILE
    "$python" -c '
import json, sys
text = open(sys.argv[2], "rb").read().decode()
for part in text.splitlines() if sys.argv[1] == "ndjson" else [text]:
    json.loads(part)' "$@" 2>/dev/null
}

# Says why a case fails, if it does, and sets right and total to its numbers of keys (the worse of the two formats).
try() { # RDB TRUTH
    local format threads why out said keys
    right= total=0
    for format in json ndjson; do
        why=
        for threads in 1 4; do
            timeout 300 "$binary" export --format $format --threads $threads "$1" > "$tmp/$threads" 2> "$tmp/err" ||
                { why="exit status $? with --threads $threads: $(head -1 "$tmp/err")"; break; }
        done
        out=$tmp/1
        if [ -z "$why" ]; then
            parses $format "$out" || why="does not parse"
            cmp -s "$out" "$tmp/4" || why="differs between 1 and 4 threads"
        fi
        # an export that failed half-way still tells how many keys it had right
        said=$("$python" "$here/compare.py" "$2" "$out" 2>&1) || why=${why:-$(echo "$said" | head -1)}
        keys=$(echo "$said" | sed -nE '$s/^([0-9]+) of ([0-9]+) keys right$/\1 \2/p')
        [ -n "$keys" ] || { keys="0 0"; why=${why:-compare.py gave no count}; }
        [ "${keys#* }" -le "$total" ] || total=${keys#* }
        [ -n "$right" ] && [ "$right" -le "${keys% *}" ] || right=${keys% *}
        [ -z "$why" ] || { echo "$format: $why"; break; }
    done > "$tmp/why"
    ! [ -s "$tmp/why" ]
}

cases=0 cases_right=0 keys=0 keys_right=0
for rdb in "$dir"/*/*.rdb; do
    case=${rdb%.rdb}
    for truth in "$case.expect.json.zst" "$case.expect.json.xz" ''; do [ ! -e "$truth" ] || break; done
    [ -n "$truth" ] || continue
    cases=$((cases + 1))
    if try "$rdb" "$truth"; then
        cases_right=$((cases_right + 1))
    else
        echo "${case#"$dir"/}: $(cut -c1-200 "$tmp/why")"
    fi
    keys=$((keys + total)) keys_right=$((keys_right + right))
done
echo "$cases_right of $cases cases right, $keys_right of $keys keys right"
[ "$cases" -gt 0 ] && [ "$cases_right" = "$cases" ]
