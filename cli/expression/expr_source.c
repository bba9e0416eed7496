/* SPDX-License-Identifier: MIT */
/*
 * Writes the C text of a chunk function:
 *
 *     struct fm_chunk, with its layout checked     int fm_entry(chunk, argument)
 *     conversion of results to whole numbers           constants, --arg
 *                                                      for each item: elements, expressions, stores
 *
 * Strides are constants in the text, so that the compiler sees packed rows as such.
 */
#include "expr_source.h"

#include "expr_names.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of whole numbers: their limits in C, and the first doubles beyond or at them. */
static const struct c_type {
    fm_dtype dtype;
    const char *name, *least, *most, *low, *high;
} c_types[] = {
    {FM_F64, "double", NULL, NULL, NULL, NULL},
    {FM_F32, "float", NULL, NULL, NULL, NULL},
    {FM_I8, "int8_t", "INT8_MIN", "INT8_MAX", "-0x1p7", "0x1p7"},
    {FM_I16, "int16_t", "INT16_MIN", "INT16_MAX", "-0x1p15", "0x1p15"},
    {FM_I32, "int32_t", "INT32_MIN", "INT32_MAX", "-0x1p31", "0x1p31"},
    {FM_I64, "int64_t", "INT64_MIN", "INT64_MAX", "-0x1p63", "0x1p63"},
    {FM_U8, "uint8_t", "0", "UINT8_MAX", "0", "0x1p8"},
    {FM_U16, "uint16_t", "0", "UINT16_MAX", "0", "0x1p16"},
    {FM_U32, "uint32_t", "0", "UINT32_MAX", "0", "0x1p32"},
    {FM_U64, "uint64_t", "0", "UINT64_MAX", "0", "0x1p64"},
    {FM_BOOL, "uint8_t", NULL, NULL, NULL, NULL},
    {FM_C64, "float _Complex", NULL, NULL, NULL, NULL},
    {FM_C128, "double _Complex", NULL, NULL, NULL, NULL},
};

static const struct c_type *find_type(fm_dtype dtype)
{
    for (size_t i = 0; i < sizeof c_types / sizeof c_types[0]; i++)
        if (c_types[i].dtype == dtype)
            return &c_types[i];
    return NULL;
}

static int is_complex(fm_dtype dtype)
{
    return dtype == FM_C64 || dtype == FM_C128;
}

/* Of n0, the type that keeps every number of the file; NULL: these are no whole numbers. */
static const char *whole_type(fm_dtype dtype)
{
    const struct c_type *type = find_type(dtype);
    if (dtype == FM_U64)
        return "uint64_t";
    return type != NULL && (type->low != NULL || dtype == FM_BOOL) ? "int64_t" : NULL;
}

static fm_dtype input_dtype(const struct fmc_input *input)
{
    return input->array != NULL ? fm_array_dtype(input->array) : FM_I64;
}

static int64_t count_elements(const struct fmc_rows *rows)
{
    int64_t n = 1;
    for (int d = 0; d < rows->ndim; d++)
        if (__builtin_mul_overflow(n, rows->shape[d], &n))
            return INT64_MAX;
    return n;
}

/* ---- checks ----------------------------------------------------------------------------------- */

static void write_shape(const fm_array *a, char *text, size_t cap)
{
    size_t used = 0;
    text[0] = '\0';
    for (int d = 1; d < fm_array_ndim(a) && used < cap; d++)
        used += (size_t)snprintf(text + used, cap - used, "%s%" PRId64, d > 1 ? "x" : "",
                                 fm_array_shape(a)[d]);
}

/* An element without an index is that of a row that has no other. */
static int check_element(const struct fmc_expr *e, const struct fmc_expr_element *element,
                         const struct fmc_input *input)
{
    const fm_array *a = input->array;
    const int at = element->name.begin, axes = a != NULL ? fm_array_ndim(a) - 1 : 0;
    char shape[120];
    if (axes == 0 && element->n_index > 0)
        return fmc_expr_refuse(e, at, "leave the index away", "%s has one number per item",
                               input->text);
    if (axes == 0)
        return FMC_DONE;
    write_shape(a, shape, sizeof shape);
    if (element->n_index == 0 && fm_array_row_bytes(a) == fm_dtype_bytes(fm_array_dtype(a)))
        return FMC_DONE;
    if (element->n_index != axes)
        return fmc_expr_refuse(e, at, axes > 1 ? "as in x0[1][2]" : "as in x0[2]",
                               "the rows of %s have %s elements: this needs %d index%s",
                               input->text, shape, axes, axes > 1 ? "es" : "");
    for (int d = 0; d < axes; d++)
        if (element->index[d] >= fm_array_shape(a)[d + 1])
            return fmc_expr_refuse(e, at, "indexes begin at 0",
                                   "the rows of %s have %s elements: there is no %" PRId64,
                                   input->text, shape, element->index[d]);
    return FMC_DONE;
}

int fmc_expr_check_types(const struct fmc_expr *e, const struct fmc_expr_inputs *in,
                         const struct fmc_rows *rows)
{
    char type[24];
    for (int k = 0; k < e->n_elements; k++) {
        const struct fmc_input *input = &in->inputs[e->elements[k].input];
        fm_dtype_name(input_dtype(input), type, sizeof type);
        if (find_type(input_dtype(input)) == NULL)
            return fmc_expr_refuse(e, e->elements[k].name.begin,
                                   "records need a function in C: PATH.so:SYMBOL",
                                   "%s has records (%s), not numbers", input->text, type);
        if (e->elements[k].is_whole && whole_type(input_dtype(input)) == NULL)
            return fmc_expr_refuse(e, e->elements[k].name.begin,
                                   "take x0, or a cast as in (int64_t)x0",
                                   "%s has no whole numbers but %s", input->text, type);
        const int rc = check_element(e, &e->elements[k], input);
        if (rc != FMC_DONE)
            return rc;
    }
    fm_dtype_name(rows->dtype, type, sizeof type);
    if (find_type(rows->dtype) == NULL)
        return fmc_say_error(FMC_USAGE, "as in --out f8, f4, i8, u1, c16",
                             "--out %s: the results of -e are numbers", type);
    if (count_elements(rows) != e->n_results)
        return fmc_say_error(FMC_USAGE,
                             "results are separated by semicolons; --out f8 takes as many "
                             "as there are",
                             "--out: a row of %" PRId64 " numbers for %d result%s of -e",
                             count_elements(rows), e->n_results, e->n_results == 1 ? "" : "s");
    return FMC_DONE;
}

/* ---- the text --------------------------------------------------------------------------------- */

struct writer {
    FILE *to;
    const struct fmc_expr *e;
    const struct fmc_expr_inputs *in;
    const struct fmc_rows *rows;
    int has_complex;
};

static int uses_complex(const struct writer *w)
{
    int found = w->e->uses_complex || is_complex(w->rows->dtype);
    for (int k = 0; k < w->e->n_elements; k++)
        found = found || is_complex(input_dtype(&w->in->inputs[w->e->elements[k].input]));
    return found;
}

/* A header of another version cannot have been meant: the layout is this command's own. */
static void write_chunk(const struct writer *w)
{
    fprintf(w->to,
            "struct fm_chunk {\n"
            "    int64_t begin, count;\n"
            "    int n_in;\n"
            "    const void *in[%d];\n"
            "    int64_t in_stride[%d];\n"
            "    const void *in_array[%d];\n"
            "    void *out;\n"
            "    int64_t out_stride;\n"
            "    const void *out_array;\n"
            "};\n",
            FM_MAX_COLUMNS, FM_MAX_COLUMNS, FM_MAX_COLUMNS);
    fprintf(
        w->to,
        "_Static_assert(sizeof(struct fm_chunk) == %zu && offsetof(struct fm_chunk, in) == %zu && "
        "offsetof(struct fm_chunk, out) == %zu, \"layout\");\n",
        sizeof(fm_chunk), offsetof(fm_chunk, in), offsetof(fm_chunk, out));
}

/* The same fields in the same order as fmc_expr_argument() writes them. No array has length 0. */
static void write_argument(const struct writer *w)
{
    fprintf(w->to,
            "struct fm_argument {\n"
            "    int64_t first;\n"
            "    int64_t offset[%d];\n"
            "    double value[%d];\n"
            "};\n",
            w->e->n_elements + 1, w->e->n_args + 1);
}

/* C leaves open what becomes of a double that does not fit, and a vector loop and its rest may differ. */
static void write_conversion(const struct writer *w)
{
    const struct c_type *type = find_type(w->rows->dtype);
    if (type->low == NULL)
        return;
    fprintf(w->to,
            "static inline %s fm_whole(double fm_v)\n"
            "{\n"
            "    return fm_v != fm_v ? 0 : fm_v >= %s ? %s : fm_v <= %s ? %s : (%s)fm_v;\n"
            "}\n",
            type->name, type->high, type->most, type->low, type->least, type->name);
}

/*
 * Of a shift too far, and of a double that does not fit the type of a cast, C leaves open what becomes: in a vector it is
 * something else than in the rest of the loop, and where the rest is follows from the chunks. So there is no vector.
 */
static void write_no_vectors(const struct writer *w)
{
    if (w->e->leaves_open)
        fprintf(w->to, "#ifndef __clang__\n"
                       "#pragma GCC optimize(\"no-tree-vectorize\", \"no-tree-slp-vectorize\")\n"
                       "#endif\n");
}

static void write_head(const struct writer *w)
{
    fprintf(w->to, "/* Written by forkmap map -e. */\n"
                   "#include <math.h>\n"
                   "#include <stddef.h>\n"
                   "#include <stdint.h>\n");
    if (w->has_complex)
        fprintf(w->to, "#include <tgmath.h>\n");
    write_chunk(w);
    write_argument(w);
    write_conversion(w);
    write_no_vectors(w);
    /* Headers and the compiler have macros of many names. What follows uses none but those of the expression. */
    for (int a = 0; a < w->e->n_args; a++)
        fprintf(w->to, "#undef %s\n", w->e->args[a].key);
}

/* 0: the same row for every item. */
static int64_t row_stride(const struct writer *w, int input)
{
    const fm_array *a = w->in->inputs[input].array;
    return fm_array_len(a) == 1 ? 0 : fm_array_strides(a)[0];
}

/* The same spelling is the same C name, declared once. */
static int is_first(const struct fmc_expr *e, int element)
{
    const struct fmc_expr_part *name = &e->elements[element].name;
    for (int k = 0; k < element; k++)
        if (e->elements[k].name.length == name->length &&
            strncmp(e->code + e->elements[k].name.begin, e->code + name->begin,
                    (size_t)name->length) == 0)
            return 0;
    return 1;
}

static void write_locals(const struct writer *w)
{
    const struct fmc_expr *e = w->e;
    fprintf(w->to, "    struct fm_argument fm_a;\n"
                   "    __builtin_memcpy(&fm_a, fm_argument, sizeof fm_a);\n");
    for (const struct fmc_expr_constant *c = fmc_expr_constants; c->name != NULL; c++)
        fprintf(w->to, "    const double %s = %s;\n", c->name, c->value);
    fprintf(w->to, "    {\n"); /* an --arg may have the name of a constant */
    for (int a = 0; a < e->n_args; a++)
        fprintf(w->to, "    const double %s = fm_a.value[%d];\n", e->args[a].key, a);
    for (int k = 0; k < e->n_elements; k++)
        if (is_first(e, k) && w->in->inputs[e->elements[k].input].array != NULL)
            fprintf(w->to,
                    "    const char *const restrict fm_p%d = (const char *)fm_c->in[%d] + "
                    "fm_a.offset[%d];\n",
                    k, e->elements[k].input, k);
    fprintf(w->to, "    char *const restrict fm_out = fm_c->out;\n"
                   "    const int64_t fm_begin = fm_c->begin, fm_count = fm_c->count;\n");
}

static void write_element(const struct writer *w, int k)
{
    const struct fmc_expr_element *element = &w->e->elements[k];
    const fm_dtype dtype = input_dtype(&w->in->inputs[element->input]);
    const char *type = is_complex(dtype) ? "double _Complex" : "double";
    fprintf(w->to, "        const %s %.*s = ", element->is_whole ? whole_type(dtype) : type,
            element->name.length, w->e->code + element->name.begin);
    if (w->in->inputs[element->input].array == NULL)
        fprintf(w->to, "fm_begin + fm_k;\n");
    else
        fprintf(w->to, "*(const %s *)(fm_p%d + fm_k * %" PRId64 ")%s;\n", find_type(dtype)->name, k,
                row_stride(w, element->input), dtype == FM_BOOL ? " != 0" : "");
}

/* The line of the user's expression, in a file of its own: what the compiler says about it can be told apart. */
static void write_result(const struct writer *w, int k)
{
    const struct c_type *type = find_type(w->rows->dtype);
    const struct fmc_expr_part *part = &w->e->results[k];
    fprintf(w->to, "        __auto_type fm_r%d =\n#line %d \"" FMC_EXPR_FILE "\"\n%.*s ;\n", k,
            k + 1, part->length, w->e->code + part->begin);
    if (w->has_complex && !is_complex(type->dtype))
        fprintf(w->to,
                "#line %d \"" FMC_EXPR_FILE "\"\n"
                "_Static_assert(_Generic(fm_r%d, float _Complex: 0, double _Complex: 0, "
                "long double _Complex: 0, default: 1), "
                "\"the result is complex: take creal, cimag or cabs of it, or give --out c16\");\n",
                k + 1, k);
    fprintf(w->to,
            "#line 1 \"generated\"\n        *(%s *)(fm_out + fm_k * %zu + %zu) = ", type->name,
            (size_t)w->e->n_results * fm_dtype_bytes(type->dtype),
            (size_t)k * fm_dtype_bytes(type->dtype));
    if (type->low != NULL)
        fprintf(w->to,
                "_Generic(fm_r%d, float: fm_whole(fm_r%d), double: fm_whole(fm_r%d), "
                "long double: fm_whole((double)fm_r%d), default: (%s)fm_r%d);\n",
                k, k, k, k, type->name, k);
    else
        fprintf(w->to, "fm_r%d%s;\n", k, type->dtype == FM_BOOL ? " != 0" : "");
}

static void write_function(const struct writer *w)
{
    fprintf(w->to, "__attribute__((visibility(\"default\")))\n"
                   "int " FMC_EXPR_ENTRY "(const struct fm_chunk *fm_c, void *fm_argument)\n"
                   "{\n");
    write_locals(w);
    if (w->e->leaves_open)
        fprintf(w->to, "#ifdef __clang__\n"
                       "#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)\n"
                       "#endif\n");
    fprintf(w->to, "    for (int64_t fm_k = 0; fm_k < fm_count; fm_k++) {\n");
    if (w->e->uses_item)
        fprintf(w->to, "        const double i = (double)(fm_begin + fm_k - fm_a.first);\n");
    for (int k = 0; k < w->e->n_elements; k++)
        if (is_first(w->e, k))
            write_element(w, k);
    for (int k = 0; k < w->e->n_results; k++)
        write_result(w, k);
    fprintf(w->to, "    }\n    }\n    return 0;\n}\n");
}

char *fmc_expr_source(const struct fmc_expr *e, const struct fmc_expr_inputs *in,
                      const struct fmc_rows *rows)
{
    char *text = NULL;
    size_t bytes;
    struct writer w = {.to = open_memstream(&text, &bytes), .e = e, .in = in, .rows = rows};
    if (w.to == NULL)
        return NULL;
    w.has_complex = uses_complex(&w);
    write_head(&w);
    write_function(&w);
    if (fclose(w.to) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- the argument ----------------------------------------------------------------------------- */

static int64_t element_offset(const struct fmc_expr_element *element, const fm_array *a)
{
    int64_t offset = 0;
    for (int d = 0; d < element->n_index && a != NULL; d++)
        offset += element->index[d] * fm_array_strides(a)[d + 1];
    return offset;
}

char *fmc_expr_argument(const struct fmc_expr *e, const struct fmc_expr_inputs *in, size_t *bytes)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, bytes);
    const double no_value = 0;
    const int64_t first = in->inputs[0].array == NULL ? in->inputs[0].begin : 0, no_offset = 0;
    if (to == NULL)
        return NULL;
    fwrite(&first, sizeof first, 1, to);
    for (int k = 0; k < e->n_elements; k++) {
        const int64_t offset =
            element_offset(&e->elements[k], in->inputs[e->elements[k].input].array);
        fwrite(&offset, sizeof offset, 1, to);
    }
    fwrite(&no_offset, sizeof no_offset, 1, to);
    fwrite(e->values, sizeof e->values[0], (size_t)e->n_args, to);
    fwrite(&no_value, sizeof no_value, 1, to);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}
