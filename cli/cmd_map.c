/* SPDX-License-Identifier: MIT */
/* `forkmap map` and `forkmap run`. */
#include "commands.h"

#include "say.h"
#include "values.h"
#include "work.h"

enum { KEY_OUT = 0x200, KEY_CHUNK_FN, KEY_STAR, KEY_PRINT_SOURCE };

static const char map_doc[] =
    "Map FUNCTION over the rows of INPUT, and write row i of OUT from row i of INPUT.\n"
    "\n"
    "FUNCTION is PATH.so:SYMBOL, a function of your own, or the name of a kernel (see `forkmap "
    "kernels`, and --load for kernels of your own). With -e there is no FUNCTION: the expression "
    "is "
    "compiled. "
    "INPUT is one of\n"
    "\n"
    "  x.npy                            NumPy's format\n"
    "  x.csv, csv[:OPTION]...:PATH      numbers under a line of column names;\n"
    "                                   OPTION: comma, semicolon, tab; noheader\n"
    "  x.h5:/DATASET                    HDF5\n"
    "  raw:DTYPE:SHAPE[:ORDER]:PATH     raw binary, C (default) or F order;\n"
    "                                   one length may be '?'\n"
    "  range:BEGIN:END                  whole numbers, int64\n"
    "  -                                the standard input\n"
    "\n"
    "Files may be packed by gzip or zstd."
    "\v"
    "A function of your own is one of\n"
    "\n"
    "  int f(const void *item, void *result, void *arg);\n"
    "  int f(const fm_chunk *chunk, void *arg);                     --chunk-fn\n"
    "  int f(const void *const items[], void *result, void *arg);   --star\n"
    "\n"
    "and returns 0, or anything else to fail the item. `arg` is the text of all --arg, one "
    "KEY=VALUE per line. "
    "A crash, an exit or an endless loop (--timeout) costs one item, not the map. It must not "
    "write "
    "outside its result.\n"
    "\n"
    "EXPR is an expression in C. x0, x1, ... are the items of the inputs, x is x0; x0[2] or "
    "x0[1][2] is an element of a longer row; i is the number of the item, from 0; each --arg "
    "KEY=NUMBER is known by its KEY. All of these are doubles whatever the files hold (complex for "
    "complex input), so x0/2 is a half; n0, n1, ... are the same items as exact whole numbers, as "
    "in n0 % 7. There are the functions of "
    "<math.h> and <complex.h>, pi, inf and nan. Semicolons separate several results. --out is f8 "
    "if it is not given. For whole numbers the result is rounded towards 0, cut to the limits of "
    "the type, and 0 for a nan; one that is whole already is converted as in C. Compiled "
    "expressions are kept in ~/.cache/forkmap.\n"
    "\n"
    "Examples:\n"
    "\n"
    "  forkmap map -e 'sqrt(x0*x0 + x1*x1)' a.npy b.npy -o r.npy\n"
    "  forkmap map -e 'a*x + b' x.npy --arg a=2 --arg b=0.5 --out f4 -o y.npy\n"
    "  forkmap map -e 'hypot(x[0], x[1]); atan2(x[1], x[0])' xy.npy -o polar.npy\n"
    "  cc -O2 -shared -fPIC -o f.so f.c\n"
    "  forkmap map ./f.so:f in.npy --out f8: -o out.npy\n"
    "  forkmap map ./f.so:f range:0:1000 --out f4:3 -o out.npy --timeout 0.5\n"
    "  forkmap map ./f.so:g x.npy y.npy --star --out f8: -o out.npy --arg a=2\n"
    "  forkmap map ./f.so:h raw:f4:?x6:F:x.bin --chunk-fn --out f4: -o out.npy\n"
    "  forkmap map docking raw:f4:65536x6:F:poses.in -o energies.npy\n"
    "  forkmap map ./f.so:f prices.csv.gz --columns spot --out f8: -o out.npy\n"
    "  zstdcat x.npy.zst | forkmap map ./f.so:f - --rows :100 --out f8: -o out.npy\n"
    "\n"
    "Exit codes: 0 done, 1 some items failed, 2 usage, 3 environment, 128 + number of the signal "
    "that "
    "stopped it.";

static const char run_doc[] =
    "Run KERNEL on its default input (see `forkmap kernels`)."
    "\v"
    "Examples:\n"
    "\n"
    "  forkmap run docking --verify --compare -o energies.npy\n"
    "  forkmap run mandelbrot --arg n=2000 --schedule dynamic -o image.npy\n"
    "  forkmap run pi --workers 4 --json\n"
    "  forkmap run mine --load ./mine.so --verify\n"
    "\n"
    "Exit codes: 0 done, 1 some items failed, 2 usage, 3 environment, 128 + number of the signal "
    "that "
    "stopped it.";

static const struct argp_option map_options[] = {
    {NULL, 0, NULL, 0, "Functions of your own", 1},
    {"expression", 'e', "EXPR", 0, "Map an expression in C instead of a FUNCTION, see below", 0},
    {"print-source", KEY_PRINT_SOURCE, NULL, 0,
     "With -e: show the C function that it becomes, and do nothing else", 0},
    {"out", KEY_OUT, "DTYPE:ROWSHAPE", 0,
     "What one result is: f8: is one double, f4:3 three floats, i4:2x3 a small matrix; none: no "
     "output",
     0},
    {"chunk-fn", KEY_CHUNK_FN, NULL, 0, "FUNCTION is a chunk function: it gets runs of items", 0},
    {"star", KEY_STAR, NULL, 0, "Several INPUT are the columns of one map; one row is broadcast",
     0},
    {0},
};

static const struct argp_option run_options[] = {
    {"out", KEY_OUT, "DTYPE:ROWSHAPE", OPTION_HIDDEN, NULL, 0},
    {0},
};

static void take_input(struct fmc_options *o, const struct argp_state *state, const char *word)
{
    if (o->n_inputs == FM_MAX_COLUMNS)
        argp_error(state, "more than %d INPUT", FM_MAX_COLUMNS);
    o->inputs[o->n_inputs++] = word;
}

static error_t parse_map(int key, char *arg, struct argp_state *state)
{
    struct fmc_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o;
        return 0;
    case KEY_OUT:
        if (o->out_spec != NULL)
            argp_error(state, "--out %s: given twice", arg);
        o->out_spec = arg;
        return 0;
    case KEY_CHUNK_FN:
        o->chunk_fn = 1;
        return 0;
    case KEY_STAR:
        o->star = 1;
        return 0;
    case 'e':
        if (o->expression)
            argp_error(state, "-e %s: given twice; several results are separated by semicolons",
                       arg);
        o->expression = 1;
        o->function = arg;
        return 0;
    case KEY_PRINT_SOURCE:
        o->print_source = 1;
        return 0;
    case ARGP_KEY_ARG: /* after all options, wherever they stand */
        if (o->function == NULL)
            o->function = arg;
        else
            take_input(o, state, arg);
        return 0;
    case ARGP_KEY_END:
        if (o->function == NULL)
            argp_error(state, "FUNCTION is missing");
        if (o->print_source && !o->expression)
            argp_error(state, "--print-source needs -e EXPR");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_run(int key, char *arg, struct argp_state *state)
{
    struct fmc_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o;
        return 0;
    case ARGP_KEY_ARG:
        if (o->function != NULL)
            argp_error(state, "%s: run takes one KERNEL; `forkmap map` takes inputs", arg);
        o->function = arg;
        return 0;
    case KEY_OUT: /* argp would take it for --output */
        argp_error(state, "--out %s: a kernel knows its output; -o OUT says where it goes", arg);
        return 0;
    case ARGP_KEY_END:
        if (o->function == NULL)
            argp_error(state, "KERNEL is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&fmc_options_argp, 0, NULL, 0}, {0}};
static const struct argp map_argp = {
    map_options, parse_map, "FUNCTION INPUT...\n-e EXPR INPUT...", map_doc, children, NULL, NULL};
static const struct argp run_argp = {run_options, parse_run, "KERNEL", run_doc,
                                     children,    NULL,      NULL};

static int parse_and_work(int argc, char **argv, int run)
{
    struct fmc_options options;
    if (fmc_options_init(&options, argc) != 0) {
        fmc_options_fini(&options);
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for the options");
    }
    argp_parse(run ? &run_argp : &map_argp, argc, argv, 0, NULL, &options);
    fmc_say_in_json(options.json);
    const int rc = fmc_work(&options, run);
    fmc_options_fini(&options);
    return rc;
}

int fmc_cmd_map(int argc, char **argv)
{
    return parse_and_work(argc, argv, 0);
}

int fmc_cmd_run(int argc, char **argv)
{
    return parse_and_work(argc, argv, 1);
}
