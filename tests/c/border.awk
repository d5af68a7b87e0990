# border.awk: from larder.h, a table of calls in which one argument is not what it should be.
#
# For each pointer of each function a call with NULL in its place, for each length one with any length; all else is good.
# What is good is known here by type and name: a parameter that is not, makes the compiler stop at `good->unknown_...`,
# so a function that is added to larder.h has its cases at once, or is a failure.

function emit(line) { print line }

# What stands for a parameter in a good call.
function good(type, name, before) {
    if (type == "struct larder_error *") return "err"
    if (type == "size_t") return "good->" (name == "len" ? before "_len" : name)
    if (type == "const void *" || type == "const char *" || type == "int64_t") return "good->" (type == "const char *" && name == "value" ? "text" : name)
    if (type == "uint32_t" || type == "larder_status") return "0"
    if (type == "void *") return "good->buffer"
    if (type == "void **") return "&good->got"
    if (type == "const void **") return "&good->borrowed_" name
    if (type == "size_t *" || type == "uint64_t *" || type == "int64_t *") return "&good->" (type == "size_t *" ? "size_" : type == "int64_t *" ? "signed_" : "number_") name
    if (type == "struct larder *") return "good->db"
    if (type == "struct larder **") return "&good->opened"
    if (type == "struct larder_cursor *") return "good->cursor"
    if (type == "struct larder_cursor **") return "&good->cursor_opened"
    if (type == "struct larder_options *" || type == "const struct larder_options *") return "good->options"
    if (type == "struct larder_stats *") return "&good->stats"
    if (type == "struct larder_view *") return "&good->view"
    if (type == "struct larder_salvage_report *") return "&good->report"
    return "good->unknown_" name
}

function call(function_name, returns, count, skip, instead, skip2, instead2,   i, list, before) {
    list = ""
    for (i = 1; i <= count; i++) {
        list = list (i > 1 ? ", " : "") (i == skip ? instead : i == skip2 ? instead2 : good(types[i], names[i], before))
        before = names[i]
    }
    return returns == "larder_status" ? "return " function_name "(" list ");" : function_name "(" list "); return LARDER_OK;"
}

/^larder_status larder_|^void larder_|^const char \*larder_|^uint32_t larder_|^struct larder_options \*larder_/ { statement = ""; inside = 1 }
inside { statement = statement " " $0 }
inside && /;/ {
    inside = 0
    gsub(/[ \t\n]+/, " ", statement)
    open = index(statement, "(")
    head = substr(statement, 2, open - 2)
    match(head, /larder_[a-z_]+$/)
    function_name = substr(head, RSTART)
    returns = substr(head, 1, RSTART - 1)
    sub(/ $/, "", returns)
    parameters = substr(statement, open + 1, length(statement) - open - 2)
    count = parameters == "void" ? 0 : split(parameters, all, ", ?")
    for (i = 1; i <= count; i++) {
        match(all[i], /[a-z_]+$/)
        names[i] = substr(all[i], RSTART)
        types[i] = substr(all[i], 1, RSTART - 1)
        sub(/^ /, "", types[i])
        if (types[i] !~ /\*$/) sub(/ $/, "", types[i])
    }
    functions = functions "    \"" function_name "\",\n"
    for (i = 1; i <= count; i++) {
        if (types[i] ~ /\*$/) {
            emit("static larder_status null_" function_name "_" names[i] "(struct good *good, larder_error *err) { (void)good; (void)err; " \
                 call(function_name, returns, count, i, "NULL") " }")
            nulls = nulls "    {\"" function_name "\", \"" names[i] "\", null_" function_name "_" names[i] "},\n"
        }
        # A length belongs to the pointer in front of it.
        if (types[i] == "size_t" && i > 1 && types[i - 1] ~ /\*$/) {
            emit("static larder_status length_" function_name "_" names[i - 1] "(struct good *good, larder_error *err, void *pointer, size_t length) { " \
                 call(function_name, returns, count, i - 1, "pointer", i, "length") " }")
            lengths = lengths "    {\"" function_name "\", \"" names[i - 1] "\", " (types[i - 1] ~ /^const/ ? "false" : "true") ", length_" function_name "_" names[i - 1] "},\n"
        }
    }
}
END {
    emit("static const char *const border_functions[] = {\n" functions "    NULL,\n};")
    emit("static const struct null_case null_cases[] = {\n" nulls "    {NULL, NULL, NULL},\n};")
    emit("static const struct length_case length_cases[] = {\n" lengths "    {NULL, NULL, false, NULL},\n};")
}
