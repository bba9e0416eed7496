# SPDX-License-Identifier: MIT
# Doxygen's input filter over the public headers and the pages. Line numbers stay.
# "Undefined: ..." of a comment becomes a heading (ALIASES in Doxyfile.in).
s/^( \*|   \*|\/\*\*) State after an error: */\1 @fmafter /
s/^( \*|\/\*\*) Undefined: */\1 @fmundefined /
s/^( \*|\/\*\*) Blocks \/ thread-safety: */\1 @fmblocks /
s/^( \*|\/\*\*) Policy: */\1 @fmpolicy /
s/^( \*|\/\*\*) Source: */\1 @fmsource /
# The dots of a range do not end the first sentence.
s/ \.\. /\&nbsp;..\&nbsp;/g
# Macros that only other macros and declarations use are left out.
/^ *#define (FM_API|FM_NODISCARD|FM_STATUS_ENUM|FM_OPTS|FM_IVDEP|FM_CHUNK_LOOP)\b/ {
    :more
    /\\$/ {
        N
        b more
    }
    s/[^\n]//g
}
# Links out of this folder, and within a page, are for readers of the sources.
s/\[([^]]+)\]\((\.\.\/|#)[^)]*\)/\1/g
