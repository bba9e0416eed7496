/* SPDX-License-Identifier: MIT */
/* Options of `forkmap map` and `forkmap run`. */
#include "options.h"

#include "output.h"
#include "plugin.h"
#include "values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_CALLER = 0x100,
    KEY_PIN,
    KEY_MEMORY_LIMIT,
    KEY_SCHEDULE,
    KEY_CHUNK,
    KEY_ON_ERROR,
    KEY_RETRIES,
    KEY_SEED,
    KEY_TIMEOUT,
    KEY_TIMEOUT_FACTOR,
    KEY_MAX_FAILURES,
    KEY_ARG,
    KEY_LOAD,
    KEY_VERIFY,
    KEY_COMPARE,
    KEY_REPEATS,
    KEY_FAILURES,
    KEY_GUARD,
    KEY_PROGRESS,
    KEY_NO_PROGRESS,
    KEY_JSON,
    KEY_MAP,
    KEY_COLUMNS,
    KEY_ROWS,
    KEY_REPEAT,
    KEY_AS,
    KEY_MISSING,
    KEY_JOURNAL,
    KEY_RETRY_FAILED,
    KEY_JOBLOG
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Inputs", 2},
    {"columns", KEY_COLUMNS, "LIST", 0,
     "Take these columns, in this order: names of a CSV file, as spot,strike; numbers of a matrix, "
     "from 0, as 2,0 or 1:4 (default: all; of CSV, those of numbers)",
     0},
    {"rows", KEY_ROWS, "BEGIN:END", 0,
     "Take rows BEGIN up to and without END, from 0; below 0 they count from the end: -100: are "
     "the "
     "last 100",
     0},
    {"repeat", KEY_REPEAT, "N", 0,
     "Map the rows N times over, one copy after the other: OUT has N times as many (for timing)",
     0},
    {"as", KEY_AS, "DTYPE", 0,
     "Convert the inputs to DTYPE; a value that does not fit is an error. CSV is f8, and becomes "
     "what a kernel takes by itself",
     0},
    {"missing", KEY_MISSING, "WHAT", 0,
     "Empty fields of CSV: error (default); skip: leave the row out; nan or another number: that "
     "value",
     0},

    {NULL, 0, NULL, 0, "Workers", 3},
    {"workers", 'w', "N", 0,
     "Worker processes, 1 to 1023 (default: the usable cores, see `forkmap topo`)", 0},
    {"caller", KEY_CALLER, "WHAT", 0,
     "sleeps: every item runs in a worker (default); works: the command takes a share itself, "
     "which is faster for short maps, and a crash in that share ends the command; only: the "
     "command does all, without workers, for gdb and valgrind",
     0},
    {"pin", KEY_PIN, "HOW", 0,
     "core (default), spread, compact or none: which core each worker gets", 0},
    {"memory-limit", KEY_MEMORY_LIMIT, "SIZE", 0,
     "Memory that the function may allocate in a worker, from 1M, as 500M or 2G: more is an error "
     "of the item, not of the machine (default: no limit). Inputs and OUT do not count",
     0},

    {NULL, 0, NULL, 0, "Sharing the items out", 4},
    {"schedule", KEY_SCHEDULE, "HOW", 0, "auto (default), static, dynamic or guided", 0},
    {"chunk", KEY_CHUNK, "N", 0, "Items taken at a time: a number, auto (default) or python", 0},

    {NULL, 0, NULL, 0, "When items fail", 5},
    {"on-error", KEY_ON_ERROR, "WHAT", 0,
     "stop: the first failure ends the map and OUT is not written (default); continue: every item "
     "is "
     "tried, rows of failed items are zero in OUT",
     0},
    {"retries", KEY_RETRIES, "N", 0, "Further attempts for a failed item, 0 (default) to 1000", 0},
    {"seed", KEY_SEED, "N", 0, "Seed of the random numbers of fm_rng() in the function (default 0)",
     0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0,
     "Time limit of one item, or of one call of a chunk function", 0},
    {"timeout-factor", KEY_TIMEOUT_FACTOR, "X", 0,
     "Time limit as a multiple of the items' running median", 0},
    {"max-failures", KEY_MAX_FAILURES, "N", 0,
     "With --on-error continue: give up after N failed items; OUT is not written then", 0},
    {"guard", KEY_GUARD, NULL, 0,
     "Make the inputs read-only in the workers: a function that writes into one crashes, and the "
     "failure names the item and the input",
     0},
    {"failures", KEY_FAILURES, "FILE", 0,
     "Write the record of each failed item to FILE, as JSON lines", 0},
    {"joblog", KEY_JOBLOG, "FILE", 0,
     "Append a line for each failed item to FILE, in the columns of GNU parallel's --joblog", 0},

    {NULL, 0, NULL, 0, "When the command is killed", 6},
    {"journal", KEY_JOURNAL, "FILE", 0,
     "Note in FILE what is done, and keep the results in OUT.part until all are there: whatever "
     "kills the command, the same command goes on where it was",
     0},
    {"retry-failed", KEY_RETRY_FAILED, NULL, 0,
     "With --journal: run the items again that failed before, and what is not done yet", 0},

    {NULL, 0, NULL, 0, "Function and results", 7},
    {"load", KEY_LOAD, "PATH.so", 0, FMC_PLUGIN_HELP, 0},
    {"arg", KEY_ARG, "KEY=VALUE", 0,
     "Parameter of a kernel; a function of your own gets all of them as one text, "
     "\"KEY=VALUE\\n...\"",
     0},
    {"output", 'o', "OUT", 0, "Where the results go, a .npy file; written whole or not at all", 0},
    {"map", KEY_MAP, "WHEN", 0,
     "auto (default), always or never: whether inputs, and the output of a function of your own, "
     "are mapped into memory instead of "
     "copied; auto: from 256 MiB on",
     0},
    {"verify", KEY_VERIFY, NULL, 0, "Kernels: check the results before they are written", 0},
    {"compare", KEY_COMPARE, NULL, 0,
     "Kernels: time a serial loop, OpenMP and forkmap in turn, and print the three medians", 0},
    {"repeats", KEY_REPEATS, "N", 0, "Rounds of --compare (default 5)", 0},

    {NULL, 0, NULL, 0, "What is shown", 8},
    {"progress", KEY_PROGRESS, NULL, 0,
     "Show progress, as plain lines where stderr is no terminal (default: a bar on a terminal "
     "only)",
     0},
    {"no-progress", KEY_NO_PROGRESS, NULL, 0, "Show none", 0},
    {"json", KEY_JSON, NULL, 0, "One JSON object per line on stdout: start, failures, summary", 0},
    {"quiet", 'q', NULL, 0, "Only errors and what was asked for", 0},
    {0},
};

static void add_arg(struct fmc_options *o, const struct argp_state *state, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        argp_error(state, "--arg %s: not of the form KEY=VALUE", text);
    if (equals == NULL)
        return; /* argp_error has left */
    *equals = '\0';
    for (int i = 0; i < o->n_args; i++)
        if (strcmp(o->args[i].key, text) == 0)
            argp_error(state, "--arg %s: given twice", text);
    o->args[o->n_args++] = (struct fmk_param){.key = text, .value = equals + 1};
}

static int64_t read_chunk(const struct argp_state *state, const char *text)
{
    if (strcmp(text, "python") == 0)
        return FM_CHUNK_PYTHON;
    if (strcmp(text, "auto") == 0)
        return 0;
    int64_t n = 0;
    if (fmc_value_read_whole(text, &n) != 0 || n < 1)
        argp_error(state, "--chunk %s: must be auto, python, or a whole number of 1 or more", text);
    return n;
}

static error_t parse_inputs(int key, char *arg, struct argp_state *state)
{
    struct fmc_pick *pick = &((struct fmc_options *)state->input)->pick;
    switch (key) {
    case KEY_COLUMNS:
        pick->columns = arg;
        return 0;
    case KEY_ROWS:
        fmc_pick_read_rows(pick, state, arg);
        return 0;
    case KEY_REPEAT:
        pick->repeat = fmc_value_whole(state, "--repeat", arg, 1, INT64_MAX);
        return 0;
    case KEY_AS:
        fmc_pick_read_as(pick, state, arg);
        return 0;
    case KEY_MISSING:
        fmc_pick_read_missing(pick, state, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_pool(int key, char *arg, struct argp_state *state)
{
    struct fmc_options *o = state->input;
    switch (key) {
    case 'w':
        o->pool.workers = (int)fmc_value_whole(state, "--workers", arg, 1, FM_MAX_WORKERS);
        return 0;
    case KEY_CALLER:
        o->pool.caller = fmc_value_word(state, "--caller", arg, fmc_words_caller);
        return 0;
    case KEY_PIN:
        o->pool.pin = fmc_value_word(state, "--pin", arg, fmc_words_pin);
        return 0;
    case KEY_MEMORY_LIMIT:
        o->pool.worker_memory_limit = fmc_value_size(state, "--memory-limit", arg, 1 << 20);
        return 0;
    case KEY_SCHEDULE:
        o->map.schedule = fmc_value_word(state, "--schedule", arg, fmc_words_schedule);
        return 0;
    case KEY_CHUNK:
        o->map.chunk = read_chunk(state, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_policy(int key, char *arg, struct argp_state *state)
{
    struct fmc_options *o = state->input;
    switch (key) {
    case KEY_ON_ERROR:
        o->map.on_error = fmc_value_word(state, "--on-error", arg, fmc_words_on_error);
        return 0;
    case KEY_RETRIES:
        o->map.retries = (int)fmc_value_whole(state, "--retries", arg, 0, 1000);
        return 0;
    case KEY_SEED:
        o->map.seed = (uint64_t)fmc_value_whole(state, "--seed", arg, 0, INT64_MAX);
        return 0;
    case KEY_TIMEOUT: /* a billion seconds are 31 years */
        o->map.item_timeout = FM_SECONDS(fmc_value_positive(state, "--timeout", arg, 1e9));
        return 0;
    case KEY_TIMEOUT_FACTOR:
        o->map.timeout_factor = fmc_value_positive(state, "--timeout-factor", arg, 1e12);
        return 0;
    case KEY_MAX_FAILURES:
        o->map.max_failures = fmc_value_whole(state, "--max-failures", arg, 1, INT64_MAX);
        return 0;
    case KEY_GUARD:
        o->map.guard = FM_GUARD_INPUTS;
        return 0;
    case KEY_FAILURES:
        o->failures = arg;
        return 0;
    case KEY_JOBLOG:
        o->joblog = arg;
        return 0;
    case KEY_JOURNAL:
        if (o->map.journal != NULL)
            argp_error(state, "--journal %s: given twice", arg);
        o->map.journal = arg;
        return 0;
    case KEY_RETRY_FAILED:
        o->map.journal_flags |= FM_JOURNAL_RETRY_FAILED;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_results(int key, char *arg, struct argp_state *state)
{
    struct fmc_options *o = state->input;
    switch (key) {
    case 'o':
        if (o->output != NULL)
            argp_error(state, "-o %s: given twice", arg);
        o->output = arg;
        return 0;
    case 'q':
        o->quiet = 1;
        return 0;
    case KEY_MAP:
        o->pick.map = fmc_value_word(state, "--map", arg, fmc_words_map);
        return 0;
    case KEY_ARG:
        add_arg(o, state, arg);
        return 0;
    case KEY_LOAD:
        o->loads[o->n_loads++] = arg;
        return 0;
    case KEY_VERIFY:
        o->verify = 1;
        return 0;
    case KEY_COMPARE:
        o->compare = 1;
        return 0;
    case KEY_REPEATS:
        o->has_repeats = 1;
        o->repeats = (int)fmc_value_whole(state, "--repeats", arg, 1, 10000);
        return 0;
    case KEY_PROGRESS:
        o->progress = FMC_SHOW_ALWAYS;
        return 0;
    case KEY_NO_PROGRESS:
        o->progress = FMC_SHOW_NEVER;
        return 0;
    case KEY_JSON:
        o->json = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int is_stdout(const char *path)
{
    return strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/fd/1") == 0 ||
           strcmp(path, "/proc/self/fd/1") == 0;
}

/* The output is a .npy file whatever its name: one that says otherwise would mislead. */
static void check_output_name(const char *path, const struct argp_state *state)
{
    static const char *const others[] = {".h5", ".hdf5", ".csv", ".tsv", ".npz", ".gz", ".zst"};
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const size_t m = strlen(others[i]);
        if ((n > m && strcmp(path + n - m, others[i]) == 0) || strstr(path, ".h5:/") != NULL)
            argp_error(state, "-o %s: the output is a .npy file; name it so, and convert it after",
                       path);
    }
}

int fmc_options_writes_stdout(const struct fmc_options *o)
{
    return (o->output != NULL && is_stdout(o->output)) ||
           (o->failures != NULL && is_stdout(o->failures)) ||
           (o->joblog != NULL && is_stdout(o->joblog));
}

static void check_journal(const struct fmc_options *o, const struct argp_state *state)
{
    if (o->map.journal == NULL && o->map.journal_flags != 0)
        argp_error(state, "--retry-failed needs the --journal that tells what failed");
    if (o->map.journal != NULL && o->pick.map == FMC_MAP_NEVER)
        argp_error(state, "--map never: with --journal OUT is always mapped");
}

static void check_together(const struct fmc_options *o, const struct argp_state *state)
{
    if (o->has_repeats && !o->compare)
        argp_error(state, "--repeats is for --compare; --repeat N maps the rows N times over");
    if (o->map.max_failures > 0 && o->map.on_error != FM_ON_ERROR_CONTINUE)
        argp_error(state, "--max-failures needs --on-error continue");
    check_journal(o, state);
    if (o->output != NULL)
        check_output_name(o->output, state);
    if (o->output != NULL && strcmp(o->output, "-") == 0)
        argp_error(state, "-o -: the standard output is written as -o /dev/stdout");
    if (o->failures != NULL && strcmp(o->failures, "-") == 0)
        argp_error(state, "--failures -: the standard output is written as --failures /dev/stdout");
    if (o->json && o->output != NULL && is_stdout(o->output))
        argp_error(state, "-o %s: --json writes its lines there", o->output);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_END)
        check_together(state->input, state);
    error_t rc = parse_inputs(key, arg, state);
    if (rc == ARGP_ERR_UNKNOWN)
        rc = parse_pool(key, arg, state);
    if (rc == ARGP_ERR_UNKNOWN)
        rc = parse_policy(key, arg, state);
    if (rc == ARGP_ERR_UNKNOWN)
        rc = parse_results(key, arg, state);
    return rc;
}

const struct argp fmc_options_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

int fmc_options_init(struct fmc_options *o, int argc)
{
    *o = (struct fmc_options){
        .pool.struct_size = sizeof o->pool,
        .map.struct_size = sizeof o->map,
        .pick.repeat = 1,
        .repeats = 5,
        .progress = FMC_SHOW_AUTO,
    };
    o->args = calloc((size_t)argc + 1, sizeof o->args[0]);
    o->loads = calloc((size_t)argc + 1, sizeof o->loads[0]);
    return o->args != NULL && o->loads != NULL ? 0 : -ENOMEM;
}

void fmc_options_fini(struct fmc_options *o)
{
    free(o->args);
    free(o->loads);
    o->args = NULL;
    o->loads = NULL;
}
