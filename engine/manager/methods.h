/* SPDX-License-Identifier: MIT */
#ifndef FMI_METHODS_H
#define FMI_METHODS_H

/*
 * What can be made by name, and called by name: a table of kinds, each with a table of methods. A method runs in the server's thread for a client without the memory, and in the caller's own
 * for one that has it.
 *
 * A method that waits gets a time to wait, and says -ETIMEDOUT when it is over and nothing was done: so a server calls it in slices, and looks meanwhile whether the client is there. Those that cannot be cut
 * (IS_WHOLE: a barrier would break, a condition forget) get all of it.
 */

#include <forkmap/manager.h>
#include <stdint.h>

/* Results, in private memory. Zeroed bytes are an empty one. */
struct fmi_reply_block;
struct fm_reply {
    uint32_t n, cap;
    fm_bytes *values;
    struct fmi_reply_block *blocks;
    fm_snapshot *kept;   /* whose bytes some of the values are */
    int is_paired;       /* keys and values in turn */
    uint64_t most_bytes; /* of a value that a client can get */
};
void fmi_reply_clear(fm_reply *reply);
int fmi_reply_number(fm_reply *reply, int64_t number);
int fmi_reply_text(fm_reply *reply, const char *text);
/* Room for a value that is written afterwards. NULL: no memory. */
void *fmi_reply_room(fm_reply *reply, size_t bytes);
/* All keys and values of it; the reply owns it from now on, also after an error. */
int fmi_reply_snapshot(fm_reply *reply, fm_snapshot *snapshot);

struct fmi_call {
    const fm_bytes *args;
    int n;
    int64_t timeout; /* [ns] of this slice */
    fm_reply *reply;
};

/*
 * What gives one value into a buffer, called again with a longer one until it fits: its value into the reply. FM_ETOOLONG: the client can get none as long, and it stays where it is.
 */
typedef int fmi_give_fn(void *object, const struct fmi_call *call, fm_buf *buf);
int fmi_reply_value(void *object, const struct fmi_call *call, fmi_give_fn *give);

enum { FMI_METHOD_WAITS = 1, FMI_METHOD_IS_WHOLE = 2 };

struct fmi_method {
    const char *name;
    int n_least, n_most; /* arguments; -1: any number */
    int flags;
    int (*run)(void *object, const struct fmi_call *call);
};

struct fmi_kind {
    const char *name;
    int n_least, n_most; /* arguments of create */
    int (*create)(void **out, const fm_bytes *args, int n);
    void (*destroy)(void *object);
    const struct fmi_method *methods; /* ends with a name of NULL */
};

extern const struct fmi_kind fmi_kind_dict, fmi_kind_list, fmi_kind_namespace;
extern const struct fmi_kind fmi_kind_queue;
extern const struct fmi_kind fmi_kind_value, fmi_kind_array;
extern const struct fmi_kind fmi_kind_lock, fmi_kind_rlock, fmi_kind_semaphore, fmi_kind_event,
    fmi_kind_condition, fmi_kind_barrier, fmi_kind_rwlock;

/* By number, from 0; NULL: none. The numbers are in shared memory: one version, one order. */
const struct fmi_kind *fmi_kind_at(uint32_t i);
int fmi_kind_find(const char *name); /* -1: none */
int fmi_kind_create(const struct fmi_kind *kind, void **out, const fm_bytes *args, int n);

/* Who calls, for a method that waits: is asked between slices; 0: go on. NULL: nobody need be asked. */
struct fmi_caller {
    int (*is_gone)(void *arg);
    void *arg;
};
int fmi_kind_call(const struct fmi_kind *kind, void *object, fm_bytes name,
                  const struct fmi_call *call, const struct fmi_caller *caller);

/* Arguments that are numbers: decimal, all of the text. -EINVAL (detail). */
int fmi_argument_integer(fm_bytes arg, int64_t least, int64_t most, int64_t *out);
int fmi_argument_text(fm_bytes arg, char *text, size_t cap);
/* One element of a dtype, as text, or for FM_STRUCT as bytes. */
int fmi_argument_element(fm_bytes arg, fm_dtype dtype, void *out);
int fmi_reply_element(fm_reply *reply, fm_dtype dtype, const void *element);

#endif
