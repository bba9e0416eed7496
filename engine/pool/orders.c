/* SPDX-License-Identifier: MIT */
/* A warden that is no fork of the host; see orders.h. */
#include "orders.h"

#include "clock.h"
#include "error.h"
#include "guarded.h"
#include "heap.h"
#include "topo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef int init_fn(int rank, void *arg);

union init { /* ISO C has no cast between the two */
    init_fn *function;
    void *object;
};

/* ---- the host -------------------------------------------------------------------------------- */

static int describe(struct fmi_orders_shm *orders, init_fn *function, uint32_t flag,
                    struct fmi_function_shm *out)
{
    union init init = {.function = function};
    if (function == NULL)
        return 0;
    orders->which |= flag;
    return fmi_function_describe(NULL, init.object, out);
}

int fmi_orders_write(struct fmi_orders_shm **out, const struct fmi_crew_plan *plan, char *block)
{
    void *memory;
    size_t n = (size_t)plan->n;
    *out = NULL;
    int rc = fmi_heap_alloc(&memory, sizeof **out + n * sizeof(int32_t), FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    struct fmi_orders_shm *orders = memory;
    orders->block = (uintptr_t)block;
    orders->block_bytes = fmi_guarded_bytes(block);
    orders->n_ranks = plan->n;
    orders->first = plan->first;
    orders->inner_threads = plan->inner_threads;
    orders->stack_bytes = plan->stack_bytes;
    orders->memory_limit = plan->memory_limit;
    orders->init_arg = (uintptr_t)plan->init_arg;
    orders->max_tasks = ((const struct fmi_pool_view *)plan->arg)->max_tasks;
    orders->max_bytes = ((const struct fmi_pool_view *)plan->arg)->max_bytes;
    orders->host = plan->host;
    orders->which = plan->ignores_term ? FMI_ORDERS_IGNORE_TERM : 0;
    for (int rank = 0; rank < plan->n; rank++)
        orders->cpus[rank] = plan->cpus[rank];
    rc = describe(orders, plan->initializer, FMI_ORDERS_INITIALIZER, &orders->initializer);
    if (rc == 0)
        rc = describe(orders, plan->finalizer, FMI_ORDERS_FINALIZER, &orders->finalizer);
    if (rc == 0)
        *out = orders;
    else
        (void)fmi_heap_free(orders);
    return rc;
}

/* ---- the warden ------------------------------------------------------------------------------ */

/* It ends by _exit, so these are never freed. */
static struct fmi_pool_view view;
static struct fmi_crew_plan plan;

static init_fn *resolve(const struct fmi_orders_shm *orders, uint32_t flag,
                        const struct fmi_function_shm *described)
{
    union init init = {.object = NULL};
    if ((orders->which & flag) == 0)
        return NULL;
    int rc = fmi_function_resolve(described, &init.object);
    if (rc != 0)
        fmi_launch_refuse(rc);
    return init.function;
}

static const int *copy_cpus(const struct fmi_orders_shm *orders)
{
    int n = orders->n_ranks, *cpus = calloc((size_t)n, sizeof *cpus);
    if (cpus == NULL)
        fmi_launch_refuse(-ENOMEM);
    for (int rank = 0; rank < n; rank++)
        cpus[rank] = orders->cpus[rank];
    return cpus;
}

void fmi_orders_obey(void *orders_shm, const int *fds)
{
    struct fmi_orders_shm *orders = orders_shm;
    char *block = (char *)(uintptr_t)orders->block;
    int rc = fmi_guarded_adopt(block, orders->block_bytes);
    if (rc != 0)
        fmi_launch_refuse(
            fmi_error(rc, "the pool's memory cannot be protected: %s", fm_strerror(rc)));
    fmi_pool_lay_out(&view, block, orders->n_ranks);
    view.cpus = copy_cpus(orders);
    view.is_isolated = orders->first == 0;
    view.max_tasks = orders->max_tasks;
    view.max_bytes = orders->max_bytes;
    plan = (struct fmi_crew_plan){
        .shm = view.crew,
        .first = orders->first,
        .n = orders->n_ranks,
        .cpus = view.cpus,
        .stack_bytes = orders->stack_bytes,
        .memory_limit = orders->memory_limit,
        .inner_threads = orders->inner_threads,
        .ignores_term = (orders->which & FMI_ORDERS_IGNORE_TERM) != 0,
        .host = orders->host,
        .initializer = resolve(orders, FMI_ORDERS_INITIALIZER, &orders->initializer),
        .finalizer = resolve(orders, FMI_ORDERS_FINALIZER, &orders->finalizer),
        .init_arg = (void *)(uintptr_t)orders->init_arg,
        .work = fmi_pool_serve,
        .on_death = fmi_pool_wake_all,
        .has_share = fmi_pool_has_share,
        .arg = &view,
    };
    explicit_bzero(orders->host.key, sizeof orders->host.key);
    fmi_ticks_per_ns(); /* measured and read once, before the forks */
    (void)fmi_sys_topo_n_cores();
    fmi_warden_run(&plan, fds);
}
