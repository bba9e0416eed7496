#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a packager does: installs under DESTDIR, and the tree is then used elsewhere. Command, data, page, pkg-config file
# and CMake package must all be found from where they are now.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

DESTDIR=$PWD/stage cmake --install "$BUILD" --prefix /opt/forkmap >/dev/null
[ "$(ls stage)" = opt ] || fail "installed outside the prefix: $(ls stage)"
mkdir moved
mv stage/opt/forkmap "moved/with space"
prefix="$PWD/moved/with space"
unset FORKMAP_DATA LD_LIBRARY_PATH

# The data that it reads are those of the moved tree: they are made unreadable, and it says so.
(cd / && "$prefix/bin/forkmap" run docking --arg n=64 --verify >"$prefix/said" 2>&1) || fail "$(cat "$prefix/said")"
: >"$prefix/share/forkmap/docking/ligand.in"
! "$prefix/bin/forkmap" run docking --arg n=64 >said 2>&1 || fail "it read other data than those beside it"
grep -q "with space.*ligand.in" said || fail "which file is bad? $(cat said)"
# The command through a link, as in /usr/local/bin.
ln -s "$prefix/bin/forkmap" link
./link kernels >/dev/null || fail "the command cannot be run through a link"
# The module for HDF5 is found, if there is one: it says what is wrong with the file, and not that it is missing.
if [ -e "$BUILD/lib/forkmap/forkmap_hdf5.so" ] || compgen -G "$BUILD/lib/*/forkmap/forkmap_hdf5.so" >/dev/null; then
    printf '\x89HDF\r\n\x1a\n and no more' >bad.h5
    ! "$prefix/bin/forkmap" map blackscholes bad.h5:/x -o x.npy 2>said || fail "it read what is no HDF5 file"
    ! grep -q 'this build cannot' said || fail "the HDF5 module is not found: $(cat said)"
fi
[ -s "$prefix/share/man/man1/forkmap.1" ] || fail "no manual page"

! grep -rIl -e "$SOURCE" -e "$BUILD" "$prefix" --include='*.pc' --include='*.cmake' --include='*.h' ||
    fail "these name the build or source tree"
PREFIX=$PWD/plain
mv "$prefix" "$PREFIX" # pkg-config's output is split at spaces
export PREFIX
bash "$here/build_and_run.sh" pkg_config_shared c11 "$CC"
rm -f program
bash "$here/build_and_run.sh" cmake_static c11 "$CC"
