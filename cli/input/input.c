/* SPDX-License-Identifier: MIT */
/* Inputs: files and ranges. */
#include "input.h"

#include "convert.h"
#include "csv.h"
#include "dataset.h"
#include "output.h"
#include "say.h"
#include "source.h"
#include "values.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char range_remedy[] =
    "a range is range:BEGIN:END with whole numbers, BEGIN <= END, as in range:0:1000000";
static const char raw_remedy[] =
    "raw binary is raw:DTYPE:SHAPE[:ORDER]:PATH, as in raw:f4:65536x6:F:poses.in";
static const char file_remedy[] =
    "an input is a .npy or .csv file, csv:PATH, FILE.h5:/DATASET, raw:DTYPE:SHAPE[:ORDER]:PATH, "
    "or range:BEGIN:END";

/* ---- words ---- */

static int parse_range(struct fmc_input *input)
{
    int64_t length;
    const char *begin = input->text + strlen("range:");
    const char *colon = strchr(begin, ':');
    char first[32];
    if (colon == NULL || (size_t)(colon - begin) >= sizeof first)
        return fmc_say_error(FMC_USAGE, range_remedy, "%s: not a range", input->text);
    memcpy(first, begin, (size_t)(colon - begin));
    first[colon - begin] = '\0';
    if (fmc_value_read_whole(first, &input->begin) != 0 ||
        fmc_value_read_whole(colon + 1, &input->end) != 0 || input->begin > input->end)
        return fmc_say_error(FMC_USAGE, range_remedy, "%s: not a range", input->text);
    if (__builtin_sub_overflow(input->end, input->begin, &length))
        return fmc_say_error(FMC_USAGE, "a range has at most 2^63 - 1 items",
                             "%s: the count overflows", input->text);
    return FMC_DONE;
}

/* The path is what is left: it may hold colons. */
static int parse_raw(struct fmc_input *input)
{
    const char *dtype = input->text + strlen("raw:");
    const char *shape = strchr(dtype, ':');
    const char *rest = shape != NULL ? strchr(shape + 1, ':') : NULL;
    if (rest != NULL && (rest[1] == 'C' || rest[1] == 'F') && rest[2] == ':')
        rest += 2;
    if (rest == NULL || rest[1] == '\0')
        return fmc_say_error(FMC_USAGE, raw_remedy, "%s: not a description of raw binary",
                             input->text);
    input->spec = strndup(input->text, (size_t)(rest - input->text));
    if (input->spec == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: out of memory", input->text);
    input->path = rest + 1;
    return FMC_DONE;
}

/* Takes `word` and its colon off the front of *text. */
static int take_word(const char **text, const char *word)
{
    const size_t n = strlen(word);
    if (strncmp(*text, word, n) != 0 || (*text)[n] != ':')
        return 0;
    *text += n + 1;
    return 1;
}

static int parse_csv(struct fmc_input *input)
{
    static const struct {
        const char *word;
        char separator;
    } separators[] = {{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}};
    const char *text = input->text + strlen("csv:");
    int found = 1;
    while (found) {
        found = take_word(&text, "noheader");
        input->no_header |= found;
        for (size_t i = 0; i < sizeof separators / sizeof separators[0]; i++)
            if (take_word(&text, separators[i].word)) {
                input->separator = separators[i].separator;
                found = 1;
            }
    }
    input->path = text;
    input->is_csv = 1;
    if (*text != '\0')
        return FMC_DONE;
    return fmc_say_error(FMC_USAGE,
                         "it is csv[:comma|:semicolon|:tab][:noheader]:PATH, as in "
                         "csv:semicolon:prices.txt",
                         "%s: no path", input->text);
}

static int ends_in(const char *text, size_t n, const char *ending)
{
    const size_t m = strlen(ending);
    return n > m && strncmp(text + n - m, ending, m) == 0;
}

/* "file.h5:/group/data": what stands before the colon must be a file, or be called like one. */
static int parse_path(struct fmc_input *input)
{
    input->path = input->text;
    if (access(input->text, F_OK) == 0)
        return FMC_DONE;
    for (const char *p = strstr(input->text, ":/"); p != NULL; p = strstr(p + 1, ":/")) {
        const size_t n = (size_t)(p - input->text);
        char *file = strndup(input->text, n);
        if (file == NULL)
            return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: out of memory", input->text);
        if (access(file, F_OK) == 0 || ends_in(file, n, ".h5") || ends_in(file, n, ".hdf5")) {
            input->path = input->own_path = file;
            input->dataset = p + 1;
            return FMC_DONE;
        }
        free(file);
    }
    return FMC_DONE;
}

int fmc_input_parse(struct fmc_input *input, const char *text)
{
    *input = (struct fmc_input){.text = text};
    if (strncmp(text, "range:", strlen("range:")) == 0)
        return parse_range(input);
    if (strncmp(text, "raw:", strlen("raw:")) == 0)
        return parse_raw(input);
    if (strncmp(text, "csv:", strlen("csv:")) == 0)
        return parse_csv(input);
    return parse_path(input);
}

/* ---- files ---- */

static int is_to_map(const struct fmc_pick *pick, const struct fmc_source *source)
{
    struct stat st;
    return fstat(source->fd, &st) == 0 && S_ISREG(st.st_mode) &&
           fmc_output_is_to_map(pick->map, (size_t)st.st_size);
}

/* What cannot be mapped, because of its byte order for one, is copied. */
static int open_array(struct fmc_input *input, const struct fmc_pick *pick,
                      const struct fmc_source *source)
{
    int mode = is_to_map(pick, source) ? FM_NPY_MAP : FM_NPY_READ;
    for (;;) {
        const int code = input->spec != NULL
                             ? fm_raw_open(source->opened, input->spec, mode, &input->array)
                             : fm_npy_load(source->opened, mode, &input->array);
        if (code == 0 || mode == FM_NPY_READ || (code != -EINVAL && pick->map == FMC_MAP_ALWAYS))
            return code;
        mode = FM_NPY_READ;
    }
}

static int load_raw(struct fmc_input *input, const struct fmc_pick *pick,
                    const struct fmc_source *source)
{
    const int code = open_array(input, pick, source);
    if (code == 0)
        return FMC_DONE;
    /* A file whose numbers do not fit is a bad file; a description that cannot be is a bad word. */
    if (code == -EINVAL || code == -EOVERFLOW) {
        const int told = strstr(fm_error_detail(), "raw:DTYPE:SHAPE") != NULL;
        fmc_say_code(code, input->text, told ? NULL : raw_remedy);
        return FMC_USAGE;
    }
    fmc_say_file_code(code, input->path, source->opened, NULL);
    return FMC_ENVIRONMENT;
}

static int load_npy(struct fmc_input *input, const struct fmc_pick *pick,
                    const struct fmc_source *source)
{
    const int code = open_array(input, pick, source);
    if (code != 0)
        fmc_say_file_code(code, input->path, source->opened,
                          code == FM_EFORMAT ? file_remedy : NULL);
    return code == 0 ? FMC_DONE : FMC_ENVIRONMENT;
}

static int say_trouble(const struct fmc_trouble *trouble)
{
    return fmc_say_error(trouble->exit_code, trouble->remedy[0] != '\0' ? trouble->remedy : NULL,
                         "%s", trouble->text);
}

static int load_csv(struct fmc_input *input, const struct fmc_pick *pick,
                    const struct fmc_source *source)
{
    struct fmc_trouble error;
    const struct fmc_csv_options options = {.separator = input->separator,
                                            .no_header = input->no_header,
                                            .choice = pick->columns,
                                            .missing = pick->missing,
                                            .value = pick->missing_value};
    const int rc = fmc_csv_read(source->fd, input->path, &options, &input->array, &error);
    input->is_csv = 1;
    if (rc == FMC_DONE && error.note[0] != '\0')
        input->note = strdup(error.note); /* without memory there is none */
    if (rc == FMC_DONE)
        return FMC_DONE;
    return say_trouble(&error);
}

static int load_dataset(struct fmc_input *input, const struct fmc_pick *pick,
                        const struct fmc_source *source)
{
    struct fmc_trouble trouble;
    struct fmc_dataset_rows rows = {.pick = pick};
    if (source->kind != FMC_KIND_HDF5 && source->kind != FMC_KIND_OTHER)
        return fmc_say_error(FMC_ENVIRONMENT, "leave the dataset out",
                             "%s: no HDF5 file, so it has no dataset %s", input->path,
                             input->dataset);
    const int rc = fmc_dataset_load(source, input->dataset, &rows, &input->array, &trouble);
    input->rows_taken = rows.taken;
    return rc == FMC_DONE ? FMC_DONE : say_trouble(&trouble);
}

static int load(struct fmc_input *input, const struct fmc_pick *pick,
                const struct fmc_source *source)
{
    int rc;
    if (input->is_csv ||
        (input->spec == NULL && input->dataset == NULL && source->kind == FMC_KIND_CSV))
        return load_csv(input, pick, source); /* has picked its columns */
    if (input->spec == NULL && source->kind == FMC_KIND_ZIP)
        return fmc_say_error(FMC_ENVIRONMENT,
                             "unzip it: each array of a .npz archive is a .npy file in it",
                             "%s: a zip archive of several files", input->path);
    if (input->spec != NULL)
        rc = load_raw(input, pick, source);
    else if (input->dataset != NULL || source->kind == FMC_KIND_HDF5)
        rc = load_dataset(input, pick, source);
    else
        rc = load_npy(input, pick, source);
    if (rc == FMC_DONE && pick->columns != NULL)
        rc = fmc_pick_apply_columns(pick, input->text, &input->array);
    return rc;
}

static int open_file(struct fmc_input *input, const struct fmc_pick *pick)
{
    struct fmc_source source;
    const int has_letter = input->spec != NULL && input->path[0] != '\0' && input->path[1] == ':';
    int rc = fmc_source_open(
        &source, input->path, input->spec != NULL,
        has_letter ? "ORDER is C or F; what follows another letter is taken for the path" : NULL);
    if (rc == FMC_DONE)
        rc = load(input, pick, &source);
    fmc_source_close(&source);
    return rc;
}

/* ---- ranges ---- */

static int make_column(struct fmc_input *input)
{
    const int64_t n = fmc_input_len(input);
    const int code = fm_array_create(&input->array, FM_I64, 1, &n, NULL);
    if (code != 0)
        return fmc_say_code(code, input->text, NULL);
    int64_t *numbers = fm_array_data(input->array);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = input->begin + i;
    return FMC_DONE;
}

static int take_range(struct fmc_input *input, const struct fmc_pick *pick, int is_array)
{
    int64_t begin, end;
    const int rc = fmc_pick_rows(pick, input->text, fmc_input_len(input), &begin, &end);
    if (rc != FMC_DONE)
        return rc;
    input->end = input->begin + end;
    input->begin += begin;
    return is_array ? make_column(input) : FMC_DONE;
}

/* ---- both ---- */

/* A CSV file's numbers are doubles, which do not hold every integer from 2^53 on: an id must not become its neighbour. */
static int check_exact(const struct fmc_input *input, fm_dtype to)
{
    const char kind = (char)(to >> 24);
    const double *values = fm_array_data(input->array);
    const int64_t n = fm_array_count(input->array), n_rows = fm_array_len(input->array);
    if (kind != 'i' && kind != 'u')
        return FMC_DONE;
    for (int64_t i = 0; i < n; i++)
        if (fabs(values[i]) >= 0x1p53) /* 2^53 may have been 2^53 + 1 */
            return fmc_say_error(FMC_ENVIRONMENT, "read as doubles, integers are exact below 2^53",
                                 "%s: row %" PRId64 ": %.17g is too large for an exact integer",
                                 input->text, i / (n / n_rows), values[i]);
    return FMC_DONE;
}

int fmc_input_open(struct fmc_input *input, const struct fmc_pick *pick)
{
    if (input->path != NULL)
        return open_file(input, pick);
    if (pick->columns == NULL)
        return FMC_DONE;
    return fmc_say_error(FMC_USAGE, "--rows takes a part of it", "--columns %s: %s has no columns",
                         pick->columns, input->text);
}

int fmc_input_take(struct fmc_input *input, const struct fmc_pick *pick, int as_column,
                   fm_dtype csv_type)
{
    const fm_dtype type = pick->as != 0 ? pick->as : input->is_csv ? csv_type : 0;
    int rc = input->rows_taken > 0 ? FMC_DONE
             : input->path != NULL
                 ? fmc_pick_apply_rows(pick, input->text, &input->array)
                 : take_range(input, pick, as_column || pick->repeat > 1 || type != 0);
    if (rc == FMC_DONE && input->is_csv)
        rc = check_exact(input, type);
    if (rc == FMC_DONE && type != 0)
        rc = fmc_convert(input->text, &input->array, type);
    if (rc == FMC_DONE && input->array != NULL)
        rc = fmc_pick_apply_repeat(pick, input->text, &input->array);
    return rc;
}

int64_t fmc_input_len(const struct fmc_input *input)
{
    return input->array == NULL ? input->end - input->begin : fm_array_len(input->array);
}

void fmc_input_close(struct fmc_input *input)
{
    fm_array_destroy(input->array);
    input->array = NULL;
    free(input->spec);
    input->spec = NULL;
    free(input->own_path);
    input->own_path = NULL;
    free(input->note);
    input->note = NULL;
}
