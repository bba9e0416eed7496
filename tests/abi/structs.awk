# SPDX-License-Identifier: MIT
# Reads `readelf --debug-dump=info` of an object that includes the public headers, and prints every struct with its size
# and, member by member, offset and type; and every enumerator with its value. Only names of ours: fm_*, FM_*.

/^ *<[0-9]+><[0-9a-f]+>: Abbrev Number: [1-9]/ {
    match($0, /><[0-9a-f]+>/)
    die = substr($0, RSTART + 2, RLENGTH - 3)
    split($0, level, /[<>]/)
    depth = level[2]
    match($0, /DW_TAG_[a-z_]+/)
    tag[die] = substr($0, RSTART + 7, RLENGTH - 7)
    parent[die] = at_depth[depth - 1]
    at_depth[depth] = die
    order[++n_dies] = die
    next
}

function value_of(line) {
    sub(/^.*DW_AT_[a-z_]+ *: */, "", line)
    sub(/^\([^)]*\): */, "", line)
    sub(/^\(indirect[^:]*: /, "", line)
    gsub(/[ \t]+$/, "", line)
    return line
}

/DW_AT_name / { name[die] = value_of($0) }
/DW_AT_byte_size / { size[die] = value_of($0) }
/DW_AT_data_member_location/ { offset[die] = value_of($0) }
/DW_AT_const_value/ { value[die] = value_of($0) }
/DW_AT_upper_bound/ { bound[parent[die]] = value_of($0) + 1 }
/DW_AT_count/ { bound[parent[die]] = value_of($0) } # as clang says it
/DW_AT_type / { type[die] = value_of($0); gsub(/[<>]|0x/, "", type[die]) }

function spell(die) {
    if (die == "")
        return "void"
    if (tag[die] == "pointer_type")
        return spell(type[die]) " *"
    if (tag[die] == "const_type")
        return "const " spell(type[die])
    if (tag[die] == "array_type")
        return spell(type[die]) " [" bound[die] "]"
    if (tag[die] == "subroutine_type")
        return "function"
    return name[die]
}

END {
    for (i = 1; i <= n_dies; i++) {
        die = order[i]
        if (tag[die] == "structure_type" && name[die] ~ /^fm_/ && size[die] != "")
            printf "struct %s: %d bytes\n", name[die], size[die]
        else if (tag[die] == "member" && name[parent[die]] ~ /^fm_/)
            printf "struct %s: %4d %s: %s\n", name[parent[die]], offset[die], name[die], spell(type[die])
        else if (tag[die] == "enumerator" && name[die] ~ /^FM_/)
            printf "%s = %d\n", name[die], value[die]
    }
}
