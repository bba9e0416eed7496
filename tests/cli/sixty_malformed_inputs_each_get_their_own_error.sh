#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 120
# Malformed files of every format: each ends with the code for a bad file or a bad word, and with an error of its own that
# names the file. None is taken for another, and none crashes.
. "$(dirname "$0")/common.bash"
command -v gzip >/dev/null || skip "gzip is missing"
command -v zstd >/dev/null || skip "zstd is missing"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(double *)result = 1;
    return 0;
}
C
shopt -s extglob
declare -A told # message -> the file that was refused with it
n=0
# bad CODE FILE [WORD...]: the file (or FILE with a description in front) is refused with a message that no other has.
bad() {
    local code=$1 input=$2 message path lines
    shift 2
    path=${input##*:}
    [ "$path" != "${path#/}" ] && path=${input%:*}
    expect "$code" map ./f.so:f "$input" --out f8: -o out.npy -q "$@"
    mapfile -t lines <stderr
    message=${lines[0]}
    [[ $message == "forkmap: "*"$path"* ]] || fail "$input: the error does not name it: $message"
    [ "${#lines[@]}" -le 2 ] || fail "$input: more than an error and a remedy"
    # Without the names, and the numbers: another offset is no other error.
    message=${message//"$path"/FILE}
    message=${message//+([0-9])/N}
    [ -z "${told["$message"]:-}" ] || fail "$input: the same error as ${told["$message"]}: $message"
    told["$message"]=$input
    absent out.npy
    n=$((n + 1))
}
# npy FILE HEADER [BYTES]: version 1.0 with that header and so many bytes of elements.
npy() {
    local header=$2$'\n'
    { printf '\x93NUMPY\x01\x00%b' "$(printf '\\x%02x\\x%02x' $((${#header} % 256)) $((${#header} / 256)))"
        printf %s "$header"; head -c "${3:-32}" /dev/zero; } >"$1"
}
npy good.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }"
expect 0 map ./f.so:f good.npy --out f8: -o good.out

# ---- .npy: 26 ----
: >empty.npy
bad 3 empty.npy
echo "this is text, not an array" >text.npy
bad 3 text.npy
printf '\x93NUMPY\x04\x00\x10\x00{}              ' >version.npy
bad 3 version.npy
head -c 40 good.npy >cut_header.npy
bad 3 cut_header.npy
printf '\x93NUMPY\x02\x00\x00\x00\x20\x00' >huge_header.npy
head -c 3000000 /dev/zero >>huge_header.npy
bad 3 huge_header.npy
npy short.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }"
bad 3 short.npy
npy list.npy "['descr', '<f8']"
bad 3 list.npy
npy no_descr.npy "{'fortran_order': False, 'shape': (4,), }"
bad 3 no_descr.npy
npy no_order.npy "{'descr': '<f8', 'shape': (4,), }"
bad 3 no_order.npy
npy no_shape.npy "{'descr': '<f8', 'fortran_order': False, }"
bad 3 no_shape.npy
npy twice.npy "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (4,), }"
bad 3 twice.npy
npy other_key.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), 'author': 'me', }"
bad 3 other_key.npy
npy order.npy "{'descr': '<f8', 'fortran_order': Maybe, 'shape': (4,), }"
bad 3 order.npy
npy no_colon.npy "{'descr' '<f8', 'fortran_order': False, 'shape': (4,), }"
bad 3 no_colon.npy
npy no_comma.npy "{'descr': '<f8' 'fortran_order': False, 'shape': (4,), }"
bad 3 no_comma.npy
npy negative.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (-4,), }"
bad 3 negative.npy
npy word.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (four,), }"
bad 3 word.npy
npy no_tuple.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4), }"
bad 3 no_tuple.npy
npy number.npy "{'descr': '<f8', 'fortran_order': False, 'shape': 4, }"
bad 3 number.npy
npy long.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }"
bad 3 long.npy
npy product.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"
bad 3 product.npy
npy axes.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,4), }"
bad 3 axes.npy
npy objects.npy "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }"
bad 3 objects.npy
npy type.npy "{'descr': '<q9', 'fortran_order': False, 'shape': (4,), }"
bad 3 type.npy
npy size.npy "{'descr': '<i3', 'fortran_order': False, 'shape': (4,), }"
bad 3 size.npy
npy half.npy "{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }"
bad 3 half.npy
npy time.npy "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (4,), }"
bad 3 time.npy
npy open.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4, "
bad 3 open.npy
npy string.npy "{'descr': '<f8"
bad 3 string.npy
npy after.npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), } + 1"
bad 3 after.npy
npy field.npy "{'descr': [('a', '<f8'], 'fortran_order': False, 'shape': (4,), }"
bad 3 field.npy

printf 'PK\x03\x04\x14\0\0\0' >arrays.npz
bad 3 arrays.npz

# ---- CSV: 19 ----
csv() { # csv FILE TEXT
    printf "$2" >"$1"
}
: >empty.csv
bad 3 empty.csv
csv blank.csv '\n\r\n\n'
bad 3 blank.csv
csv utf16.csv '\xff\xfea\0,\0b\0'
bad 3 utf16.csv
csv numbers.csv '1,2\n3,4\n'
bad 3 numbers.csv
csv mixed.csv 'a,b;c\n1,2;3\n'
bad 3 mixed.csv
csv both.csv 'a,b\tc\n1,2\t3\n'
bad 3 both.csv
csv word.csv 'a,b\n1,2\n3,four\n'
bad 3 word.csv
csv hex.csv 'a,b\n1,2\n3,0x10\n'
bad 3 hex.csv
csv missing.csv 'a,b\n1,2\n3,\n'
bad 3 missing.csv
csv few.csv 'a,b\n1,2\n3\n'
bad 3 few.csv
csv many.csv 'a,b\n1,2\n3,4,5\n'
bad 3 many.csv
csv open.csv 'a,b\n1,"2\n3,4\n'
bad 3 open.csv
csv after.csv 'a,b\n1,"2"3\n'
bad 3 after.csv
csv nul.csv 'a,b\n1,2\0\n'
bad 3 nul.csv
csv mac.csv 'a,b\r1,2\r'
bad 3 mac.csv
csv large.csv 'a,b\n1,1e999\n'
bad 3 large.csv
csv text.csv 'a,b\nx,y\n'
bad 3 text.csv
csv twins.csv 'a,a\n1,2\n'
bad 3 twins.csv --columns a
bad 2 few.csv --columns c
{ echo a; head -c 1100000 /dev/zero | tr '\0' 1; } >field.csv
bad 3 field.csv
bad 3 word.csv:/data

# ---- raw binary: 5 ----
head -c 31 /dev/zero >odd.bin
bad 3 raw:f8:4:odd.bin
bad 3 raw:f8:?:odd.bin
bad 2 raw:f9:4:odd.bin
bad 2 raw:f8:4y2:odd.bin
bad 2 raw:f8:?x?:odd.bin

# ---- gzip and zstd: 11 ----
gzip -k good.npy
zstd -q good.npy
gzip -c </dev/null >none.gz
bad 3 none.gz
cp good.npy plain.npy.gz
bad 3 plain.npy.gz
cp good.npy plain.npy.zst
bad 3 plain.npy.zst
size=$(stat -c %s good.npy.gz)
head -c 20 good.npy.gz >cut.npy.gz
bad 3 cut.npy.gz
head -c $((size - 8)) good.npy.gz >crc.npy.gz
printf '\xde\xad\xbe\xef\0\0\0\0' >>crc.npy.gz
bad 3 crc.npy.gz
head -c $((size - 4)) good.npy.gz >length.npy.gz
printf '\x01\0\0\0' >>length.npy.gz
bad 3 length.npy.gz
{ head -c 3 good.npy.gz; printf '\xe0'; tail -c +5 good.npy.gz; } >flags.npy.gz
bad 3 flags.npy.gz
printf '\x1f\x8b\x08\0\0\0\0\0\0\x03\x07\xff\xff' >block.npy.gz # a block of a type that there is not
bad 3 block.npy.gz
{ cat good.npy.gz; echo garbage; } >more.npy.gz
bad 3 more.npy.gz
head -c 20 good.npy.zst >cut.npy.zst
bad 3 cut.npy.zst
size=$(stat -c %s good.npy.zst)
{ head -c $((size - 4)) good.npy.zst; printf '\xde\xad\xbe\xef'; } >sum.npy.zst
bad 3 sum.npy.zst
{ cat good.npy.zst; echo garbage; } >more.npy.zst
bad 3 more.npy.zst
printf '\x28\xb5\x2f\xfd\x08\xff' >bits.npy.zst # a reserved bit is set
bad 3 bits.npy.zst
gzip -c good.npy.gz | gzip -c >thrice.npy.gz
bad 3 thrice.npy.gz

# ---- what is no file, and ranges ----
mkdir folder
bad 3 folder
bad 3 missing.npy

# ---- HDF5: only what needs no library to write ----
printf '\x89HDF\r\n\x1a\n' >head.h5
bad 3 head.h5:/x

[ "$n" -ge 60 ] || fail "only $n files"
[ "${#told[@]}" = "$n" ] || fail "errors that are the same"
echo "$n malformed files"
