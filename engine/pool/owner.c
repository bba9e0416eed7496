/* SPDX-License-Identifier: MIT */
/* The owner page and the list of handles; see owner.h. */
#include "owner.h"

#include "forklock.h"
#include "handle.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic uint32_t
    *page; /* wiped on fork; NULL before the first open, or where the kernel cannot */
static struct fm_pool *_Atomic handles;
static struct fmi_forklock adding = FMI_FORKLOCK;

uint32_t fmi_owner_pid(void)
{
    return page != NULL ? atomic_load_explicit(page, memory_order_relaxed) : (uint32_t)getpid();
}

uint32_t fmi_owner_become(void)
{
    fmi_forklock_acquire(&adding);
    if (page == NULL)
        page = fmi_sys_map_wiped_on_fork();
    if (page != NULL)
        atomic_store_explicit(page, (uint32_t)getpid(), memory_order_relaxed);
    fmi_forklock_release(&adding);
    return (uint32_t)getpid();
}

static void init_handle(struct fm_pool *handle, struct fm_pool *next)
{
    memset(handle, 0, sizeof *handle);
    pthread_mutex_init(&handle->lock, NULL);
    pthread_mutex_init(&handle->resizing, NULL);
    handle->next = next;
}

/* What late-comers may still touch outlives the pool; but of the parent's threads none comes here, in a child. */
static void reset_handle(struct fm_pool *handle)
{
    if (handle->owner != (uint32_t)getpid())
        init_handle(handle, handle->next);
    else
        memset((char *)handle + offsetof(fm_pool, first_cleared), 0,
               sizeof *handle - offsetof(fm_pool, first_cleared));
}

/* A handle of the parent's, seen in a child, is live and not ours: it is left alone. */
fm_pool *fmi_owner_new_handle(void)
{
    fm_pool *found;
    fmi_forklock_acquire(&adding);
    for (found = handles; found != NULL; found = found->next) {
        uint64_t dead = FMI_HANDLE_DEAD;
        if (atomic_compare_exchange_strong(&found->mark, &dead, 0))
            break;
    }
    if (found != NULL) {
        reset_handle(found);
    } else if ((found = aligned_alloc(alignof(fm_pool), sizeof *found)) != NULL) {
        init_handle(found, handles);
        handles = found;
    }
    fmi_forklock_release(&adding);
    return found;
}

int fmi_owner_has(const fm_pool *pool)
{
    for (const fm_pool *p = handles; p != NULL; p = p->next)
        if (p == pool)
            return p->owner == fmi_owner_pid() && atomic_load(&p->mark) == FMI_HANDLE_LIVE;
    return 0;
}

fm_pool *fmi_owner_first_handle(void)
{
    return atomic_load(&handles);
}
