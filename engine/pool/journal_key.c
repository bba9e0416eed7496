/* SPDX-License-Identifier: MIT */
/* What a journal is of: a map's function, arguments, inputs, output and grid, each as a number; see journal.h. */
#include "journal.h"

#include "error.h"
#include "keyhash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* One number of several pieces. The seed is part of the layout: a journal is read by later programs. */
struct digest {
    uint64_t state[2];
};

static void add(struct digest *d, const void *data, size_t bytes)
{
    uint64_t length = bytes;
    d->state[0] = fmi_keyhash(d->state, &length, sizeof length);
    d->state[1] = fmi_keyhash(d->state, data, bytes);
}

static void add_number(struct digest *d, int64_t number)
{
    add(d, &number, sizeof number);
}

static struct digest begin_digest(void)
{
    return (struct digest){{FMI_JOURNAL_MAGIC, FMI_JOURNAL_LAYOUT}};
}

static uint64_t end_digest(const struct digest *d)
{
    return d->state[0] ^ d->state[1];
}

/* Not its path: a library may be moved. */
static int describe_function(struct fmi_journal_key *key, const struct fmi_request *q)
{
    struct fmi_function_shm f;
    union { /* ISO C has no cast between the two */
        fmi_any_fn *function;
        void *object;
    } fn = {.function = q->fn};
    int rc = fmi_function_describe(NULL, fn.object, &f);
    if (rc != 0)
        return rc;
    struct digest d = begin_digest();
    add_number(&d, q->kind);
    add_number(&d, (int64_t)f.offset);
    add(&d, f.id, f.id_bytes < sizeof f.id ? f.id_bytes : sizeof f.id);
    key->function = end_digest(&d);
    return 0;
}

/* A pointer that is handed on as it is says nothing of what it points to: that there is one is all that is compared. */
static void describe_arguments(struct fmi_journal_key *key, const fm_map_opts *o)
{
    struct digest d = begin_digest();
    add_number(&d, (int64_t)o->seed);
    add_number(&d, o->arg != NULL);
    add(&d, o->arg, o->arg_bytes);
    key->arguments = end_digest(&d);
}

static void add_shape(struct digest *d, const struct fmi_array_view *v)
{
    add_number(d, (int64_t)v->dtype);
    add_number(d, v->ndim);
    add(d, v->shape, (size_t)v->ndim * sizeof v->shape[0]);
}

/* How the elements of inputs lie makes no difference to the items. */
static int describe_inputs(struct fmi_journal_key *key, const struct fmi_request *q)
{
    struct digest d = begin_digest();
    struct fmi_array_view v;
    add_number(&d, q->n_columns);
    if (q->n_columns == 0)
        add_number(&d, q->begin);
    for (int k = 0; k < q->n_columns; k++) {
        int rc = fmi_array_inspect(q->columns[k], &v);
        if (rc != 0)
            return rc;
        add_shape(&d, &v);
    }
    key->inputs = end_digest(&d);
    return 0;
}

/* The name under which its opener has it leads to it, whatever its path is by now. */
static int look_at_file(struct fmi_journal_key *key, const struct fmi_array_view *v)
{
    const struct fmi_file_shm *file = &v->buffer->file;
    struct statx st;
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)file->pid, (int)file->fd);
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &st) != 0)
        return fmi_error(-errno, "%s, the output file: %s", path, fm_strerror(-errno));
    if (st.stx_ino != v->inode)
        return fmi_error(-ESTALE, "%s is no longer the output file", path);
    key->inode = st.stx_ino;
    if ((st.stx_mask & STATX_BTIME) != 0)
        key->birth_ns =
            (uint64_t)st.stx_btime.tv_sec * 1000000000u + (uint64_t)st.stx_btime.tv_nsec;
    return 0;
}

static int describe_output(struct fmi_journal_key *key, const struct fmi_request *q)
{
    struct digest d = begin_digest();
    struct fmi_array_view v;
    int rc = 0;
    if (q->out != NULL) {
        rc = fmi_array_inspect(q->out, &v);
        if (rc == 0 && !v.is_mapped)
            rc = fmi_error(-EINVAL,
                           "the output lies in memory, which ends with the program: with a journal "
                           "it must be a file, from fm_npy_create() or FM_NPY_MAP_WRITE");
        if (rc == 0)
            rc = look_at_file(key, &v);
        if (rc != 0)
            return rc;
        add_shape(&d, &v);
        add(&d, v.strides, (size_t)v.ndim * sizeof v.strides[0]);
        add_number(&d, (int64_t)v.lo_in_file);
    }
    key->output = end_digest(&d);
    return 0;
}

int fmi_journal_describe(struct fmi_journal_key *key, const struct fmi_plan *plan,
                         const struct fmi_request *q)
{
    int64_t n = plan->n_items;
    *key = (struct fmi_journal_key){.n_items = n,
                                    .cell = n / FMI_JOURNAL_CELLS + (n % FMI_JOURNAL_CELLS != 0)};
    if ((q->opts->flags & FM_IN_PLACE) != 0)
        return fmi_error(-EINVAL, "FM_IN_PLACE: what a row was before is lost with the program, so "
                                  "a map in place can have no journal");
    describe_arguments(key, q->opts);
    int rc = describe_function(key, q);
    if (rc == 0)
        rc = describe_inputs(key, q);
    return rc == 0 ? describe_output(key, q) : rc;
}

static int differs(const char *path, const char *what)
{
    return fmi_error(FM_ESTALE,
                     "%s is the journal of another map: %s; remove it, or give another one", path,
                     what);
}

int fmi_journal_compare(const char *path, const struct fmi_journal_key *is,
                        const struct fmi_journal_key *was)
{
    if (is->n_items != was->n_items)
        return fmi_error(FM_ESTALE,
                         "%s is the journal of another map: of %" PRId64
                         " items, and there are %" PRId64 "; remove it, or give another one",
                         path, was->n_items, is->n_items);
    if (is->cell != was->cell)
        return differs(path, "its grid has other cells");
    if (is->function != was->function)
        return differs(path, "the function is another one, or was built anew");
    if (is->arguments != was->arguments)
        return differs(path, "the arguments or the seed are not the same");
    if (is->inputs != was->inputs)
        return differs(path, "the inputs have other types or shapes");
    if (is->output != was->output)
        return differs(path, "the output has another type or shape");
    if (is->inode != was->inode || is->birth_ns != was->birth_ns)
        return differs(path, "the output is another file");
    return 0;
}

uint64_t fmi_journal_check(const struct fmi_journal_shm *head)
{
    struct digest d = begin_digest();
    add(&d, head, offsetof(struct fmi_journal_shm, check));
    return end_digest(&d);
}
