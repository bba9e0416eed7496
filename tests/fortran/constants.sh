#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The constants of the Fortran module are those of the C headers, as tests/abi/structs.txt lists them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
compared=0
in_fortran=" $(grep -oE '\bFM_[A-Z_]+ = -?[0-9]+' ../../fortran/forkmap_c.f90 | tr '\n' ';')"
while IFS=' =' read -r name value; do
    [[ $in_fortran == *[\ \;]"$name = "* ]] || continue
    [[ $in_fortran == *[\ \;]"$name = $value;"* ]] || {
        echo "the headers have $name = $value, fortran/forkmap_c.f90 another value" >&2
        exit 1
    }
    compared=$((compared + 1))
done < <(grep -E '^FM_[A-Z_]+ = ' ../abi/structs.txt)
[ "$compared" -ge 30 ] || {
    echo "only $compared constants were found in both" >&2
    exit 1
}
# A member added to an option struct is missing in Fortran until it is added there too.
for struct in array_opts pool_opts map_opts chunk; do
    in_c=$(grep -cE "^struct fm_$struct: +[0-9]+ [a-z_]+: " ../abi/structs.txt)
    in_fortran=$(sed -n "/type, bind(C) :: fm_$struct\$/,/end type/p" ../../fortran/forkmap_c.f90 | grep -v 'type, bind' |
        grep -c ' :: [a-z_]*')
    [ "$in_c" = "$in_fortran" ] || {
        echo "struct fm_$struct has $in_c members, the type in fortran/forkmap_c.f90 $in_fortran" >&2
        exit 1
    }
done
