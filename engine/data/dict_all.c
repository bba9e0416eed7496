/* SPDX-License-Identifier: MIT */
/* What is done with all of a dict at one moment, holding all stripes; see dict.h. */
#include "dict.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "snapshot.h"
#include "step.h"

#include <errno.h>

static void release_first(struct fmi_stripe *stripes, uint64_t n)
{
    while (n > 0)
        fmi_stripe_release(&stripes[--n]);
}

int fmi_dict_acquire_all(const struct fmi_dict *seen, struct fmi_stripe *stripes,
                         int64_t deadline_ns)
{
    for (uint64_t i = 0; i < seen->n_stripes; i++) {
        const int code =
            fmi_stripe_acquire(&stripes[i], &seen->shm->stripes[i], &seen->shm->epoch, deadline_ns);
        if (code != 0) {
            release_first(stripes, i);
            return fmi_dict_fail(seen->shm, code);
        }
        FMI_FAULT("dict.one_of_all");
    }
    return 0;
}

void fmi_dict_release_all(const struct fmi_dict *seen, struct fmi_stripe *stripes)
{
    release_first(stripes, seen->n_stripes);
}

static int begin(fm_dict *d, struct fmi_dict *seen, struct fmi_stripe *stripes, int64_t timeout)
{
    const int code = fmi_dict_look(d, seen);
    return code != 0 ? code : fmi_dict_acquire_all(seen, stripes, fmi_deadline_of(timeout));
}

static int64_t count(const struct fmi_dict *seen, const struct fmi_stripe *stripes)
{
    int64_t n = 0;
    for (uint64_t i = 0; i < seen->n_stripes; i++)
        n += (int64_t)stripes[i].n_live;
    return n;
}

int fm_dict_len(fm_dict *d, int64_t *n, int64_t timeout)
{
    struct fmi_stripe stripes[FMI_DICT_MAX_STRIPES];
    struct fmi_dict seen;
    if (n == NULL)
        return fmi_error(-EINVAL, "n is NULL");
    *n = 0;
    const int code = begin(d, &seen, stripes, timeout);
    if (code != 0)
        return code;
    *n = count(&seen, stripes);
    fmi_dict_release_all(&seen, stripes);
    return 0;
}

int fm_dict_clear(fm_dict *d, int64_t timeout)
{
    struct fmi_stripe stripes[FMI_DICT_MAX_STRIPES];
    struct fmi_dict seen;
    const int code = begin(d, &seen, stripes, timeout);
    if (code != 0)
        return code;
    const uint64_t epoch = fmi_step_load(&d->epoch) + 1;
    FMI_FAULT("dict.clear");
    fmi_step(&d->epoch, epoch);
    FMI_FAULT("dict.cleared");
    for (uint64_t i = 0; i < seen.n_stripes; i++) {
        fmi_stripe_empty(&stripes[i], epoch);
        fmi_stripe_release(&stripes[i]);
    }
    return 0;
}

/* ---- popitem ------------------------------------------------------------------------------------- */

/* The youngest pair of all, and its stripe. 1; 0: there is none; FM_ECORRUPT. */
static int find_last(const struct fmi_dict *seen, struct fmi_stripe *stripes, uint64_t *which,
                     struct fmi_pair *last)
{
    int is_there = 0;
    for (uint64_t i = 0; i < seen->n_stripes; i++) {
        struct fmi_pair pair;
        const int code = fmi_stripe_last(&stripes[i], &pair);
        if (code == FM_ECORRUPT)
            return code;
        if (code == 1 && (!is_there || pair.seq > last->seq)) {
            *last = pair;
            *which = i;
            is_there = 1;
        }
    }
    return is_there;
}

/* Both, so that a caller learns both lengths. */
static int put_pair(const struct fmi_pair *pair, fm_buf *key, fm_buf *value)
{
    const int code = fmi_buf_put(key, pair->key), code_of_value = fmi_buf_put(value, pair->value);
    return code != 0 ? code : code_of_value;
}

int fm_dict_popitem(fm_dict *d, fm_buf *key, fm_buf *value, int64_t timeout)
{
    struct fmi_stripe stripes[FMI_DICT_MAX_STRIPES];
    struct fmi_dict seen;
    struct fmi_pair last;
    uint64_t which = 0;
    int code = fmi_buf_check(key);
    if (code == 0)
        code = fmi_buf_check(value);
    if (code != 0)
        return code;
    key->bytes = value->bytes = 0;
    code = begin(d, &seen, stripes, timeout);
    if (code != 0)
        return code;
    code = find_last(&seen, stripes, &which, &last);
    if (code >= 0)
        code = code == 0 ? -ENOENT : put_pair(&last, key, value);
    if (code == 0)
        fmi_stripe_remove(&stripes[which], &last);
    fmi_dict_release_all(&seen, stripes);
    return fmi_dict_fail(d, code);
}

/* ---- copies -------------------------------------------------------------------------------------- */

typedef int visit_fn(const struct fmi_pair *pair, void *arg);

static int visit_all(const struct fmi_dict *seen, const struct fmi_stripe *stripes, visit_fn *visit,
                     void *arg)
{
    for (uint64_t i = 0; i < seen->n_stripes; i++) {
        const struct fmi_stripe *s = &stripes[i];
        for (uint64_t k = 0; k < s->n_used; k++) {
            struct fmi_pair pair;
            if (fmi_step_load(&s->table.entries[k]) == 0)
                continue;
            if (fmi_table_pair(&s->table, k, &pair) != 0 || visit(&pair, arg) != 0)
                return FM_ECORRUPT;
        }
    }
    return 0;
}

struct measure {
    size_t bytes;
    int has_keys, has_values;
};

static int measure_pair(const struct fmi_pair *pair, void *arg)
{
    struct measure *m = arg;
    size_t more = m->has_keys ? fmi_snapshot_room(pair->key.bytes) : 0;
    if (m->has_values)
        more += fmi_snapshot_room(pair->value.bytes);
    m->bytes += more;
    return m->bytes < more; /* overwritten sizes */
}

static int copy_pair(const struct fmi_pair *pair, void *arg)
{
    return fmi_snapshot_add(arg, pair->seq, pair->key, pair->value);
}

static int copy_all(const struct fmi_dict *seen, const struct fmi_stripe *stripes,
                    struct measure *m, struct fmi_snapshot *copy)
{
    int code = visit_all(seen, stripes, measure_pair, m);
    if (code == 0)
        code = fmi_snapshot_begin(copy, count(seen, stripes), m->bytes, m->has_keys, m->has_values);
    if (code != 0)
        return code;
    code = visit_all(seen, stripes, copy_pair, copy);
    if (code != 0)
        fmi_snapshot_drop(copy);
    return code;
}

static int take_snapshot(fm_dict *d, fm_snapshot **out, struct measure m, int64_t timeout)
{
    struct fmi_stripe stripes[FMI_DICT_MAX_STRIPES];
    struct fmi_dict seen;
    struct fmi_snapshot copy;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int code = begin(d, &seen, stripes, timeout);
    if (code != 0)
        return code;
    code = copy_all(&seen, stripes, &m, &copy);
    fmi_dict_release_all(&seen, stripes);
    if (code == 0)
        *out = fmi_snapshot_end(&copy);
    return fmi_dict_fail(d, code);
}

int fm_dict_keys(fm_dict *d, fm_snapshot **out, int64_t timeout)
{
    return take_snapshot(d, out, (struct measure){.has_keys = 1}, timeout);
}

int fm_dict_values(fm_dict *d, fm_snapshot **out, int64_t timeout)
{
    return take_snapshot(d, out, (struct measure){.has_values = 1}, timeout);
}

int fm_dict_items(fm_dict *d, fm_snapshot **out, int64_t timeout)
{
    return take_snapshot(d, out, (struct measure){.has_keys = 1, .has_values = 1}, timeout);
}

int fm_dict_copy(fm_dict **out, fm_dict *d, int64_t timeout)
{
    fm_snapshot *items = NULL;
    struct fmi_dict seen;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int code = fm_dict_items(d, &items, timeout);
    if (code == 0)
        code = fmi_dict_look(d, &seen);
    if (code == 0)
        code = fm_dict_create(out, FM_DICT_OPTS(.stripes = (int)seen.n_stripes));
    if (code == 0 && items != NULL)
        code = fm_dict_update(*out, items->keys, items->values, items->n, NULL, FM_FOREVER);
    fm_snapshot_free(items);
    if (code != 0 && *out != NULL) {
        fm_dict_destroy(*out);
        *out = NULL;
    }
    return code;
}
