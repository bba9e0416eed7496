/* SPDX-License-Identifier: MIT */
/* `forkmap manager`: serves objects by name, until it is asked to stop. */
#include "commands.h"

#include "events.h"
#include "keyfile.h"
#include "say.h"
#include "stop.h"
#include "values.h"

#include <argp.h>
#include <errno.h>
#include <forkmap/forkmap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Serve dicts, lists, queues, values, arrays and locks by name: to programs of this user, which "
    "get the memory itself, and over TCP."
    "\v"
    "Who has the key gets in. It is read from a file that only this user may read, and made if it "
    "is not there. Without --address it listens at a path of its own, which it prints; TCP only "
    "where --address says so, as localhost:7000.\n"
    "\n"
    "It runs until SIGINT or SIGTERM, or until a client ends it (forkmap call --shutdown). All "
    "objects end with it.\n"
    "\n"
    "--create makes objects at the start: NAME:TYPE, and what the type wants to know, after "
    "further colons. Types: dict list namespace queue value array lock rlock semaphore event "
    "condition barrier rwlock.\n"
    "\n"
    "Examples:\n"
    "\n"
    "  forkmap manager --key-file key --address ./jobs.sock\n"
    "  forkmap manager --key-file key --create todo:queue:100 --create best:value:f8:0\n"
    "  forkmap manager --key-file key --address localhost:7000 --json";

enum { KEY_CLIENTS = 0x500, MOST_ARGS = 8, MOST_CLIENTS = 4096, LOOK_MS = 200 };

static const struct argp_option options[] = {
    {"address", 'a', "ADDRESS", 0, "Listen there: a path, or HOST:PORT", 0},
    {"key-file", 'k', "FILE", 0, "The key, 1 to 64 bytes; made if it is not there", 0},
    {"create", 'c', "NAME:TYPE[:ARG...]", 0, "Make an object (may be given again)", 0},
    {"max-clients", KEY_CLIENTS, "N", 0, "Connections at a time (256)", 0},
    {"json", 'j', NULL, 0, "Say where it listens, and that it ends, as JSON lines", 0},
    {0},
};

struct wish {
    const char *address, *key_file;
    char **objects;
    int n_objects, max_clients, json;
};

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
    case 'c':
        w->objects[w->n_objects++] = arg;
        return 0;
    case 'j':
        w->json = 1;
        return 0;
    case KEY_CLIENTS:
        w->max_clients = (int)fmc_value_whole(state, "--max-clients", arg, 1, MOST_CLIENTS);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: it takes no words; objects are made by --create", arg);
        return 0;
    case ARGP_KEY_END:
        if (w->key_file == NULL)
            argp_error(state, "--key-file FILE is missing: who has the key gets in");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* NAME:TYPE:ARG:ARG */
static int create(fm_manager *m, const char *spec)
{
    fm_bytes args[MOST_ARGS];
    char *words[MOST_ARGS + 2] = {NULL}, *copy = strdup(spec), *rest = copy;
    int n = 0;
    if (copy == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for an object's name");
    while (rest != NULL && n < MOST_ARGS + 2)
        words[n++] = strsep(&rest, ":");
    int rc;
    if (n < 2 || rest != NULL) {
        rc = fmc_say_error(FMC_USAGE, "as todo:queue:100", "--create %s: not NAME:TYPE[:ARG...]",
                           spec);
    } else {
        for (int i = 2; i < n; i++)
            args[i - 2] = fm_text(words[i]);
        rc = fm_manager_create(m, words[0], words[1], args, n - 2, FM_SECONDS(10));
        rc = rc == 0 ? FMC_DONE : fmc_say_code(rc, spec, NULL);
    }
    free(copy);
    return rc;
}

static void say_where(const struct wish *w, const fm_manager *m)
{
    if (!w->json) {
        printf("%s\n", fm_manager_address(m));
        fflush(stdout);
        return;
    }
    json_t *event = fmc_event("listening");
    json_object_set_new(event, "address", fmc_event_text(fm_manager_address(m)));
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported at the end */
}

/* FMC_DONE: a client has ended it; else the exit code, after a message if the server has died. */
static int await_end(fm_manager *m)
{
    fm_snapshot *names;
    for (;;) {
        if (fmc_stop_signal() != 0)
            return FMC_SIGNALLED + fmc_stop_signal();
        const int is_running = fm_active_children(NULL, 0) > 0; /* first: it ends after the names */
        if (fm_manager_list(m, &names) != 0)
            return FMC_DONE;
        fm_snapshot_free(names);
        if (!is_running)
            return fmc_say_error(FMC_ENVIRONMENT, "its objects are lost; start it again",
                                 "the server at %s was killed", fm_manager_address(m));
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static int serve(const struct wish *w, const struct fmc_key *key)
{
    fm_manager *m;
    int rc = fm_manager_start(&m, FM_MANAGER_OPTS(.address = w->address, .authkey = key->bytes,
                                                  .authkey_bytes = key->n,
                                                  .max_clients = w->max_clients));
    if (rc != 0)
        return fmc_say_code(rc, w->address != NULL ? w->address : "the manager", NULL);
    for (int i = 0; rc == FMC_DONE && i < w->n_objects; i++)
        rc = create(m, w->objects[i]);
    if (rc == FMC_DONE) {
        say_where(w, m);
        rc = await_end(m);
        if (w->json)
            (void)fmc_event_write(stdout, fmc_event("ended"));
    }
    fm_manager_close(m);
    return rc;
}

int fmc_cmd_manager(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct wish w = {.objects = calloc((size_t)argc + 1, sizeof w.objects[0])};
    struct fmc_key key;
    if (w.objects == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for the objects' names");
    argp_parse(&argp, argc, argv, 0, NULL, &w);
    fmc_say_in_json(w.json);
    int rc = fmc_key_read(&key, w.key_file, 1);
    if (rc == FMC_DONE) {
        fmc_stop_install();
        rc = serve(&w, &key);
    }
    fmc_key_forget(&key);
    free(w.objects);
    return rc;
}
