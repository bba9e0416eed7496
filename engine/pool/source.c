/* SPDX-License-Identifier: MIT */
/* Drawing items of a stream; see source.h. */
#include "source.h"

#include "error.h"
#include "row.h"

#include <errno.h>
#include <string.h>

static int prepare_array(struct fmi_source *s)
{
    int rc = fmi_array_inspect(s->asked.array, &s->view);
    if (rc == -EINVAL)
        return fmi_error(rc, "the source is not an array in the shared heap");
    s->n = s->view.n_items;
    s->item_bytes = s->view.row_bytes;
    s->is_copied = !s->view.row_is_packed;
    return rc;
}

static int prepare_generator(struct fmi_source *s)
{
    if (s->asked.item_bytes == 0 || s->asked.item_bytes > PTRDIFF_MAX / 4)
        return fmi_error(-EINVAL, "the generator's items have %zu bytes", s->asked.item_bytes);
    s->n = INT64_MAX;
    s->item_bytes = s->asked.item_bytes;
    s->is_copied = 1;
    return 0;
}

static int prepare_range(struct fmi_source *s)
{
    if (s->asked.end < s->asked.begin)
        return fmi_error(-EINVAL, "the range ends at %lld, before it begins at %lld",
                         (long long)s->asked.end, (long long)s->asked.begin);
    if (__builtin_sub_overflow(s->asked.end, s->asked.begin, &s->n))
        return fmi_error(-EOVERFLOW, "the range has more than 2^63 - 1 numbers");
    return 0;
}

int fmi_source_prepare(struct fmi_source *s, const fm_source *asked)
{
    *s = (struct fmi_source){.asked = *asked};
    if (asked->array != NULL && asked->next != NULL)
        return fmi_error(-EINVAL, "the source is both an array and a generator");
    return asked->array != NULL  ? prepare_array(s)
           : asked->next != NULL ? prepare_generator(s)
                                 : prepare_range(s);
}

char *fmi_source_item(const struct fmi_source *s, int64_t i)
{
    return s->asked.array == NULL ? NULL : s->view.data + i * s->view.strides[0];
}

static void copy_item(struct fmi_source *s, char *slot)
{
    if (s->asked.array != NULL) {
        fmi_row_gather(&s->view, s->n_drawn, slot);
        return;
    }
    memset(slot, 0, s->item_bytes);
    s->code = s->asked.next(slot, s->asked.arg);
}

int64_t fmi_source_draw(struct fmi_source *s, int64_t most, char *slots, int64_t stride)
{
    int64_t n = 0, begin = s->n_drawn;
    if (most > s->n - begin)
        most = s->n - begin;
    if (!s->is_copied)
        n = s->code == 0 ? most : 0;
    for (; n < most && s->code == 0; s->n_drawn++) {
        copy_item(s, slots + n * stride);
        if (s->code != 0)
            break;
        n++;
    }
    s->n_drawn = begin + n;
    if (s->code == 0 && s->n_drawn == s->n)
        s->code = FM_ECLOSED;
    return n;
}
