/* SPDX-License-Identifier: MIT */
/* Prepares and runs the map that the command line describes. */
#include "job.h"

#include "csv.h"
#include "failures.h"
#include "plugin.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char out_remedy[] =
    "say what the function writes per item and where it goes, as in --out f8: -o out.npy";

/* A kernel of several columns of numbers takes them from one table, too. */
static int takes_table(const struct fmk_kernel *k, int n_inputs)
{
    int is_plain = k->n_columns > 1 && n_inputs == 1;
    for (int i = 0; i < k->n_columns; i++)
        is_plain = is_plain && k->columns[i].row_ndim == 0;
    return is_plain;
}

static int check_kernel_words(const struct fmc_options *o, const struct fmk_kernel *k, int run)
{
    if (o->chunk_fn || o->star || o->out_spec != NULL)
        return fmc_say_error(
            FMC_USAGE, "its inputs and outputs are known: `forkmap kernels` shows them",
            "%s is a kernel: --chunk-fn, --star and --out are for functions of your own", k->name);
    if ((run || k->n_columns == 0) && fmc_pick_is_any(&o->pick))
        return fmc_say_error(
            FMC_USAGE, "they pick from an INPUT of `forkmap map`",
            "%s: --columns, --rows, --repeat, --as and --missing have no INPUT here", k->name);
    if (o->n_args > FMK_MAX_PARAMS)
        return fmc_say_error(FMC_USAGE, NULL, "%s: more than %d --arg", k->name, FMK_MAX_PARAMS);
    if (o->map.journal != NULL)
        return fmc_say_error(
            FMC_USAGE, "a kernel's results lie in memory, which ends with the command",
            "%s is a kernel: --journal is for functions of your own, and -e", k->name);
    if (run || o->n_inputs == k->n_columns || takes_table(k, o->n_inputs))
        return FMC_DONE;
    if (k->n_columns == 0)
        return fmc_say_error(
            FMC_USAGE,
            "it runs over a range, whose length follows from its --arg (`forkmap kernels`)",
            "%s takes no INPUT", k->name);
    char remedy[120];
    snprintf(remedy, sizeof remedy, "`forkmap run %s` takes its default input", k->name);
    return fmc_say_error(FMC_USAGE, remedy, "%s takes %d INPUT, not %d", k->name, k->n_columns,
                         o->n_inputs);
}

static int check_own_words(const struct fmc_options *o)
{
    if (o->verify || o->compare)
        return fmc_say_error(FMC_USAGE, "`forkmap kernels` lists what can be verified and compared",
                             "%s: --verify and --compare are for kernels", o->function);
    if (o->n_inputs == 0)
        return fmc_say_error(FMC_USAGE,
                             "an INPUT is x.npy, raw:f4:65536x6:F:x.bin, or range:0:1000",
                             "%s: no INPUT to map it over", o->function);
    if (o->expression)
        return FMC_DONE;
    if (o->n_inputs > 1 && !o->star)
        return fmc_say_error(FMC_USAGE, "--star takes several inputs as the columns of one map",
                             "%s: %d inputs for a function of one", o->function, o->n_inputs);
    if (o->out_spec == NULL)
        return fmc_say_error(FMC_USAGE, out_remedy, "%s: --out is missing", o->function);
    return FMC_DONE;
}

static int check_expression_words(const struct fmc_options *o)
{
    if (o->chunk_fn || o->star)
        return fmc_say_error(FMC_USAGE, "-e knows how to take its inputs",
                             "-e: --chunk-fn and --star are for functions in libraries");
    if (o->n_loads > 0)
        return fmc_say_error(FMC_USAGE, "leave it out", "-e: --load is for kernels in libraries");
    return check_own_words(o);
}

/* Records that replace an input, the library or the output are a slip of the pen. */
static int check_apart(const struct fmc_job *job, const char *option, const char *file)
{
    const char *same = NULL;
    if (file == NULL)
        return FMC_DONE;
    for (int i = 0; i < job->n_inputs; i++)
        if (job->inputs[i].path != NULL && fmc_failures_same_file(file, job->inputs[i].path))
            same = "an INPUT";
    if (job->function.path != NULL && fmc_failures_same_file(file, job->function.path))
        same = "the library";
    for (int i = 0; i < job->options->n_loads; i++)
        if (fmc_failures_same_file(file, job->options->loads[i]))
            same = "a library of --load";
    if (job->options->output != NULL && fmc_failures_same_file(file, job->options->output))
        same = "the output";
    if (same == NULL)
        return FMC_DONE;
    return fmc_say_error(FMC_USAGE,
                         strcmp(option, "--journal") == 0 ? "give it a file of its own"
                                                          : "give the records a file of their own",
                         "%s %s: it is %s", option, file, same);
}

/* What goes on later needs its inputs as they were; and a journal is nothing else. */
static int check_journal(const struct fmc_job *job)
{
    const struct fmc_options *o = job->options;
    const char *journal = o->map.journal;
    if (journal == NULL)
        return FMC_DONE;
    for (int i = 0; i < job->n_inputs && o->output != NULL; i++)
        if (job->inputs[i].path != NULL && fmc_failures_same_file(o->output, job->inputs[i].path))
            return fmc_say_error(FMC_USAGE, "what goes on needs its INPUT as it was",
                                 "-o %s: with --journal it must not be an INPUT", o->output);
    if ((o->failures != NULL && fmc_failures_same_file(journal, o->failures)) ||
        (o->joblog != NULL && fmc_failures_same_file(journal, o->joblog)))
        return fmc_say_error(FMC_USAGE, "give it a file of its own",
                             "--journal %s: it is the file of --failures or --joblog", journal);
    return check_apart(job, "--journal", journal);
}

static int check_files(const struct fmc_job *job)
{
    const struct fmc_options *o = job->options;
    int rc = check_apart(job, "--failures", o->failures);
    if (rc == FMC_DONE)
        rc = check_apart(job, "--joblog", o->joblog);
    if (rc == FMC_DONE && o->joblog != NULL && o->failures != NULL &&
        fmc_failures_same_file(o->joblog, o->failures))
        rc = fmc_say_error(FMC_USAGE, "give it a file of its own",
                           "--joblog %s: it is the file of --failures", o->joblog);
    return rc == FMC_DONE ? check_journal(job) : rc;
}

static int is_called_npy(const char *file)
{
    const size_t n = strlen(file);
    return n > 4 && strcmp(file + n - 4, ".npy") == 0;
}

/* What stands there and neither is a .npy file nor is called one was not made by this command: to lose it would hurt. */
static int check_output(const struct fmc_job *job)
{
    const char *file = job->options->output;
    struct stat st;
    char magic[6] = "";
    if (file == NULL || is_called_npy(file) || stat(file, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size == 0 || strncmp(file, "/dev/", strlen("/dev/")) == 0 ||
        strncmp(file, "/proc/", strlen("/proc/")) == 0)
        return FMC_DONE;
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    const int is_known = fd >= 0 && read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
                         memcmp(magic, "\x93NUMPY", sizeof magic) == 0;
    if (fd >= 0)
        close(fd);
    if (is_known || fd < 0) /* what may not be read is not written either, which is told later */
        return FMC_DONE;
    return fmc_say_error(FMC_USAGE, "remove it first, or give the results another name",
                         "-o %s: it is there, and is no .npy file", file);
}

static int parse_expression(struct fmc_job *job)
{
    const struct fmc_options *o = job->options;
    const int rc = check_expression_words(o);
    job->function.text = o->function;
    return rc != FMC_DONE ? rc
                          : fmc_expression_parse(&job->expression, o->function, o->n_inputs,
                                                 o->args, o->out_spec, &job->rows);
}

static int parse_function(struct fmc_job *job, int run)
{
    const struct fmc_options *o = job->options;
    int rc = fmc_plugin_load(o->loads, o->n_loads);
    if (rc == FMC_DONE)
        rc = run ? fmc_function_find_kernel(&job->function, o->function)
                 : fmc_function_find(&job->function, o->function);
    if (rc != FMC_DONE)
        return rc;
    if (job->function.kernel != NULL)
        return check_kernel_words(o, job->function.kernel, run);
    rc = check_own_words(o);
    return rc == FMC_DONE ? fmc_output_parse(&job->rows, o->out_spec) : rc;
}

static int parse_words(struct fmc_job *job, int run)
{
    const struct fmc_options *o = job->options;
    int rc = o->expression ? parse_expression(job) : parse_function(job, run);
    if (rc != FMC_DONE)
        return rc;
    if (job->function.kernel == NULL && !o->print_source && job->rows.none != (o->output == NULL))
        return fmc_say_error(FMC_USAGE, out_remedy,
                             job->rows.none ? "%s: --out none leaves nothing for -o"
                                            : "%s: -o is missing",
                             o->function);
    while (job->n_inputs < o->n_inputs && rc == FMC_DONE) {
        rc = fmc_input_parse(&job->inputs[job->n_inputs], o->inputs[job->n_inputs]);
        job->n_inputs++;
    }
    if (rc == FMC_DONE)
        rc = check_output(job);
    return rc == FMC_DONE ? check_files(job) : rc;
}

/* A function of one pointer per column, or of one for a single input. */
static int takes_columns(const struct fmc_job *job)
{
    return job->options->star || (job->options->expression && job->n_inputs > 1);
}

static int open_inputs(struct fmc_job *job)
{
    const struct fmc_pick *pick = &job->options->pick;
    int rc = FMC_DONE, n_csv = 0;
    for (int i = 0; i < job->n_inputs && rc == FMC_DONE; i++) {
        rc = fmc_input_open(&job->inputs[i], pick);
        n_csv += job->inputs[i].is_csv;
        if (job->inputs[i].note != NULL && !job->options->quiet && !job->options->json)
            fprintf(stderr, "%s\n", job->inputs[i].note);
    }
    if (rc == FMC_DONE && pick->missing != 0 && n_csv == 0)
        rc = fmc_say_error(FMC_USAGE, "leave it out", "--missing is for CSV, and no INPUT is CSV");
    if (rc == FMC_DONE && pick->missing == FMC_MISSING_SKIP && job->n_inputs > 1)
        rc = fmc_say_error(FMC_USAGE, "--missing nan keeps their rows side by side",
                           "--missing skip: several INPUT may lose different rows");
    return rc;
}

static int refuse_table(const struct fmc_input *table, const struct fmk_kernel *k)
{
    char remedy[240] = "the columns are, in this order";
    for (int i = 0; i < k->n_columns; i++) {
        const size_t used = strlen(remedy);
        snprintf(remedy + used, sizeof remedy - used, "%s %s", i > 0 ? "," : ":",
                 k->columns[i].name);
    }
    const int64_t n = fm_array_ndim(table->array) == 1 ? 1 : fm_array_shape(table->array)[1];
    return fmc_say_error(FMC_USAGE, remedy, "%s: %s takes %d columns, not %" PRId64, table->text,
                         k->name, k->n_columns, n);
}

/* Column i of the one input becomes input i. */
static int split_table(struct fmc_job *job)
{
    const struct fmk_kernel *k = job->function.kernel;
    struct fmc_input *table = &job->inputs[0];
    fm_array *whole = table->array;
    int rc = FMC_DONE;
    if (k == NULL || !takes_table(k, job->n_inputs))
        return FMC_DONE;
    if (fm_array_ndim(whole) != 2 || fm_array_shape(whole)[1] != k->n_columns)
        return refuse_table(table, k);
    for (int i = 0; i < k->n_columns && rc == FMC_DONE; i++) {
        struct fmc_input *column = &job->inputs[i];
        if (i > 0)
            *column = (struct fmc_input){.text = table->text,
                                         .path = table->path,
                                         .is_csv = table->is_csv,
                                         .rows_taken = table->rows_taken};
        column->array = NULL;
        rc = fmc_pick_column(table->text, whole, i, &column->array);
        job->n_inputs = i + 1;
    }
    fm_array_destroy(whole);
    return rc;
}

/* Before rows are picked. */
static int64_t count_rows(const struct fmc_input *input)
{
    return input->rows_taken > 0 ? input->rows_taken : fmc_input_len(input);
}

/* An input of one row beside longer ones is for every item, whichever rows are taken. */
static int take_rows(struct fmc_job *job)
{
    const int as_columns = takes_columns(job) || job->function.kernel != NULL;
    const struct fmk_kernel *kernel = job->function.kernel;
    struct fmc_pick broadcast = job->options->pick;
    int64_t most = 0;
    int rc = FMC_DONE;
    broadcast.rows = NULL;
    broadcast.repeat = 1;
    for (int i = 0; i < job->n_inputs; i++)
        if (count_rows(&job->inputs[i]) > most)
            most = count_rows(&job->inputs[i]);
    for (int i = 0; i < job->n_inputs && rc == FMC_DONE; i++) {
        const int is_broadcast = takes_columns(job) && most > 1 && count_rows(&job->inputs[i]) == 1;
        rc = fmc_input_take(&job->inputs[i], is_broadcast ? &broadcast : &job->options->pick,
                            as_columns, kernel != NULL ? kernel->columns[i].dtype : 0);
    }
    return rc;
}

/* The items are the rows of the longest column: those of one row are broadcast, others must agree. */
static int count_items(struct fmc_job *job)
{
    job->n = fmc_input_len(&job->inputs[0]);
    for (int i = 1; i < job->n_inputs; i++) {
        const int64_t n = fmc_input_len(&job->inputs[i]);
        if (job->n == 1)
            job->n = n;
        if (n != job->n && n != 1)
            return fmc_say_error(FMC_USAGE,
                                 "columns have the same number of rows, or one row for all items",
                                 "%s has %" PRId64 " rows, and a column before it %" PRId64,
                                 job->inputs[i].text, n, job->n);
    }
    return FMC_DONE;
}

static int prepare_kernel(struct fmc_job *job)
{
    const struct fmk_kernel *kernel = job->function.kernel;
    fm_array *columns[FM_MAX_COLUMNS];
    for (int i = 0; i < job->n_inputs; i++)
        columns[i] = job->inputs[i].array;
    const int code = fmk_prepare(&job->problem, kernel, job->options->args,
                                 job->n_inputs > 0 ? columns : NULL, job->n_inputs);
    if (code != 0)
        return fmc_say_code(code, kernel->name,
                            code == -EINVAL
                                ? "`forkmap kernels` shows its columns and parameters; --as "
                                  "DTYPE converts an INPUT"
                                : NULL);
    job->prepared = 1;
    job->n = job->problem.n;
    job->out = job->problem.out;
    return FMC_DONE;
}

/* One text for all --arg: copied by value into the job, it means the same in every process. */
static int write_arg(struct fmc_job *job)
{
    FILE *text = open_memstream(&job->arg, &job->arg_bytes);
    if (text == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for --arg");
    for (int i = 0; i < job->options->n_args; i++)
        fprintf(text, "%s=%s\n", job->options->args[i].key, job->options->args[i].value);
    if (fclose(text) != 0)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for --arg");
    job->arg_bytes++; /* with its NUL */
    return FMC_DONE;
}

static int prepare_expression(struct fmc_job *job)
{
    const struct fmc_expr_inputs in = {job->inputs, job->n_inputs, job->n};
    if (job->options->print_source)
        return fmc_expression_print(&job->expression, &in, &job->rows);
    const int rc = fmc_expression_load(&job->expression, &job->function, &in, &job->rows);
    if (rc != FMC_DONE)
        return rc;
    job->arg = fmc_expr_argument(&job->expression.expr, &in, &job->arg_bytes);
    return job->arg != NULL ? FMC_DONE : fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
}

static int prepare_own(struct fmc_job *job)
{
    int rc = count_items(job);
    if (rc == FMC_DONE)
        rc = job->options->expression ? prepare_expression(job) : write_arg(job);
    return rc;
}

static void look_at_arrays(struct fmc_job *job)
{
    fmc_output_look(&job->seen_out, job->out);
    fmc_output_look(&job->seen_status, job->status);
    for (int i = 0; i < job->n_inputs; i++)
        fmc_output_look(&job->seen_in[i], job->inputs[i].array);
}

int fmc_job_prepare(struct fmc_job *job, const struct fmc_options *options, int run)
{
    *job = (struct fmc_job){.options = options};
    int rc = parse_words(job, run);
    if (rc == FMC_DONE)
        rc = open_inputs(job);
    if (rc == FMC_DONE)
        rc = split_table(job);
    if (rc == FMC_DONE)
        rc = take_rows(job);
    if (rc == FMC_DONE)
        rc = job->function.kernel != NULL ? prepare_kernel(job) : prepare_own(job);
    return rc;
}

int fmc_job_open_output(struct fmc_job *job, struct fmc_output *output)
{
    const struct fmc_options *options = job->options;
    int rc = FMC_DONE;
    if (options->output != NULL && options->map.journal != NULL)
        rc = fmc_output_open_part(output, options->output, options->map.journal, &job->rows, job->n,
                                  &job->out);
    else if (options->output != NULL)
        rc = job->out != NULL ? fmc_output_reserve(output, options->output, job->out)
                              : fmc_output_open(output, options->output, options->pick.map,
                                                &job->rows, job->n, &job->out);
    if (rc == FMC_DONE && options->map.on_error == FM_ON_ERROR_CONTINUE) {
        const int code = fm_array_zeros(&job->status, FM_U8, 1, &job->n);
        if (code != 0)
            rc = fmc_say_code(code, "one status byte per item", NULL);
    }
    if (rc == FMC_DONE)
        look_at_arrays(job);
    return rc;
}

int fmc_job_is_intact(const struct fmc_job *job)
{
    int intact = fmc_output_is_as_seen(&job->seen_out, job->out) &&
                 fmc_output_is_as_seen(&job->seen_status, job->status);
    for (int i = 0; i < job->n_inputs; i++)
        intact = intact && fmc_output_is_as_seen(&job->seen_in[i], job->inputs[i].array);
    return intact;
}

fm_map_opts fmc_job_map_opts(const struct fmc_job *job)
{
    fm_map_opts opts = job->options->map;
    opts.arg = job->arg;
    opts.arg_bytes = job->arg_bytes;
    return opts;
}

static int map_own(struct fmc_job *job, fm_pool *pool, const fm_map_opts *opts)
{
    const int chunks = job->options->chunk_fn || job->options->expression;
    const struct fmc_function *f = &job->function;
    const struct fmc_input *in = &job->inputs[0];
    fm_array *columns[FM_MAX_COLUMNS];
    for (int i = 0; i < job->n_inputs; i++)
        columns[i] = job->inputs[i].array;
    if (takes_columns(job))
        return chunks ? fm_pool_starmap_chunks(pool, f->code.chunk, columns, job->n_inputs,
                                               job->out, opts)
                      : fm_pool_starmap(pool, f->code.star, columns, job->n_inputs, job->out, opts);
    if (in->array == NULL)
        return chunks ? fm_pool_map_range_chunks(pool, f->code.chunk, in->begin, in->end, job->out,
                                                 opts)
                      : fm_pool_map_range(pool, f->code.item, in->begin, in->end, job->out, opts);
    return chunks ? fm_pool_map_chunks(pool, f->code.chunk, in->array, job->out, opts)
                  : fm_pool_map(pool, f->code.item, in->array, job->out, opts);
}

int fmc_job_map(struct fmc_job *job, fm_pool *pool, fm_map_opts *opts)
{
    return job->function.kernel != NULL ? fmk_run_forkmap(&job->problem, pool, opts)
                                        : map_own(job, pool, opts);
}

void fmc_job_release_arrays(struct fmc_job *job)
{
    if (job->prepared)
        fmk_release(&job->problem);
    else
        fm_array_destroy(job->out);
    fm_array_destroy(job->status);
    for (int i = 0; i < job->n_inputs; i++)
        fmc_input_close(&job->inputs[i]);
}

void fmc_job_release(struct fmc_job *job)
{
    fmc_function_close(&job->function);
    fmc_expression_release(&job->expression);
    free(job->arg);
}
