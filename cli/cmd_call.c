/* SPDX-License-Identifier: MIT */
/* `forkmap call`: a method of an object that a manager has, from the shell. */
#include "commands.h"

#include "events.h"
#include "keyfile.h"
#include "say.h"
#include "values.h"

#include <argp.h>
#include <errno.h>
#include <forkmap/forkmap.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Call a method of an object that a manager serves (forkmap manager, or any program that has "
    "called fm_manager_start()), or make, remove and list objects."
    "\v"
    "Results are written one per line, with --raw one after another as they are. Numbers are "
    "decimal texts. A - among the arguments stands for what comes from the standard input.\n"
    "\n"
    "Methods:\n"
    "  dict             get set delete contains len pop popitem setdefault update add\n"
    "                   keys values items clear\n"
    "  namespace        get set delete contains items\n"
    "  list             append extend insert get set pop delete remove index count\n"
    "                   contains len sort reverse slice clear\n"
    "  queue            put get size empty full close\n"
    "  value            get set add\n"
    "  array            get set read write shape dtype\n"
    "  lock, rlock      acquire release locked\n"
    "  semaphore        acquire release value\n"
    "  event            set clear wait is_set\n"
    "  condition        acquire release wait notify notify_all\n"
    "  barrier          wait reset abort parties waiting broken\n"
    "  rwlock           acquire_read acquire_write release\n"
    "A lock that a call acquires is free when the command has ended; the next who acquires it is "
    "told that its owner died.\n"
    "\n"
    "Examples:\n"
    "\n"
    "  forkmap call -a ./jobs.sock -k key --create ages dict\n"
    "  forkmap call -a ./jobs.sock -k key ages set Ada 36\n"
    "  forkmap call -a ./jobs.sock -k key ages items\n"
    "  date | forkmap call -a ./jobs.sock -k key todo put -\n"
    "  forkmap call -a ./jobs.sock -k key --list";

enum { KEY_CREATE = 0x600, KEY_DELETE, KEY_LIST, KEY_SHUTDOWN, KEY_RAW, KEY_TIMEOUT };
#define MOST_SECONDS 1e6

static const struct argp_option options[] = {
    {"address", 'a', "ADDRESS", 0, "Where the manager listens: a path, or HOST:PORT", 0},
    {"key-file", 'k', "FILE", 0, "Its key", 0},
    {"create", KEY_CREATE, NULL, 0, "Make an object: NAME TYPE [ARG...]", 1},
    {"delete", KEY_DELETE, NULL, 0, "Remove objects: NAME...", 1},
    {"list", KEY_LIST, NULL, 0, "List names and types", 1},
    {"shutdown", KEY_SHUTDOWN, NULL, 0, "End the manager, with all objects", 1},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "That a method may wait (10)", 2},
    {"raw", KEY_RAW, NULL, 0, "Results as they are, without ends of lines", 2},
    {"json", 'j', NULL, 0, "Results as JSON lines", 2},
    {0},
};

struct wish {
    const char *address, *key_file;
    const char **words;
    int n_words, what; /* a key above; 0: a call */
    int64_t timeout;
    int raw, json;
};

static void choose(struct wish *w, int what, const struct argp_state *state)
{
    if (w->what != 0)
        argp_error(state, "of --create, --delete, --list and --shutdown only one");
    w->what = what;
}

static void check(const struct wish *w, const struct argp_state *state)
{
    if (w->address == NULL)
        argp_error(state, "--address ADDRESS is missing: `forkmap manager` prints it");
    if (w->key_file == NULL)
        argp_error(state, "--key-file FILE is missing");
    if (w->what == 0 && w->n_words < 2)
        argp_error(state, "NAME and METHOD are missing; --list shows the names");
    if (w->what == KEY_CREATE && w->n_words < 2)
        argp_error(state, "--create: NAME and TYPE are missing");
    if (w->what == KEY_DELETE && w->n_words < 1)
        argp_error(state, "--delete: NAME is missing");
    if ((w->what == KEY_LIST || w->what == KEY_SHUTDOWN) && w->n_words > 0)
        argp_error(state, "%s: not taken by --list and --shutdown", w->words[0]);
    if (w->raw && w->json)
        argp_error(state, "--raw and --json exclude each other");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct wish *w = state->input;
    switch (key) {
    case 'a':
        w->address = arg;
        return 0;
    case 'k':
        w->key_file = arg;
        return 0;
    case KEY_CREATE:
    case KEY_DELETE:
    case KEY_LIST:
    case KEY_SHUTDOWN:
        choose(w, key, state);
        return 0;
    case KEY_TIMEOUT:
        w->timeout = FM_SECONDS(fmc_value_positive(state, "--timeout", arg, MOST_SECONDS));
        return 0;
    case KEY_RAW:
        w->raw = 1;
        return 0;
    case 'j':
        w->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        w->words[w->n_words++] = arg;
        return 0;
    case ARGP_KEY_END:
        check(w, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- arguments ---- */

/* All of the standard input, to be freed. NULL: no memory, or it cannot be read. */
static char *read_stdin(size_t *n)
{
    size_t cap = 65536, used = 0;
    char *bytes = malloc(cap);
    while (bytes != NULL) {
        const size_t got = fread(bytes + used, 1, cap - used, stdin);
        used += got;
        if (got == 0)
            break;
        if (used < cap)
            continue;
        char *more = realloc(bytes, cap *= 2);
        if (more == NULL)
            free(bytes);
        bytes = more;
    }
    if (bytes != NULL && ferror(stdin)) {
        free(bytes);
        bytes = NULL;
    }
    *n = used;
    return bytes;
}

/* Those from words[first] on; *input is to be freed. */
static fm_bytes *read_args(const struct wish *w, int first, int *n_args, char **input)
{
    size_t n_input = 0;
    *input = NULL;
    *n_args = w->n_words - first;
    fm_bytes *args = calloc((size_t)*n_args + 1, sizeof *args);
    for (int i = 0; args != NULL && i < *n_args; i++) {
        args[i] = fm_text(w->words[first + i]);
        if (strcmp(w->words[first + i], "-") != 0)
            continue;
        if (*input == NULL && (*input = read_stdin(&n_input)) == NULL) {
            free(args);
            return NULL;
        }
        args[i] = fm_bytes_of(*input, n_input);
    }
    return args;
}

/* ---- results ---- */

static json_t *text_of(fm_bytes value)
{
    json_t *text = json_stringn(value.data, value.bytes);
    return text != NULL ? text : fmc_event_text(value.data); /* not UTF-8; a NUL is behind it */
}

static void write_values(const struct wish *w, const fm_bytes *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (w->json) {
            json_t *event = fmc_event("result");
            json_object_set_new(event, "value", text_of(values[i]));
            (void)fmc_event_write(stdout, event); /* a broken stdout is reported at the end */
            continue;
        }
        fwrite(values[i].data, 1, values[i].bytes, stdout);
        if (!w->raw)
            putchar('\n');
    }
}

static void write_objects(const struct wish *w, const fm_snapshot *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        if (!w->json) {
            printf("%-10s %s\n", (const char *)s->values[i].data, (const char *)s->keys[i].data);
            continue;
        }
        json_t *event = fmc_event("object");
        json_object_set_new(event, "name", text_of(s->keys[i]));
        json_object_set_new(event, "type", text_of(s->values[i]));
        (void)fmc_event_write(stdout, event);
    }
}

/* ---- what may be wished for ---- */

static int call(const struct wish *w, fm_manager *m)
{
    char *input;
    int n_args;
    fm_snapshot *reply = NULL;
    fm_bytes *args = read_args(w, 2, &n_args, &input);
    if (args == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "the standard input could not be read");
    const int code = fm_manager_call(m, w->words[0], w->words[1], args, n_args, &reply, w->timeout);
    if (reply != NULL)
        write_values(w, reply->values, reply->n);
    fm_snapshot_free(reply);
    free(args);
    free(input);
    char what[FM_MANAGER_NAME_BYTES + FM_MANAGER_TYPE_BYTES + 8];
    snprintf(what, sizeof what, "%s %s", w->words[0], w->words[1]);
    return code == 0 ? FMC_DONE : fmc_say_code(code, what, NULL);
}

static int create(const struct wish *w, fm_manager *m)
{
    char *input;
    int n_args;
    fm_bytes *args = read_args(w, 2, &n_args, &input);
    if (args == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "the standard input could not be read");
    const int code = fm_manager_create(m, w->words[0], w->words[1], args, n_args, w->timeout);
    free(args);
    free(input);
    return code == 0 ? FMC_DONE : fmc_say_code(code, w->words[0], NULL);
}

static int delete_all(const struct wish *w, fm_manager *m)
{
    int rc = FMC_DONE;
    for (int i = 0; i < w->n_words; i++) {
        const int code = fm_manager_delete(m, w->words[i]);
        rc = code == 0 ? rc : fmc_say_code(code, w->words[i], NULL);
    }
    return rc;
}

static int list(const struct wish *w, fm_manager *m)
{
    fm_snapshot *s;
    const int code = fm_manager_list(m, &s);
    if (code != 0)
        return fmc_say_code(code, w->address, NULL);
    write_objects(w, s);
    fm_snapshot_free(s);
    return FMC_DONE;
}

static int run(const struct wish *w, fm_manager *m)
{
    switch (w->what) {
    case KEY_CREATE:
        return create(w, m);
    case KEY_DELETE:
        return delete_all(w, m);
    case KEY_LIST:
        return list(w, m);
    case KEY_SHUTDOWN: {
        const int code = fm_manager_shutdown(m);
        return code == 0 ? FMC_DONE : fmc_say_code(code, w->address, NULL);
    }
    default:
        return call(w, m);
    }
}

/* By requests: a command that is killed while it works on the memory itself would be a guest for nothing. */
static int connect_and_run(const struct wish *w)
{
    struct fmc_key key;
    fm_manager *m;
    int rc = fmc_key_read(&key, w->key_file, 0);
    if (rc != FMC_DONE)
        return rc;
    const int code = fm_manager_connect(&m, w->address, key.bytes, key.n,
                                        FM_MANAGER_CONNECT_OPTS(.flags = FM_MANAGER_NO_MAP));
    fmc_key_forget(&key);
    if (code != 0)
        return fmc_say_code(code, w->address, NULL);
    rc = run(w, m);
    fm_manager_close(m);
    return rc;
}

int fmc_cmd_call(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "NAME METHOD [ARG...]\n--create NAME TYPE [ARG...]\n--delete NAME...\n--list\n--shutdown",
        doc,
        NULL,
        NULL,
        NULL};
    struct wish w = {.words = calloc((size_t)argc + 1, sizeof w.words[0]),
                     .timeout = FM_SECONDS(10)};
    if (w.words == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for the words");
    argp_parse(&argp, argc, argv, 0, NULL, &w);
    fmc_say_in_json(w.json);
    const int rc = connect_and_run(&w);
    free(w.words);
    return rc;
}
