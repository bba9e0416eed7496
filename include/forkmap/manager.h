/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_MANAGER_H
#define FORKMAP_MANAGER_H

/**
 * @file manager.h
 * Objects by name, for processes of the family and for programs of no family.
 */
/**
 * @defgroup fm_managers Managers
 * Dicts, lists, queues, arrays, locks and objects of one's own, by name: for the family, for other programs of this user, and over TCP.
 *
 *     fm_manager *m; fm_dict *d;
 *     rc = fm_manager_start(&m, NULL);                                        a server process
 *     rc = fm_manager_create(m, "ages", "dict", NULL, 0, FM_FOREVER);
 *     rc = fm_manager_get(m, "ages", (void *)&d);                             the dict itself
 *     rc = fm_dict_set(d, fm_text("Ada"), fm_text("36"), FM_FOREVER);
 *
 * A manager is a process that listens, and a table of names in the shared heap. Who has the heap mapped (fm_manager_is_here()) gets pointers to the objects
 * themselves, and no message passes between it and the server:
 *
 * | a process | its handle comes from | fm_manager_get() | fm_manager_call() |
 * |---|---|---|---|
 * | of the family | fm_manager_start(), by any of them, handed on as a pointer | the object | done here; methods of one's own: by the server |
 * | another program of this user and machine, by a path | fm_manager_connect() | the object, if the heap's addresses are free | as before |
 * | the same, with a heap of its own; or any, by TCP | fm_manager_connect() | FM_EREMOTE | by the server |
 *
 * **Types.** `dict` `list` `namespace` `queue` `value` `array` `lock` `rlock` `semaphore` `event` `condition` `barrier` `rwlock`, and those of fm_manager_register(). What a new one is like,
 * texts say: `value` "f8" "1.5"; `array` "f8" "1000,1000"; `queue` its capacity; `semaphore` its units, and the most; `barrier` its parties.
 *
 * **Methods**, for fm_manager_call(). Arguments and results are bytes; numbers are decimal texts, of which floats have all their digits. In brackets: may be left out.
 *
 * | type | methods |
 * |---|---|
 * | dict | `get` key -> value; `set` key value; `delete` key; `contains` key -> 0, 1; `len` -> n; `pop` key -> value; `popitem` -> key value; `setdefault` key value -> value; `update` key value ...; `add` key [n] -> sum; `keys`, `values`, `items` -> all; `clear` |
 * | list | `append` item; `extend` item ...; `insert` i item; `get` i -> item; `set` i item; `pop` [i] -> item; `delete` i; `remove` item; `index` item -> i; `count` item -> n; `contains` item -> 0, 1; `len` -> n; `sort`, by bytes; `reverse`; `slice` [begin [end]] -> items; `clear` |
 * | namespace | `get` name -> value; `set` name value; `delete` name; `contains` name -> 0, 1; `items` -> all |
 * | queue | `put` message; `get` -> message; `size` -> n; `empty`, `full` -> 0, 1; `close` |
 * | value | `get` -> number; `set` number; `add` number -> the number before |
 * | array | `get` index ... -> number; `set` index ... number; `read` [first n] -> bytes; `write` first bytes; `shape` -> n ...; `dtype` -> text |
 * | lock, rlock | `acquire`, `release`, `locked` -> 0, 1 |
 * | semaphore | `acquire`, `release` [n], `value` -> n |
 * | event | `set`, `clear`, `wait`, `is_set` -> 0, 1 |
 * | condition | `acquire`, `release`, `wait`, `notify` [n], `notify_all` |
 * | barrier | `wait` -> index; `reset`, `abort`, `parties`, `waiting` -> n, `broken` -> 0, 1 |
 * | rwlock | `acquire_read`, `acquire_write`, `release` |
 *
 * What a method returns is what the function of that name returns. A `struct` value is bytes instead of a number.
 *
 * **Who holds a lock.** A thread that calls: of the server's, the one that serves the calling thread's connection. It ends with the connection, and that with the calling thread, so a client that dies with a lock leaves it as any other
 * process does: the next who acquires it gets FM_EOWNERDEAD.
 *
 * **When the server dies.** The family and who has the heap mapped go on with all objects; what would need the server is FM_ECLOSED.
 *
 * **What a server believes.** Nothing: a request is bytes with lengths, which are checked before anything is allocated or done. What is none ends its connection, with a line in the log.
 * A client that has the heap mapped is trusted as the family is: it has shown the key, and is the same user's.
 * @{
 */

#include <forkmap/array.h> /* FM_AUTO */
#include <forkmap/snapshot.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A manager. Opaque; of fm_manager_start() it lives in the heap, of fm_manager_connect() in the memory of the process that called it. */
typedef struct fm_manager fm_manager;

enum {
    FM_MANAGER_NAME_BYTES = 240,  /**< [bytes] of an object's name at most */
    FM_MANAGER_TYPE_BYTES = 31,   /**< [bytes] of a type's, and a method's, name at most */
    FM_MANAGER_MAX_METHODS = 64,  /**< of a type of one's own at most */
    FM_MANAGER_MAX_KEY_BYTES = 64 /**< [bytes] of a key at most */
};

/** Options of fm_manager_start(). */
typedef struct fm_manager_opts {
    size_t struct_size; /**< set by FM_MANAGER_OPTS() */
    const char
        *address; /**< where it listens, as for fm_listener_open(); NULL: a path of its own */
    const void *authkey;  /**< the key; NULL: that of this process, fm_process_authkey() */
    size_t authkey_bytes; /**< [bytes] of it, 1 .. FM_MANAGER_MAX_KEY_BYTES; 0 if there is none */
    int max_clients; /**< connections at a time, one a thread that calls; of more, each is refused; 0: 256 */
    uint64_t max_frame; /**< [bytes] longest request, and longest reply; 0: 64 MiB */
    int64_t timeout;    /**< [ns] until it listens; 0: 60 s */
} fm_manager_opts;
/**
 * @def FM_MANAGER_OPTS
 * Options by name, the others 0: `FM_MANAGER_OPTS(.address = "localhost:0")`.
 */
#define FM_MANAGER_OPTS(...) FM_OPTS(fm_manager_opts, __VA_ARGS__)

/** Flags of fm_manager_connect_opts. */
enum fm_manager_connect_flag {
    FM_MANAGER_NO_MAP = 1 /**< calls only, also where the memory could be mapped */
};

/** Options of fm_manager_connect(). */
typedef struct fm_manager_connect_opts {
    size_t struct_size; /**< set by FM_MANAGER_CONNECT_OPTS() */
    unsigned flags;     /**< of fm_manager_connect_flag */
    int64_t timeout;    /**< [ns] for all of it; 0: 20 s; FM_FOREVER */
    uint64_t max_frame; /**< [bytes] longest reply; 0: 64 MiB */
} fm_manager_connect_opts;
/**
 * @def FM_MANAGER_CONNECT_OPTS
 * Options by name, the others 0: `FM_MANAGER_CONNECT_OPTS(.flags = FM_MANAGER_NO_MAP)`.
 */
#define FM_MANAGER_CONNECT_OPTS(...) FM_OPTS(fm_manager_connect_opts, __VA_ARGS__)

/**
 * Starts a server, a daemonic process, and makes the table of names.
 * @param m     the manager, valid in all processes of the family; NULL on failure
 * @param opts  FM_MANAGER_OPTS(...), or NULL
 * @return 0; `-EINVAL` an option; `-EADDRINUSE`, `-EHOSTUNREACH`, `-EADDRNOTAVAIL`, `-EACCES` ... as fm_listener_open(); `-EPERM`, FM_EUNSAFE, FM_EBROKEN, `-EAGAIN` ... as
 *         fm_process_start(); `-ETIMEDOUT`; `-ENOMEM`, `-ENOSPC`
 * State after an error: nothing was made.
 * Blocks / thread-safety: until it listens; any thread.
 * Source: multiprocessing.Manager, BaseManager.start.
 */
FM_API FM_NODISCARD int fm_manager_start(fm_manager **m, const fm_manager_opts *opts);

/**
 * Connects to a manager, of whatever program. By a path it gets the memory of its heap, if this process has no heap and the addresses are free here.
 * @param m          the manager, for this process; NULL on failure
 * @param address    as fm_manager_address() says there
 * @param key        its key
 * @param key_bytes  [bytes] of it
 * @param opts       FM_MANAGER_CONNECT_OPTS(...), or NULL
 * @return 0, whether the memory is mapped or not: see fm_manager_is_here(); FM_EAUTH another key; FM_EFORMAT no manager of this version; `-EUSERS` it has as many clients as it may have;
 *         `-ECONNREFUSED`, `-ENOENT`, FM_ECLOSED, `-ETIMEDOUT`, `-EINVAL` ... as fm_connect()
 * State after an error: nothing was made.
 * Undefined: two threads whose first use of the shared heap is this call and another one.
 * Blocks / thread-safety: up to the timeout; any thread.
 * Source: BaseManager.connect.
 */
FM_API FM_NODISCARD int fm_manager_connect(fm_manager **m, const char *address, const void *key,
                                           size_t key_bytes, const fm_manager_connect_opts *opts);

/**
 * Ends the server, for all: objects are destroyed, its path is removed. Any client may.
 * @param m  a manager
 * @return 0, also if it has ended before; `-EINVAL` NULL; FM_ECORRUPT no manager; `-ETIMEDOUT` the server is there, and has not answered in 20 s
 * State after an error: some objects may be there. fm_manager_close() in the process that started it frees what is left.
 * Undefined: use of pointers to its objects afterwards.
 * Blocks / thread-safety: until it has ended, at most 20 s; any process and thread.
 * Source: BaseManager.shutdown.
 */
FM_API int fm_manager_shutdown(fm_manager *m);

/**
 * Gives a handle back. In the process that called fm_manager_start(): ends the server, if that has not been done, and frees the handle for all. In another of the family: closes what this process has of it.
 * Of fm_manager_connect(): closes its connections; the memory stays mapped, and pointers stay valid as long as the objects.
 * @param m  a manager; NULL is ignored
 * @return 0; FM_ECORRUPT no manager
 * State after an error: nothing was done.
 * Undefined: use of the handle afterwards; other threads use it meanwhile.
 * Blocks / thread-safety: as fm_manager_shutdown().
 */
FM_API int fm_manager_close(fm_manager *m);

/**
 * Where it listens, for fm_manager_connect().
 * @param m  a manager
 * @return a text that lives as long as the handle; "" for NULL
 * Blocks / thread-safety: never; any thread.
 * Source: BaseManager.address.
 */
FM_API const char *fm_manager_address(const fm_manager *m);

/**
 * Whether the objects' memory is in this process: whether fm_manager_get() gives pointers.
 * @param m  a manager
 * @return 1; 0, and fm_error_detail() says why; `-EINVAL` NULL; FM_ECORRUPT no manager
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_manager_is_here(fm_manager *m);

/**
 * Makes an object. It lives until it is deleted, or the manager ends.
 * @param m        a manager
 * @param name     its name, 1 .. FM_MANAGER_NAME_BYTES bytes
 * @param type     what it is, see above
 * @param args     what it is to be like: texts
 * @param n_args   [arguments]
 * @param timeout  [ns]
 * @return 0; `-EEXIST` there is one of that name; `-EINVAL` NULL, no such type, a name or argument; `-ENOMEM`, `-ENOSPC`; `-ETIMEDOUT`; FM_ECLOSED the manager has ended; FM_ECORRUPT
 * State after an error: nothing was made; by the server, `-ETIMEDOUT`, FM_ECLOSED: perhaps it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: multiprocessing.managers.SyncManager.dict, .list, .Queue, .Value, .Array, .Lock, ...
 */
FM_API FM_NODISCARD int fm_manager_create(fm_manager *m, const char *name, const char *type,
                                          const fm_bytes *args, int n_args, int64_t timeout);

/**
 * The object of a name itself: an fm_dict, fm_list, fm_namespace, fm_queue, fm_value, fm_array, fm_lock, fm_rlock, fm_sem, fm_event, fm_cond, fm_barrier, fm_rwlock, or the memory of an object of one's own.
 * @param m     a manager
 * @param name  its name
 * @param obj   gets the pointer; NULL on failure
 * @return 0; `-ENOENT` no such name; FM_EREMOTE the memory is not here (detail): use fm_manager_call(); FM_ECLOSED the manager has ended; `-EINVAL` NULL; FM_ECORRUPT
 * State after an error: nothing changed.
 * Undefined: use after fm_manager_delete() or the manager's end; destroying it; calling it another type than it is.
 * Blocks / thread-safety: while others look for a name; any process and thread. The server has no part in it.
 * Source: BaseManager's proxies, without the proxy.
 */
FM_API FM_NODISCARD int fm_manager_get(fm_manager *m, const char *name, void **obj);

/**
 * Destroys an object. What calls on it fm_manager_call() is doing goes on with it, and the last one destroys it.
 * @param m     a manager
 * @param name  its name
 * @return 0; `-ENOENT` no such name; FM_ECLOSED the manager has ended; `-EINVAL`; FM_ECORRUPT
 * State after an error: it is there.
 * Undefined: somebody uses it by its pointer.
 * Blocks / thread-safety: while others look for a name; any process and thread.
 * Source: the end of the last proxy.
 */
FM_API FM_NODISCARD int fm_manager_delete(fm_manager *m, const char *name);

/**
 * All names, in the order in which objects were made, and what they are.
 * @param m    a manager
 * @param out  keys: names; values: types. To be freed by fm_snapshot_free(); NULL on failure
 * @return 0; FM_ECLOSED the manager has ended; `-ENOMEM`; `-EINVAL`; FM_ECORRUPT
 * State after an error: nothing was made.
 * Blocks / thread-safety: while others look for a name; any process and thread.
 * Source: multiprocessing.managers.Server.debug_info.
 */
FM_API FM_NODISCARD int fm_manager_list(fm_manager *m, fm_snapshot **out);

/**
 * Calls a method of an object.
 * @param m        a manager
 * @param name     the object's name
 * @param method   see above
 * @param args     its arguments
 * @param n_args   [arguments]
 * @param reply    `values`: its results, one after another, to be freed by fm_snapshot_free(); NULL on failure; may be NULL
 * @param timeout  [ns] that the method may wait; FM_FOREVER, FM_NOWAIT. A server has 20 s more to answer
 * @return what the method returns: 0, FM_EOWNERDEAD (done, and the reply is there), or what the function of that name says; `-ENOENT` no such object, or no such key; `-ENOSYS` the type has no such method; `-EINVAL`
 *         arguments; FM_ETOOLONG request or reply are longer than `max_frame` allows; FM_ECLOSED the manager has ended, or the connection; `-ETIMEDOUT`; `-EUSERS` too many clients; FM_ECORRUPT
 * State after an error: as after that function; by the server, FM_ECLOSED, and `-ETIMEDOUT` if it has not answered: perhaps it was done.
 * Blocks / thread-safety: up to `timeout`; any process and thread. Threads do not wait for each other's calls: each has a connection.
 * Source: multiprocessing.managers.BaseProxy._callmethod.
 */
FM_API FM_NODISCARD int fm_manager_call(fm_manager *m, const char *name, const char *method,
                                        const fm_bytes *args, int n_args, fm_snapshot **reply,
                                        int64_t timeout);

/** What a method gives back. Opaque. */
typedef struct fm_reply fm_reply;

/**
 * Adds a result to a reply.
 * @param reply  of the method that is running
 * @param value  the bytes, copied
 * @return 0; `-ENOMEM`; `-EINVAL` NULL
 * State after an error: as it was.
 * Blocks / thread-safety: never; the thread of the method.
 */
FM_API FM_NODISCARD int fm_reply_add(fm_reply *reply, fm_bytes value);

/**
 * A method of a type of one's own. It runs in the server, and no other method of the object does meanwhile.
 * @param object  the object's memory, in the heap; its bytes are 0 at first
 * @param args    arguments; aligned to 8 bytes, with a NUL behind each that is not counted
 * @param n_args  [arguments]
 * @param reply   for fm_reply_add()
 * @return a code, as a function of the library: 0, a negative errno, FM_E...
 */
typedef int fm_method_fn(void *object, const fm_bytes *args, int n_args, fm_reply *reply);

/** A method and its name. */
typedef struct fm_method {
    const char *name; /**< 1 .. FM_MANAGER_TYPE_BYTES bytes */
    fm_method_fn *fn; /**< of the program, or of any library, static or not */
} fm_method;

/**
 * Makes a type known, with methods that the server runs. By a process of the family only: nobody else tells a server what to run.
 * @param m             a manager of fm_manager_start()
 * @param type          its name, 1 .. FM_MANAGER_TYPE_BYTES bytes
 * @param methods       n methods
 * @param n             [methods] 0 .. FM_MANAGER_MAX_METHODS
 * @param object_bytes  [bytes] of an object, >= 1
 * @return 0; `-EEXIST` there is such a type; `-EINVAL` a name twice, NULL, out of range; FM_ENOFUNC a function lies in no loaded file; `-EPERM` a manager of fm_manager_connect();
 *         FM_ECLOSED it has ended; `-ENOMEM`, `-ENOSPC`; FM_ECORRUPT
 * State after an error: nothing changed.
 * Blocks / thread-safety: while others look for a name; any process of the family, any thread.
 * Source: multiprocessing.managers.BaseManager.register.
 */
FM_API FM_NODISCARD int fm_manager_register(fm_manager *m, const char *type,
                                            const fm_method *methods, int n, size_t object_bytes);

static inline void fm_manager_auto(fm_manager **m)
{
    fm_manager_close(*m);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
