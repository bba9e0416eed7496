/* SPDX-License-Identifier: MIT */
/* `forkmap kernels`: the table of shipped kernels. */
#include "commands.h"

#include "events.h"
#include "kernels.h"
#include "say.h"

#include <argp.h>
#include <inttypes.h>
#include <string.h>

static const char doc[] =
    "List the shipped kernels: inputs, parameters with their defaults, and where "
    "each method comes from."
    "\v"
    "Examples:\n"
    "\n"
    "  forkmap kernels\n"
    "  forkmap kernels --json\n"
    "  forkmap run docking --verify";

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "One JSON object per kernel and line", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    int *json = state->input;
    if (key == 'j')
        *json = 1;
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
    return fmc_event_write(stdout, event);
}

int fmc_cmd_kernels(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    int json = 0, n = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &json);
    const struct fmk_kernel *const *kernels = fmk_kernels(&n);
    for (int i = 0; i < n; i++) {
        if (!json)
            print_kernel(kernels[i]);
        else if (print_json(kernels[i]) != 0)
            break; /* fmc_say_end says it */
    }
    return FMC_DONE;
}
