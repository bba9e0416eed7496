#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs a command in an empty directory that is removed afterwards: in_temp_dir.sh bash test.sh
set -eu
directory=$(mktemp -d "${TMPDIR:-/tmp}/forkmap-test-XXXXXX")
trap 'rm -rf "$directory"' EXIT
cd "$directory"
export XDG_CACHE_HOME=$directory/cache # the user's own is not for tests
"$@"
