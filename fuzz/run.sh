#!/bin/sh
# Runs libFuzzer on every promise of tests/properties/promises.rs for so many seconds each (60 if not given), or only on
# those that are named:
#   fuzz/run.sh [SECONDS [PROMISE…]]
# Seeds are the dumps of testdata and their exports. What breaks a promise lands in fuzz/found; copied to testdata/found
# under the name PROMISE-WHAT.bin it is tried by 'cargo test' from then on.
# Needs a Rust toolchain (stable will do) and a C++ compiler. There is no address sanitizer, as the library has no unsafe
# code: what is looked for are panics, hangs, too much memory and broken promises.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
promises=${*:-dump value packed lzf json csv commands manifest anew repair}
# What cargo-fuzz would say to rustc: count edges, and show what is compared. All of it is stable.
flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=8 --cfg fuzzing"
target=$(rustc -vV | sed -n 's/^host: //p')
# With --target, build scripts and macros are built without the flags, which they could not be linked with.
RUSTFLAGS="$flags" cargo build --quiet --release --target "$target"
cargo build --quiet --manifest-path ../Cargo.toml
fuzzer=target/$target/release/rdbkit-fuzz
rdbkit=../target/debug/rdbkit
seeds=target/seeds
rm -rf "$seeds"
mkdir -p "$seeds/dumps" "$seeds/values" "$seeds/json" "$seeds/csv" "$seeds/commands" "$seeds/manifest" found
find ../testdata -name '*.rdb' -size -24k | while read -r dump; do
    name=$(echo "${dump#../testdata/}" | tr / -)
    cp "$dump" "$seeds/dumps/$name"
    tail -c 600 "$dump" > "$seeds/values/$name"
    case $name in
        *-small.rdb | *-hfe.rdb | *-stream*.rdb | *-vset.rdb | *-array.rdb)
            "$rdbkit" export -q --format json "$dump" > "$seeds/json/$name"
            "$rdbkit" export -q --format ndjson "$dump" > "$seeds/json/$name.nd"
            "$rdbkit" export -q --format csv --elements "$dump" > "$seeds/csv/$name"
            "$rdbkit" export -q --format resp "$dump" > "$seeds/commands/$name"
            ;;
    esac
done
find ../testdata -name '*.json' -size -24k -exec cp {} "$seeds/json/" \;
find ../testdata -name '*.aof' -size -24k -exec cp {} "$seeds/commands/" \;
find ../testdata -name '*.manifest' -exec cp {} "$seeds/manifest/" \;
printf 'file a.1.base.rdb seq 1 type b\nfile "b c" seq 2 type h\nfile a.2.incr.aof seq 2 type i startoffset 7\n' > "$seeds/manifest/made"
for promise in $promises; do
    case $promise in
        dump | anew | repair) from=dumps ;;
        value | packed | lzf) from=values ;;
        *) from=$promise ;;
    esac
    for found in ../testdata/found/"$promise"-*.bin; do
        [ ! -e "$found" ] || cp "$found" "$seeds/$from/"
    done
    mkdir -p "corpus/$promise"
    echo "fuzz: $promise for $seconds s"
    RDBKIT_PROMISE=$promise "$fuzzer" "corpus/$promise" "$seeds/$from" -artifact_prefix="found/$promise-" \
        -max_total_time="$seconds" -timeout=30 -rss_limit_mb=400 -malloc_limit_mb=100 -max_len=32768 -verbosity=0 \
        -print_final_stats=1 2>&1 | grep -v '^stat::peak\|^stat::slow\|^stat::new_units_added'
    [ -z "$(ls found | grep "^$promise-" || true)" ] || { echo "fuzz: found/$promise-* breaks it"; exit 1; }
done
echo "fuzz: nothing found"
