/* SPDX-License-Identifier: MIT */
/* `forkmap topo`: how many workers there would be, why, and which core each gets. */
#include "commands.h"

#include "events.h"
#include "say.h"
#include "values.h"

#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>

static const char doc[] =
    "Show how many workers a pool has by default and which source decided it, and which core each "
    "worker "
    "gets."
    "\v"
    "Examples:\n"
    "\n"
    "  forkmap topo\n"
    "  forkmap topo --workers 4 --pin spread\n"
    "  forkmap topo --synthetic \"pack:2 core:4 pu:2\"\n"
    "  FORKMAP_WORKERS=3 forkmap topo --json\n"
    "\n"
    "Columns: rank of the worker; OS number of the cpu; logical numbers of its physical core and "
    "package; OS number "
    "of its NUMA node; smt 0 for the first unit of a core, 1 and up for its siblings.";

struct topo {
    int workers, pin, json;
    const char *synthetic;
    fm_budget budget;
    fm_place *places;
    int n_units, n_cores;
};

enum { KEY_PIN = 0x300, KEY_SYNTHETIC, KEY_JSON };

static const struct argp_option options[] = {
    {"workers", 'w', "N", 0,
     "Workers, 1 to 1023 (default: the budget; with --synthetic, every unit)", 0},
    {"pin", KEY_PIN, "HOW", 0, "core (default), spread, compact or none", 0},
    {"synthetic", KEY_SYNTHETIC, "DESCRIPTION", 0,
     "A machine described as hwloc does it, as in \"pack:2 core:4 pu:2\", instead of this one", 0},
    {"json", KEY_JSON, NULL, 0, "One JSON object per line: budget, then each worker", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct topo *t = state->input;
    switch (key) {
    case 'w':
        t->workers = (int)fmc_value_whole(state, "--workers", arg, 1, FM_MAX_WORKERS);
        return 0;
    case KEY_PIN:
        t->pin = fmc_value_word(state, "--pin", arg, fmc_words_pin);
        return 0;
    case KEY_SYNTHETIC:
        t->synthetic = arg;
        return 0;
    case KEY_JSON:
        t->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: no argument is taken", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_budget(const fm_budget *b)
{
    printf("workers by default: %d, decided by %s\n\n", b->cores, fm_budget_source_name(b->winner));
    printf("  %-28s %s\n", "source", "cores");
    for (int i = 1; i <= FM_BUDGET_SOURCES; i++) {
        char value[16] = "-";
        if (b->by_source[i] > 0)
            snprintf(value, sizeof value, "%d", b->by_source[i]);
        printf("  %-28s %5s%s\n", fm_budget_source_name(i), value,
               i == b->winner ? "  <- decides" : "");
    }
    printf("\n");
}

static void print_budget_event(const fm_budget *b)
{
    json_t *event = fmc_event("budget"), *sources = json_object();
    json_object_set_new(event, "cores", json_integer(b->cores));
    json_object_set_new(event, "winner", fmc_event_text(fm_budget_source_name(b->winner)));
    for (int i = 1; i <= FM_BUDGET_SOURCES; i++)
        json_object_set_new(sources, fm_budget_source_name(i),
                            b->by_source[i] > 0 ? json_integer(b->by_source[i]) : json_null());
    json_object_set_new(event, "sources", sources);
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported at the end */
}

/* Places every unit once, to count the cores. */
static int count_units(struct topo *t)
{
    fm_place one;
    const char *what = t->synthetic != NULL ? t->synthetic : "topology";
    t->n_units = fm_places(&one, 1, FM_PIN_CORE, t->synthetic);
    if (t->n_units < 0)
        return fmc_say_code(t->n_units, what, NULL);
    fm_place *all = calloc((size_t)t->n_units, sizeof *all);
    if (all == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for %d places", t->n_units);
    const int code = fm_places(all, t->n_units, FM_PIN_CORE, t->synthetic);
    for (int i = 0; code >= 0 && i < t->n_units; i++)
        t->n_cores += all[i].sibling == 0;
    free(all);
    return code < 0 ? fmc_say_code(code, what, NULL) : FMC_DONE;
}

static void print_places(const struct topo *t)
{
    printf("%s: %d physical cores, %d units\n\n",
           t->synthetic != NULL ? t->synthetic : "usable here", t->n_cores, t->n_units);
    printf("  worker   cpu  core  package  numa  smt\n");
    for (int i = 0; i < t->workers; i++) {
        const fm_place *p = &t->places[i];
        if (p->cpu < 0)
            printf("  %6d  not pinned\n", i);
        else
            printf("  %6d %5d %5d %8d %5d %4d\n", i, p->cpu, p->core, p->package, p->numa,
                   p->sibling);
    }
}

static void print_place_events(const struct topo *t)
{
    json_t *event = fmc_event("machine");
    json_object_set_new(event, "cores", json_integer(t->n_cores));
    json_object_set_new(event, "units", json_integer(t->n_units));
    json_object_set_new(event, "synthetic",
                        t->synthetic != NULL ? fmc_event_text(t->synthetic) : json_null());
    int rc = fmc_event_write(stdout, event);
    for (int i = 0; i < t->workers && rc == 0; i++) {
        const fm_place *p = &t->places[i];
        event = fmc_event("worker");
        json_object_set_new(event, "worker", json_integer(i));
        json_object_set_new(event, "cpu", p->cpu >= 0 ? json_integer(p->cpu) : json_null());
        json_object_set_new(event, "core", json_integer(p->core));
        json_object_set_new(event, "package", json_integer(p->package));
        json_object_set_new(event, "numa", json_integer(p->numa));
        json_object_set_new(event, "smt", json_integer(p->sibling));
        rc = fmc_event_write(stdout, event); /* a broken stdout is reported at the end */
    }
}

static int show_places(struct topo *t)
{
    if (t->workers == 0)
        t->workers = t->synthetic == NULL ? t->budget.cores : t->n_units;
    if (t->workers > FM_MAX_WORKERS)
        t->workers = FM_MAX_WORKERS;
    t->places = calloc((size_t)t->workers, sizeof *t->places);
    if (t->places == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for %d places", t->workers);
    const int code = fm_places(t->places, t->workers, t->pin, t->synthetic);
    if (code < 0)
        return fmc_say_code(code, "places of the workers", NULL);
    if (t->json)
        print_place_events(t);
    else
        print_places(t);
    return FMC_DONE;
}

int fmc_cmd_topo(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct topo t = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &t);
    fmc_say_in_json(t.json);
    if (t.synthetic == NULL) { /* the budget is this machine's */
        const int code = fm_cpu_budget(&t.budget);
        if (code < 0) {
            fmc_say_code(code, "number of workers", NULL);
            return FMC_ENVIRONMENT; /* a variable that is not a number is no word of the command line */
        }
        if (t.json)
            print_budget_event(&t.budget);
        else
            print_budget(&t.budget);
    }
    int rc = count_units(&t);
    if (rc == FMC_DONE)
        rc = show_places(&t);
    free(t.places);
    return rc;
}
