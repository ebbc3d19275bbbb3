#!/bin/sh
# Finds a Chromium and its chromedriver for the tests of the report's page, and installs Debian's packages of them when
# there are none (as root, or with sudo). Prints the path of each, the browser first. Exit status 1 and a line that
# says why when they cannot be had.
set -u

find_first() {
    for name in "$@"; do
        command -v "$name" && return
    done
    return 1
}

find_both() {
    browser=$(find_first chromium chromium-browser google-chrome google-chrome-stable) &&
        driver=$(find_first chromedriver)
}

if ! find_both; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo -n'
    log=$(mktemp)
    if ! { $sudo apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
        $sudo apt-get -qq install -y --no-install-recommends chromium chromium-driver; } >"$log" 2>&1; then
        echo "browser.sh: apt-get cannot install chromium and chromium-driver: $(tail -n 1 "$log")" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
    find_both || { echo "browser.sh: chromium and chromedriver were installed, and are not in PATH" >&2; exit 1; }
fi
echo "$browser"
echo "$driver"
