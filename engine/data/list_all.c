/* SPDX-License-Identifier: MIT */
/* What is done with a list as a whole; see list.h. */
#include "checked.h"
#include "error.h"
#include "fault.h"
#include "list.h"
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int fm_list_len(fm_list *l, int64_t *n, int64_t timeout)
{
    struct fmi_list held;
    if (n == NULL)
        return fmi_error(-EINVAL, "n is NULL");
    *n = 0;
    const int code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    *n = (int64_t)held.n;
    return fmi_list_end(&held, 0);
}

static int check_items(const fm_bytes *items, int64_t n)
{
    int code = 0;
    if (n < 0 || (n > 0 && items == NULL))
        return fmi_error(-EINVAL, "%" PRId64 " items at %p", n, (const void *)items);
    for (int64_t i = 0; code == 0 && i < n; i++)
        code = fmi_bytes_check(items[i], "an item");
    return code;
}

int fm_list_extend(fm_list *l, const fm_bytes *items, int64_t n, int64_t timeout)
{
    struct fmi_list held;
    int code = check_items(items, n);
    if (code == 0)
        code = fmi_list_begin(&held, l, timeout);
    return code != 0 ? code : fmi_list_end(&held, fmi_list_append(&held, items, (uint64_t)n));
}

int fm_list_clear(fm_list *l, int64_t timeout)
{
    struct fmi_list held;
    const int code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    fmi_list_empty(&held);
    return fmi_list_end(&held, 0);
}

static int reverse(struct fmi_list *held)
{
    struct fmi_draft draft;
    const int code = fmi_list_draft(held, held->n, &draft);
    if (code != 0)
        return code;
    for (uint64_t i = held->n; i-- > 0;)
        fmi_draft_put(&draft, fmi_list_address(held, i));
    fmi_list_turn(held, &draft);
    return 0;
}

int fm_list_reverse(fm_list *l, int64_t timeout)
{
    struct fmi_list held;
    const int code = fmi_list_begin(&held, l, timeout);
    return code != 0 ? code : fmi_list_end(&held, held.n < 2 ? 0 : reverse(&held));
}

/* ---- slices -------------------------------------------------------------------------------------- */

/* [bytes] of the items in a snapshot. 0; FM_ECORRUPT. */
static int measure(const struct fmi_list *held, uint64_t begin, uint64_t end, size_t *bytes)
{
    *bytes = 0;
    for (uint64_t i = begin; i < end; i++) {
        fm_bytes item;
        if (fmi_list_item(held, i, &item) != 0 ||
            !fmi_checked_add(*bytes, fmi_snapshot_room(item.bytes), bytes))
            return FM_ECORRUPT;
    }
    return 0;
}

static int copy(const struct fmi_list *held, uint64_t begin, uint64_t end, struct fmi_snapshot *s)
{
    size_t bytes;
    int code = measure(held, begin, end, &bytes);
    if (code == 0)
        code = fmi_snapshot_begin(s, (int64_t)(end - begin), bytes, 0, 1);
    if (code != 0)
        return code;
    for (uint64_t i = begin; code == 0 && i < end; i++) {
        fm_bytes item;
        code = fmi_list_item(held, i, &item);
        if (code == 0)
            code = fmi_snapshot_add(s, i, fm_bytes_of(NULL, 0), item);
    }
    if (code != 0)
        fmi_snapshot_drop(s);
    return code;
}

int fm_list_slice(fm_list *l, int64_t begin, int64_t end, fm_snapshot **out, int64_t timeout)
{
    struct fmi_list held;
    struct fmi_snapshot s;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    const uint64_t first = fmi_list_clamp(&held, begin), behind = fmi_list_clamp(&held, end);
    code = fmi_list_end(&held, copy(&held, first, behind < first ? first : behind, &s));
    if (code == 0)
        *out = fmi_snapshot_end(&s);
    return code;
}

/* ---- sorting ------------------------------------------------------------------------------------- */

struct sorted {
    fm_bytes item;
    uint64_t address;
};

static int compare_bytes(fm_bytes a, fm_bytes b, void *arg)
{
    const size_t both = a.bytes < b.bytes ? a.bytes : b.bytes;
    const int order = both == 0 ? 0 : memcmp(a.data, b.data, both);
    (void)arg;
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

/* [begin, middle) and [middle, end) are sorted. Whatever the function says, nothing is lost. */
static void merge(const struct sorted *from, struct sorted *to, const uint64_t at[3],
                  fm_compare_fn *compare, void *arg)
{
    uint64_t left = at[0], right = at[1];
    for (uint64_t i = at[0]; i < at[2]; i++) {
        const int takes_right =
            left == at[1] || (right < at[2] && compare(from[left].item, from[right].item, arg) > 0);
        to[i] = takes_right ? from[right++] : from[left++];
    }
}

/* From runs of 1 to runs of n; returns where the result is. */
static struct sorted *merge_all(struct sorted *from, struct sorted *to, uint64_t n,
                                fm_compare_fn *compare, void *arg)
{
    for (uint64_t run = 1; run < n; run *= 2) {
        for (uint64_t begin = 0; begin < n; begin += 2 * run) {
            const uint64_t middle = n - begin > run ? begin + run : n;
            const uint64_t at[3] = {begin, middle, n - middle > run ? middle + run : n};
            merge(from, to, at, compare, arg);
        }
        struct sorted *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static int sort(struct fmi_list *held, struct sorted *items, fm_compare_fn *compare, void *arg)
{
    struct fmi_draft draft;
    int code = fmi_list_draft(held, held->n, &draft);
    for (uint64_t i = 0; code == 0 && i < held->n; i++) {
        items[i].address = fmi_list_address(held, i);
        code = fmi_list_item(held, i, &items[i].item);
    }
    if (code != 0)
        return code;
    const struct sorted *result = merge_all(items, items + held->n, held->n, compare, arg);
    FMI_FAULT("list.sorted");
    for (uint64_t i = 0; i < held->n; i++)
        fmi_draft_put(&draft, result[i].address);
    fmi_list_turn(held, &draft);
    return 0;
}

int fm_list_sort(fm_list *l, fm_compare_fn *compare, void *arg, int64_t timeout)
{
    struct fmi_list held;
    int code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    if (held.n < 2)
        return fmi_list_end(&held, 0);
    struct sorted *items = calloc(held.n, 2 * sizeof *items);
    code = items == NULL ? fmi_error(-ENOMEM, "no private memory to sort %" PRIu64 " items", held.n)
                         : sort(&held, items, compare == NULL ? compare_bytes : compare, arg);
    free(items);
    return fmi_list_end(&held, code);
}
