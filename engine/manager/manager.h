/* SPDX-License-Identifier: MIT */
#ifndef FMI_MANAGER_H
#define FMI_MANAGER_H

/*
 * A manager: a record in the heap, with a table of names, and a server process that listens for those who do not have the heap.
 *
 *      family ──registry.c──> record, names, objects <──registry.c── server <──link.c, a socket a thread── clients without the heap
 *                                                    <──registry.c── clients that were given the heap (attach.c)
 *
 * A handle is the record itself, or, for who connected, private memory. Both begin with a mark; where it lies decides first.
 *
 *   state       | who moves it on                                          | the process dies here
 *   STARTING    | the server, when it listens: SERVING; or `error`, ENDED  | who starts it sees that the process has ended
 *   SERVING     | whoever ends it, with the guard: ENDED                   | server: the family goes on, links are FM_ECLOSED; anyone: the guard's next owner goes on
 *   ENDED       | -                                                        | objects that were not destroyed yet stay taken until the family ends
 *
 * INVARIANTS
 *   (1) `names` and `types` are read and changed by holders of the guard only, and only while the state is SERVING (STARTING: nobody has the handle).
 *   (2) An object that is named has its record's DELETED off; who takes the name out sets it; who then has the last pin, or finds none, destroys (fmi_named_shm).
 *   (3) address and key are constant once the state is not STARTING.
 */

#include "lock.h"
#include "methods.h"
#include "module.h"
#include "request.h"

#include <forkmap/conn.h>
#include <forkmap/dict.h>
#include <forkmap/manager.h>
#include <stdalign.h>

#define FMI_MANAGER_LIVE   UINT64_C(0x4c52474d494d4d46) /* "FMMIMGRL": the record */
#define FMI_MANAGER_CLIENT UINT64_C(0x4352474d494d4d46) /* "FMMIMGRC": of who connected */
#define FMI_MANAGER_CLOSED UINT64_C(0x5852474d494d4d46) /* "FMMIMGRX" */

enum { FMI_MANAGER_STARTING = 1, FMI_MANAGER_SERVING, FMI_MANAGER_ENDED };
enum { FMI_MANAGER_ADDRESS_BYTES = 192, FMI_MANAGER_DETAIL_BYTES = 248 };

/*
 *      0:  | mark | number |                     creator, closer; number: never another manager's
 *     16:  | names | types |                     creator
 *     32:  | guard |                             its holder
 *     40:  | state | error | server | clients |  above; server, constant; most clients
 *     56:  | max_frame |                         creator
 *     64:  | address |                           creator: what was asked for; then the server: where it listens
 *    256:  | detail |                            the server, before `error`
 *    504:  | key_bytes | key |                   creator
 *    576:  end
 */
struct fmi_manager_shm {
    _Atomic uint64_t mark;
    uint64_t number;
    fm_dict *names; /* name -> address of fmi_named_shm */
    fm_dict *types; /* name -> address of fmi_type_shm */
    struct fmi_lock_shm guard;
    _Atomic uint32_t state; /* a futex */
    int32_t error;
    int32_t server; /* pid */
    int32_t max_clients;
    uint64_t max_frame;
    char address[FMI_MANAGER_ADDRESS_BYTES];
    char detail[FMI_MANAGER_DETAIL_BYTES];
    uint32_t key_bytes;
    uint32_t pad;
    uint8_t key[FM_MANAGER_MAX_KEY_BYTES];
};
static_assert(offsetof(struct fmi_manager_shm, state) == 40, "manager: layout");
static_assert(offsetof(struct fmi_manager_shm, address) == 64, "manager: layout");
static_assert(offsetof(struct fmi_manager_shm, key) == 512, "manager: layout");
static_assert(sizeof(struct fmi_manager_shm) == 576, "manager: layout");

#define FMI_NAMED_DELETED UINT64_C(0x8000000000000000)
#define FMI_NAMED_USER    UINT32_MAX /* kind of an object of one's own */

struct fmi_type_shm;

/*
 * A named object. `pins`: { DELETED:1, count:63 }.
 *
 *   DIES HERE: who has it pinned: it is never destroyed, but by the end of the family; who deletes it, before it is destroyed: the same.
 *
 *      0:  | object | pins | lock |          creator; anyone; who runs a method of one's own
 *     24:  | kind | serial | type |          creator
 *     40:  | type_name |                     creator
 *     72:  end
 */
struct fmi_named_shm {
    void *object;
    _Atomic uint64_t pins;
    struct fmi_lock_shm lock;
    uint32_t kind; /* fmi_kind_at(), or FMI_NAMED_USER */
    uint32_t pad;
    struct fmi_type_shm *type;
    char type_name[FM_MANAGER_TYPE_BYTES + 1];
};
static_assert(sizeof(struct fmi_named_shm) == 72, "manager: layout");

struct fmi_type_method_shm {
    char name[FM_MANAGER_TYPE_BYTES + 1];
    struct fmi_function_shm function;
};
/* Constant once it is known. */
struct fmi_type_shm {
    uint64_t object_bytes;
    uint32_t n_methods;
    uint32_t pad;
    struct fmi_type_method_shm methods[];
};

/* Where requests go, in any handle. */
struct fmi_link_target {
    const void *owner; /* the handle */
    uint64_t number;   /* of it: addresses are given again */
    const char *address;
    const uint8_t *key;
    size_t key_bytes;
    uint64_t max_frame;
};

/* Of fm_manager_connect(); private. */
struct fmi_manager_client {
    _Atomic uint64_t mark;
    uint64_t number;
    struct fmi_manager_shm *shm; /* NULL: the heap is not mapped */
    uint64_t max_frame;
    size_t key_bytes;
    char address[FMI_MANAGER_ADDRESS_BYTES];
    char reason[FMI_MANAGER_DETAIL_BYTES]; /* why it is not */
    uint8_t key[FM_MANAGER_MAX_KEY_BYTES];
};

/* A handle, looked at. */
struct fmi_manager {
    struct fmi_manager_shm *shm; /* NULL: by requests only */
    struct fmi_manager_client *client;
    struct fmi_link_target target;
};
/* 0; -EINVAL NULL; FM_ECORRUPT. */
int fmi_manager_look(const fm_manager *m, struct fmi_manager *out);

/* ---- registry.c: what is done where the heap is. Codes as the public functions. ------------------------ */

int fmi_registry_create(struct fmi_manager_shm *m, const char *name, const char *type,
                        const fm_bytes *args, int n_args, int64_t deadline_ns);
int fmi_registry_delete(struct fmi_manager_shm *m, const char *name);
int fmi_registry_list(struct fmi_manager_shm *m, fm_snapshot **out);
int fmi_registry_register(struct fmi_manager_shm *m, const char *name, const fm_method *methods,
                          int n, size_t object_bytes);
/* Pinned objects are not destroyed before they are unpinned. */
int fmi_registry_pin(struct fmi_manager_shm *m, const char *name, struct fmi_named_shm **out);
void fmi_registry_unpin(struct fmi_named_shm *named);
/* ENDED: all names are gone, all that is not pinned is destroyed. The second time it does nothing. */
void fmi_registry_end(struct fmi_manager_shm *m);

/* ---- user_type.c: methods of one's own, in the server -------------------------------------------------- */

int fmi_user_call(struct fmi_named_shm *named, fm_bytes name, const struct fmi_call *call,
                  const struct fmi_caller *caller);

/* ---- server.c ------------------------------------------------------------------------------------------ */

int fmi_manager_serve(void *record); /* an fm_target_fn */

/* ---- link.c: connections of this process to servers, one a thread -------------------------------------- */

/* A request and its reply, whose fields lie in *bytes: both to be cleared and freed, also after an error that is the reply's. */
int fmi_link_request(const struct fmi_link_target *to, const struct fmi_request *request,
                     int64_t deadline_ns, struct fmi_request *reply, void **bytes);
/* Closes what this process has of it. */
void fmi_link_close_all(const void *owner, uint64_t number);
/* The first connection of a client: says HELLO, and gets the heap if it may. */
int fmi_link_open_first(struct fmi_manager_client *client, unsigned flags, int64_t deadline_ns);

#endif
