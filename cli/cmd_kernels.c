/* SPDX-License-Identifier: MIT */
/* `forkmap kernels`: the table of kernels. */
#include "commands.h"

#include "events.h"
#include "kernels.h"
#include "plugin.h"
#include "say.h"

#include <argp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] = "List the kernels: inputs, parameters with their defaults, and where "
                          "each method comes from. Kernels "
                          "of your own (--load) come last."
                          "\v"
                          "Examples:\n"
                          "\n"
                          "  forkmap kernels\n"
                          "  forkmap kernels --json\n"
                          "  forkmap kernels --load ./mine.so\n"
                          "  forkmap run docking --verify";

enum { KEY_LOAD = 0x100 };

static const struct argp_option options[] = {
    {"load", KEY_LOAD, "PATH.so", 0, FMC_PLUGIN_HELP, 0},
    {"json", 'j', NULL, 0, "One JSON object per kernel and line", 0},
    {0},
};

struct wishes {
    int json;
    const char **loads;
    int n_loads;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct wishes *w = state->input;
    if (key == 'j')
        w->json = 1;
    else if (key == KEY_LOAD)
        w->loads[w->n_loads++] = arg;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "%s: no argument is taken", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* "f4:6", as --out takes it. */
static void describe_row(const struct fmk_column *column, char *text, size_t cap)
{
    char dtype[24];
    fm_dtype_name(column->dtype, dtype, sizeof dtype);
    snprintf(text, cap, "%s:", dtype);
    for (int i = 0; i < column->row_ndim; i++) {
        const size_t used = strlen(text);
        if (column->row_shape[i] == FMK_ANY_LENGTH)
            snprintf(text + used, cap - used, "%s?", i > 0 ? "x" : "");
        else
            snprintf(text + used, cap - used, "%s%" PRId64, i > 0 ? "x" : "", column->row_shape[i]);
    }
}

static void print_kernel(const struct fmk_kernel *k)
{
    char row[80];
    printf("%s\n    %s\n", k->name, k->summary);
    if (k->n_columns == 0)
        printf("    input   none: a range, its length follows from the parameters\n");
    for (int i = 0; i < k->n_columns; i++) {
        describe_row(&k->columns[i], row, sizeof row);
        printf("    input   %s, rows of %s\n", k->columns[i].name, row);
    }
    printf("    result  %s\n", k->result);
    for (const struct fmk_param *p = k->params; p < k->params + FMK_MAX_PARAMS && p->key != NULL;
         p++)
        printf("    --arg   %s=%s  %s\n", p->key, p->value != NULL ? p->value : "",
               p->help != NULL ? p->help : "");
    printf("    cost    %s\n    source  %s\n", k->cost, k->source);
    if (fmk_origin(k) != NULL)
        printf("    library %s\n", fmk_origin(k));
}

static int print_json(const struct fmk_kernel *k)
{
    char row[80];
    json_t *event = fmc_event("kernel"), *columns = json_array(), *params = json_array();
    json_object_set_new(event, "name", fmc_event_text(k->name));
    json_object_set_new(event, "summary", fmc_event_text(k->summary));
    for (int i = 0; i < k->n_columns; i++) {
        json_t *column = json_object();
        describe_row(&k->columns[i], row, sizeof row);
        json_object_set_new(column, "name", fmc_event_text(k->columns[i].name));
        json_object_set_new(column, "rows", fmc_event_text(row));
        json_array_append_new(columns, column);
    }
    for (const struct fmk_param *p = k->params; p < k->params + FMK_MAX_PARAMS && p->key != NULL;
         p++) {
        json_t *param = json_object();
        json_object_set_new(param, "key", fmc_event_text(p->key));
        json_object_set_new(param, "default", fmc_event_text(p->value != NULL ? p->value : ""));
        json_object_set_new(param, "help", fmc_event_text(p->help != NULL ? p->help : ""));
        json_array_append_new(params, param);
    }
    json_object_set_new(event, "columns", columns);
    json_object_set_new(event, "params", params);
    json_object_set_new(event, "result", fmc_event_text(k->result));
    json_object_set_new(event, "cost", fmc_event_text(k->cost));
    json_object_set_new(event, "source", fmc_event_text(k->source));
    json_object_set_new(event, "library",
                        fmk_origin(k) != NULL ? fmc_event_text(fmk_origin(k)) : json_null());
    return fmc_event_write(stdout, event);
}

static void print_all(int json)
{
    int n = 0;
    const struct fmk_kernel *const *kernels = fmk_kernels(&n);
    for (int i = 0; i < n; i++) {
        if (!json)
            print_kernel(kernels[i]);
        else if (print_json(kernels[i]) != 0)
            break; /* fmc_say_end says it */
    }
}

int fmc_cmd_kernels(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct wishes w = {.loads = calloc((size_t)argc + 1, sizeof w.loads[0])};
    if (w.loads == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for the options");
    argp_parse(&argp, argc, argv, 0, NULL, &w);
    fmc_say_in_json(w.json);
    const int rc = fmc_plugin_load(w.loads, w.n_loads);
    if (rc == FMC_DONE)
        print_all(w.json);
    free(w.loads);
    return rc;
}
