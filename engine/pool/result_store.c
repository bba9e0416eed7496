/* SPDX-License-Identifier: MIT */
/*
 * Memory of results. A program that has thousands of calls under way asks malloc for so many blocks of one size that its own caches are too
 * small for them; that was a fifth of the cost of a call. So each thread keeps some that are free; what is over, or left when a
 * thread ends, is for whoever has none, until a pool is destroyed.
 */
#include "result.h"

#include <pthread.h>
#include <stdlib.h>

enum { MOST_KEPT = 4096, PLAIN = 0, SMALL = 1, N_KINDS = 2, OTHER = 2 };

struct kept { /* of one thread */
    struct fm_result *first[N_KINDS];
    int n[N_KINDS];
    int has_destructor;
};

static _Thread_local struct kept kept;
static struct fm_result *_Atomic shared[N_KINDS]; /* pushed by any thread, taken all at once */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void share(struct fm_result *r, int kind)
{
    r->next = atomic_load_explicit(&shared[kind], memory_order_relaxed);
    /* release: pairs with the exchange in take */
    while (!atomic_compare_exchange_weak_explicit(&shared[kind], &r->next, r, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

static void share_all(void *of_thread)
{
    struct kept *k = of_thread;
    for (int kind = 0; kind < N_KINDS; kind++)
        for (struct fm_result *r; (r = k->first[kind]) != NULL; share(r, kind))
            k->first[kind] = r->next;
}

static void make_key(void)
{
    pthread_key_create(&key, share_all);
}

static int kind_of(size_t small_bytes)
{
    return small_bytes == 0 ? PLAIN : small_bytes <= FMI_TASK_INLINE_BYTES ? SMALL : OTHER;
}

static struct fm_result *take(int kind)
{
    if (kept.first[kind] == NULL) {
        kept.first[kind] = atomic_exchange_explicit(&shared[kind], NULL, memory_order_acquire);
        kept.n[kind] = 0; /* of those that it has given back itself */
    }
    struct fm_result *r = kept.first[kind];
    if (r != NULL)
        kept.first[kind] = r->next;
    return r;
}

struct fm_result *fmi_result_alloc(size_t small_bytes)
{
    int kind = kind_of(small_bytes);
    struct fm_result *r = kind == OTHER ? NULL : take(kind);
    if (r == NULL)
        r = malloc(sizeof *r + (kind == SMALL ? FMI_TASK_INLINE_BYTES : small_bytes));
    if (r != NULL)
        r->kind = kind;
    return r;
}

void fmi_result_give(struct fm_result *r)
{
    int kind = r->kind;
    if (kind == OTHER) {
        free(r);
        return;
    }
    if (!kept.has_destructor) {
        pthread_once(&once, make_key);
        kept.has_destructor = pthread_setspecific(key, &kept) == 0;
    }
    if (!kept.has_destructor || kept.n[kind] >= MOST_KEPT) {
        share(r, kind);
        return;
    }
    kept.n[kind]++;
    r->next = kept.first[kind];
    kept.first[kind] = r;
}

void fmi_result_trim(void)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        struct fm_result *r = atomic_exchange_explicit(&shared[kind], NULL, memory_order_acquire);
        while (r != NULL) {
            struct fm_result *next = r->next;
            free(r);
            r = next;
        }
    }
}
