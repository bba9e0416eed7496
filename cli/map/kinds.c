/* SPDX-License-Identifier: MIT */
/* Failures counted by kind: state, and signal, exit status or returned number. */
#include "kinds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MOST_KINDS = 6 };

struct kinds {
    const fm_failure *first[MOST_KINDS];
    int64_t count[MOST_KINDS];
    int n;
    int64_t n_others;
};

static int is_same(const fm_failure *a, const fm_failure *b)
{
    if (a->state != b->state)
        return 0;
    if (a->state == FM_ITEM_FAILED)
        return a->code == b->code;
    return a->state != FM_ITEM_CRASHED ||
           (a->signal == b->signal && a->code == b->code && a->stack_overflow == b->stack_overflow);
}

static void add(struct kinds *k, const fm_failure *f)
{
    int i = 0;
    while (i < k->n && !is_same(k->first[i], f))
        i++;
    if (i == MOST_KINDS) {
        k->n_others++;
        return;
    }
    if (i == k->n)
        k->first[k->n++] = f;
    k->count[i]++;
}

static void describe(const fm_failure *f, char *text, size_t cap)
{
    const char *name = sigabbrev_np(f->signal);
    if (f->state == FM_ITEM_FAILED)
        snprintf(text, cap, "returned %d", f->code);
    else if (f->state == FM_ITEM_TIMEOUT)
        snprintf(text, cap, "passed the time limit");
    else if (f->state == FM_ITEM_OUT_OF_MEMORY)
        snprintf(text, cap, "ran out of memory");
    else if (f->state != FM_ITEM_CRASHED)
        snprintf(text, cap, "%s", fm_item_state_name(f->state));
    else if (f->signal == 0)
        snprintf(text, cap, "exited (%d)", f->code);
    else
        snprintf(text, cap, "crashed (%s%s%s)", name != NULL ? "SIG" : "signal",
                 name != NULL ? name : "", f->stack_overflow ? ", stack overflow" : "");
}

void fmc_kinds_describe(const fm_failure *list, int64_t n, char *text, size_t cap)
{
    struct kinds k = {.n = 0};
    size_t used = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < n; i++)
        add(&k, &list[i]);
    for (int i = 0; i < k.n && used < cap; i++) {
        char what[64];
        describe(k.first[i], what, sizeof what);
        used += (size_t)snprintf(text + used, cap - used, "%s%" PRId64 " %s", i > 0 ? ", " : "",
                                 k.count[i], what);
    }
    if (k.n_others > 0 && used < cap)
        snprintf(text + used, cap - used, ", %" PRId64 " otherwise", k.n_others);
}
