/* SPDX-License-Identifier: MIT */
#ifndef FMI_DISPATCHER_H
#define FMI_DISPATCHER_H

/*
 * The dispatcher: a pool's thread that settles results, calls callbacks, and makes descriptors readable. The only thread of the library in the
 * host; it starts with the first result that has a callback or a descriptor, blocks all signals, and holds no lock while it calls.
 */

#include "result.h"

/* The thread, if it is not there yet. 0; -EAGAIN. */
int fmi_dispatcher_start(fm_pool *pool);
/* Has a result looked after until it is READY. After fmi_dispatcher_start(). */
void fmi_dispatcher_watch(fm_pool *pool, struct fm_result *r);
/* Takes it back, before it is freed; it is still watched if the dispatcher is at it just now. */
void fmi_dispatcher_forget(fm_pool *pool, struct fm_result *r);
/* One of them was called off: it is over although it did not begin in its turn. Before its `done` is woken. */
void fmi_dispatcher_look_at_all(fm_pool *pool);
/* 1 if the calling thread is it. */
int fmi_dispatcher_is_self(const fm_pool *pool);
/* Waits until it has nothing to look after. 0, -ETIMEDOUT. */
int fmi_dispatcher_drain(fm_pool *pool, int64_t deadline_ns);
/* When all results are over: lets it finish its calls, and joins it. */
void fmi_dispatcher_end(fm_pool *pool);

#endif
