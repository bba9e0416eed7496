/* SPDX-License-Identifier: MIT */
/* `forkmap shm`: the named segments of this user, and the removal of those that are left over. */
#include "commands.h"

#include "events.h"
#include "names.h"
#include "say.h"
#include "units.h"

#include <argp.h>
#include <errno.h>
#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "Named segments: the shared memory that programs make by fm_shm_create(), files in /dev/shm.\n"
    "\n"
    "  list   shows those of this user: size, creator, whether it runs, age, name\n"
    "  gc     removes those whose creators have ended, and no others\n"
    "  rm     removes those that are named, whether their creators run or not"
    "\v"
    "Only the name is removed: programs that have a segment mapped go on with it, and the memory "
    "is "
    "free when the last of them has closed it or ended. So gc also takes the names of segments "
    "that "
    "others still use, if the program that made them has ended.\n"
    "\n"
    "A creator is unknown if it ran in another container (pid namespace) or /proc hides it; gc "
    "leaves its segments. Other files in /dev/shm, and those of other users, are neither shown nor "
    "removed.\n"
    "\n"
    "Examples:\n"
    "\n"
    "  forkmap shm list\n"
    "  forkmap shm list --json\n"
    "  forkmap shm gc --dry-run\n"
    "  forkmap shm gc\n"
    "  forkmap shm rm prices";

enum { KEY_DRY_RUN = 0x400 };

static const struct argp_option options[] = {
    {"dry-run", 'n', NULL, 0, "With gc: say what would be removed, and remove nothing", 0},
    {"json", 'j', NULL, 0, "One JSON object per segment and line", 0},
    {0},
};

struct wish;
static int list_segments(const struct wish *w);
static int collect_segments(const struct wish *w);
static int remove_segments(const struct wish *w);

static const struct verb {
    const char *name;
    int (*run)(const struct wish *w);
} verbs[] = {{"list", list_segments}, {"gc", collect_segments}, {"rm", remove_segments}};
enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

struct wish {
    const struct verb *verb;
    const char **names; /* of rm */
    int n_names;
    int json, is_dry_run;
};

static const struct verb *find_verb(const char *word, const struct argp_state *state)
{
    const char *names[N_VERBS];
    for (int i = 0; i < N_VERBS; i++) {
        if (strcmp(word, verbs[i].name) == 0)
            return &verbs[i];
        names[i] = verbs[i].name;
    }
    const char *nearest = fmc_names_nearest(word, names, N_VERBS);
    if (nearest != NULL)
        argp_error(state, "%s: did you mean %s?", word, nearest);
    else
        argp_error(state, "%s: list, gc or rm is due", word);
    return NULL; /* argp_error() has left the program */
}

static void take_word(struct wish *w, const char *word, const struct argp_state *state)
{
    if (w->verb == NULL)
        w->verb = find_verb(word, state);
    else if (w->verb->run == remove_segments)
        w->names[w->n_names++] = word;
    else
        argp_error(state, "%s: %s takes no name; rm does", word, w->verb->name);
}

static void check_words(const struct wish *w, const struct argp_state *state)
{
    if (w->verb == NULL)
        argp_error(state, "list, gc or rm is missing");
    else if (w->verb->run == remove_segments && w->n_names == 0)
        argp_error(state, "rm: NAME is missing");
    else if (w->verb->run != collect_segments && w->is_dry_run)
        argp_error(state, "--dry-run is for gc");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct wish *w = state->input;
    switch (key) {
    case 'n':
        w->is_dry_run = 1;
        return 0;
    case 'j':
        w->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        take_word(w, arg, state);
        return 0;
    case ARGP_KEY_END:
        check_words(w, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* All segments, to be freed; *n is their number, or a code. Programs make and remove some between the two calls. */
static fm_shm_info *read_list(int *n)
{
    enum { MORE = 64 };
    *n = fm_shm_list(NULL, 0);
    if (*n < 0)
        return NULL;
    const int cap = *n + MORE;
    fm_shm_info *list = calloc((size_t)cap, sizeof *list);
    *n = list == NULL ? -ENOMEM : fm_shm_list(list, cap);
    if (*n > cap)
        *n = cap;
    return list;
}

static const char *name_creator(int creator)
{
    return creator == FM_SHM_ALIVE ? "alive" : creator == FM_SHM_DEAD ? "dead" : "unknown";
}

static json_t *describe(const char *event_name, const fm_shm_info *s)
{
    json_t *event = fmc_event(event_name);
    json_object_set_new(event, "name", fmc_event_text(s->name));
    json_object_set_new(event, "bytes", json_integer((json_int_t)s->bytes));
    json_object_set_new(event, "pid", json_integer(s->pid));
    json_object_set_new(event, "creator", fmc_event_text(name_creator(s->creator)));
    json_object_set_new(event, "age", json_real((double)s->age_ns / 1e9));
    json_object_set_new(event, "ready", json_boolean(s->is_ready));
    return event;
}

/* ---- list ---- */

static void print_segment(const fm_shm_info *s)
{
    char bytes[24], age[24];
    fmc_units_bytes(bytes, sizeof bytes, (int64_t)s->bytes);
    fmc_units_clock(age, sizeof age, (double)s->age_ns / 1e9);
    printf("%12s %8d  %-7s %12s  %s%s\n", bytes, s->pid, name_creator(s->creator), age, s->name,
           s->is_ready ? "" : "  (unfinished)");
}

static int list_segments(const struct wish *w)
{
    int n;
    fm_shm_info *list = read_list(&n);
    if (n < 0) {
        free(list);
        return fmc_say_code(n, "named segments", NULL);
    }
    if (!w->json && n > 0)
        printf("%12s %8s  %-7s %12s  %s\n", "size", "pid", "creator", "age", "name");
    else if (!w->json)
        printf("no named segments\n");
    for (int i = 0; i < n; i++)
        if (!w->json)
            print_segment(&list[i]);
        else if (fmc_event_write(stdout, describe("segment", &list[i])) != 0)
            break; /* a broken stdout is reported at the end */
    free(list);
    return FMC_DONE;
}

/* ---- gc ---- */

static void say_removed(const struct wish *w, const fm_shm_info *s)
{
    char bytes[24];
    if (w->json) {
        json_t *event = describe("removed", s);
        json_object_set_new(event, "dry_run", json_boolean(w->is_dry_run));
        (void)fmc_event_write(stdout, event); /* a broken stdout is reported at the end */
        return;
    }
    fmc_units_bytes(bytes, sizeof bytes, (int64_t)s->bytes);
    printf("%s %s (%s, made by process %d, which has ended)\n",
           w->is_dry_run ? "would remove" : "removed", s->name, bytes, s->pid);
}

/* What another one removed, or made anew, since the list was read is no failure. */
static int collect(const struct wish *w, const fm_shm_info *s)
{
    const int code = w->is_dry_run ? 0 : fm_shm_remove(s->name, FM_SHM_IF_DEAD);
    if (code == -ENOENT || code == -EAGAIN || code == -EBUSY || code == FM_ECORRUPT)
        return FMC_DONE;
    if (code != 0)
        return fmc_say_code(code, s->name, NULL);
    say_removed(w, s);
    return FMC_DONE;
}

static int collect_segments(const struct wish *w)
{
    int n, n_dead = 0, n_unknown = 0, rc = FMC_DONE;
    fm_shm_info *list = read_list(&n);
    if (n < 0) {
        free(list);
        return fmc_say_code(n, "named segments", NULL);
    }
    for (int i = 0; i < n; i++) {
        n_unknown += list[i].creator == FM_SHM_UNKNOWN;
        if (list[i].creator != FM_SHM_DEAD)
            continue;
        n_dead++;
        const int code = collect(w, &list[i]);
        rc = code != FMC_DONE ? code : rc;
    }
    if (!w->json && n_dead == 0)
        printf("nothing to remove\n");
    if (!w->json && n_unknown > 0)
        printf("kept %d whose creators cannot be told: `forkmap shm list` shows them\n", n_unknown);
    free(list);
    return rc;
}

/* ---- rm ---- */

static int remove_segments(const struct wish *w)
{
    int rc = FMC_DONE;
    for (int i = 0; i < w->n_names; i++) {
        const int code = fm_shm_remove(w->names[i], 0);
        if (code != 0) {
            rc = fmc_say_code(code, w->names[i], NULL);
        } else if (!w->json) {
            printf("removed %s\n", w->names[i]);
        } else {
            json_t *event = fmc_event("removed");
            json_object_set_new(event, "name", fmc_event_text(w->names[i]));
            (void)fmc_event_write(stdout, event); /* a broken stdout is reported at the end */
        }
    }
    return rc;
}

int fmc_cmd_shm(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "list\ngc\nrm NAME...", doc, NULL, NULL, NULL};
    struct wish w = {.names = calloc((size_t)argc + 1, sizeof w.names[0])};
    if (w.names == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for the names");
    argp_parse(&argp, argc, argv, 0, NULL, &w);
    fmc_say_in_json(w.json);
    const int rc = w.verb->run(&w);
    free(w.names);
    return rc;
}
