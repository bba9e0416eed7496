#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# What is wrong is shown at the expression as it was typed: by the compiler's message, or before it is asked.
. "$(dirname "$0")/common.bash"

# points FIRST LAST EXPRESSION TEXT...: exit code 2, the expression on a line of its own, below it a caret at one of these
# columns (compilers differ by one), the texts, and no names of the generated source.
points() {
    local first=$1 last=$2 expression=$3
    shift 3
    expect 2 map -e "$expression" range:0:10 range:5:15 -o x.npy
    grep -qFx -- "  $expression" stderr || fail "the expression is not shown: $expression"
    grep -A1 -Fx -- "  $expression" stderr | tail -1 | grep -qE "^ {$((first + 2)),$((last + 2))}\\^\$" ||
        fail "no caret at column $first: $expression"
    ! grep -qE 'fm_|auto_type|FM_ENTRY|generated' stderr || fail "generated names are shown: $expression"
    says "$@"
}

# The compiler's messages.
points 2 3 'x0 x1' "expected an operator"
points 3 3 'x0 % 2' "invalid operands"
points 12 12 'x0; x1; x0 +' "expected expression"
points 9 10 'x0; 2 +x1 x0' "expected an operator"
points 6 7 'x0 ? x1' "expected ':'"
points 0 5 'sqrt()' "too few arguments"
points 2 6 'x ^ 2.0' "invalid operands" "a power is pow(a, b)"
points 0 0 'I*x0' "the result is complex" "--out c16"
points 0 0 'x0 + 2i' "the result is complex" "--out c16"

# What the compiler is not asked for.
points 3 3 'x0 =2' "assigns nothing" "equality is =="
points 2 2 'x0++' "++ changes a variable"
points 2 2 'x0**2' "a power is pow(a, b)"
points 3 3 'x0 // 2' "floor(a / b)"
points 3 3 'x0 /* 2 */' "comment"
points 0 0 '{x0}' "braces"
points 3 3 'x0 %> 2' "%> has a meaning of its own" "leave a blank"
points 8 8 'x0 ? x1 :> 2' ":> has a meaning of its own" "leave a blank"
points 0 0 '"x0"' "a text is not a number"
points 0 0 '#include <a>' "'#' is not for expressions"
points 2 2 'x0\' "is not for expressions"
points 2 2 'x0, x1' "several results are separated by semicolons"
points 0 0 '(x0; x1)' "not closed"
points 2 2 'x0)' "not opened"
points 8 8 'sqrt(x[0)]' "']' is missing"
points 3 3 'x0;' "an expression is missing"
points 0 0 '99999999999999999999*x0' "whole numbers in C end at 9223372036854775807" "1e20"
points 0 0 '100000*100000' "whole numbers in C end at 2147483647" "100000.0*100000"
points 3 3 'x0+3000000*1000*x0' "whole numbers in C end at 2147483647"
points 0 0 '1 << 31' "whole numbers in C end at 2147483647"
points 0 0 '1/2*x0' "rounded to a whole number" "1.0/2"
points 1 1 '2^3' "exclusive or" "pow"
points 1 1 '2x0' "2x0 is not a number" "2*x0"
points 5 5 'x0 + 010' "octal"
points 5 5 'x0 * *x1' "a number is missing before *"
points 5 5 'x0 + &x1' "a number is missing before &"
points 5 5 '(int*)x0' "a number is missing behind *"
points 1 1 ' x2' "x2 is not among the 2 INPUT" "they are x0 to x1"
points 4 4 'sqrt*x0' "sqrt is a function"
points 4 4 'x0 +sqr(x1)' "sqr is not known" "did you mean sqrt?"
points 0 0 'abs(x0)' "fabs(x)"
points 2 2 'np.sqrt(x0)' "functions stand alone: sqrt(x0)"
points 0 0 'system(x0)' "system is not known"
points 3 3 'x0 a' "--arg a=VALUE"
points 2 2 'i [0]' "only an input's row has elements"
expect 2 map -e "$(printf 'x0 \303\227 2')" range:0:10 -o x.npy
says '\xc3 is not for expressions'
expect 2 map -e '' range:0:10 -o x.npy
says "an expression is missing"
expect 2 map -e "x0 + $(printf '%4000s' '' | tr ' ' 1)" range:0:10 -o x.npy
says "more than 4000 letters"
expect 2 map -e "$(printf '%201s' '' | tr ' ' '(')x0$(printf '%201s' '' | tr ' ' ')')" range:0:10 -o x.npy
says "more than 200 brackets"
expect 2 map -e 'scael*x0' range:0:10 --arg scale=2 -o x.npy
says "did you mean scale?"
expect 2 map -e 'x0 x0' range:0:10 -o x.npy --json
shows '"event":"error","exit":2,"text":"-e: expected an operator' '"remedy":"x0 x0\n  ' 

# A long expression is shown in part, with the caret still below its place.
long="x0 + $(printf '1.0 + %.0s' {1..60})foo"
expect 2 map -e "$long" range:0:10 -o x.npy
grep -qE '^  \.\.\.' stderr || fail "a long expression is not cut"
[ "$(sed -n 2p stderr | grep -bo foo | cut -d: -f1)" = "$(sed -n 3p stderr | grep -bo '\^' | cut -d: -f1)" ] || fail "the caret of a long expression is not below its place"

# Words that do not go together.
expect 2 map -e x0 -o x.npy
says "no INPUT"
expect 2 map -e x0 range:0:10
says "-o is missing"
expect 2 map -e x0 -e x0 range:0:10 -o x.npy
says "given twice" "semicolons"
expect 2 map -e x0 range:0:10 --out none
says "an expression needs an output"
expect 2 map -e x0 range:0:10 -o x.npy --verify
expect 2 map -e x0 range:0:10 -o x.npy --compare
says "are for kernels"
expect 2 map -e x0 range:0:10 -o x.npy --star
says "for functions in libraries"
expect 2 map -e x0 range:0:10 -o x.npy --load ./f.so
says "--load is for kernels"
expect 2 map ./f.so:f range:0:10 --print-source -o x.npy
says "--print-source needs -e"
expect 2 run -e x0
absent x.npy
