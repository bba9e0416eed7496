/* SPDX-License-Identifier: MIT */
/* Inputs: files and ranges. */
#include "input.h"

#include "say.h"
#include "values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char range_remedy[] =
    "a range is range:BEGIN:END with whole numbers, BEGIN <= END, as in range:0:1000000";
static const char raw_remedy[] =
    "raw binary is raw:DTYPE:SHAPE[:ORDER]:PATH, as in raw:f4:65536x6:F:poses.in";

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

int fmc_input_parse(struct fmc_input *input, const char *text)
{
    *input = (struct fmc_input){.text = text};
    if (strncmp(text, "range:", strlen("range:")) == 0)
        return parse_range(input);
    if (strncmp(text, "raw:", strlen("raw:")) == 0)
        return parse_raw(input);
    input->path = text;
    return FMC_DONE;
}

int fmc_input_open(struct fmc_input *input)
{
    if (input->path == NULL)
        return FMC_DONE;
    const int code = input->spec != NULL ? fm_raw_load(input->path, input->spec, &input->array)
                                         : fm_npy_load(input->path, FM_NPY_READ, &input->array);
    if (code == 0)
        return FMC_DONE;
    /* A file whose numbers do not fit is a bad file; a description that cannot be is a bad word. */
    if (input->spec != NULL && (code == -EINVAL || code == -EOVERFLOW)) {
        const int told = strstr(fm_error_detail(), "raw:DTYPE:SHAPE") != NULL;
        fmc_say_code(code, input->text, told ? NULL : raw_remedy);
        return FMC_USAGE;
    }
    const char *remedy = NULL;
    if (code == FM_EFORMAT && input->spec == NULL)
        remedy =
            "an input is a .npy file of numbers, raw:DTYPE:SHAPE[:ORDER]:PATH, or range:BEGIN:END";
    else if (code == -ENOENT && input->spec != NULL && input->path[0] != '\0' &&
             input->path[1] == ':')
        remedy = "ORDER is C or F; what follows another letter is taken for the path";
    fmc_say_code(code, input->path, remedy);
    return FMC_ENVIRONMENT;
}

int fmc_input_open_column(struct fmc_input *input)
{
    if (input->path != NULL)
        return fmc_input_open(input);
    const int64_t n = fmc_input_len(input);
    const int code = fm_array_create(&input->array, FM_I64, 1, &n, NULL);
    if (code != 0)
        return fmc_say_code(code, input->text, NULL);
    int64_t *numbers = fm_array_data(input->array);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = input->begin + i;
    return FMC_DONE;
}

int64_t fmc_input_len(const struct fmc_input *input)
{
    return input->path == NULL ? input->end - input->begin : fm_array_len(input->array);
}

void fmc_input_close(struct fmc_input *input)
{
    fm_array_destroy(input->array);
    input->array = NULL;
    free(input->spec);
    input->spec = NULL;
}
