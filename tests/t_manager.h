/* SPDX-License-Identifier: MIT */
#ifndef T_MANAGER_H
#define T_MANAGER_H

/* Short hands for tests of managers. */
#include "t_process.h"

#include <forkmap/forkmap.h>
#include <inttypes.h>
#include <string.h>

#define T_MANAGER_KEY "a key that only this test knows"

static inline fm_manager *t_manager(const char *address)
{
    fm_manager *m;
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.address = address, .authkey = T_MANAGER_KEY,
                                                  .authkey_bytes = sizeof T_MANAGER_KEY)),
             0);
    assert_non_null(m);
    return m;
}

/* Calls only. */
static inline fm_manager *t_client(const char *address)
{
    fm_manager *m;
    t_expect(fm_manager_connect(&m, address, T_MANAGER_KEY, sizeof T_MANAGER_KEY,
                                FM_MANAGER_CONNECT_OPTS(.flags = FM_MANAGER_NO_MAP)),
             0);
    assert_non_null(m);
    return m;
}

/* "get a b": method and arguments are words. The results, with blanks between them, go to `out`. */
static inline int t_call_timed(fm_manager *m, const char *name, const char *words, char *out,
                               size_t cap, int64_t timeout)
{
    char text[256], *rest = text;
    fm_bytes args[12];
    int n = 0;
    fm_snapshot *reply = NULL;
    snprintf(text, sizeof text, "%s", words);
    const char *method = strsep(&rest, " ");
    while (rest != NULL)
        args[n++] = fm_text(strsep(&rest, " "));
    int rc = fm_manager_call(m, name, method, args, n, &reply, timeout);
    size_t at = 0;
    out[0] = '\0';
    for (int64_t i = 0; reply != NULL && i < reply->n && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%.*s", i == 0 ? "" : " ",
                               (int)reply->values[i].bytes, (const char *)reply->values[i].data);
    fm_snapshot_free(reply);
    return rc;
}

static inline int t_call(fm_manager *m, const char *name, const char *words, char *out, size_t cap)
{
    return t_call_timed(m, name, words, out, cap, FM_SECONDS(10));
}

static inline void t_expect_call(fm_manager *m, const char *name, const char *words,
                                 const char *expected)
{
    char got[512];
    t_expect(t_call(m, name, words, got, sizeof got), 0);
    assert_string_equal(got, expected);
}

static inline void t_expect_refusal(fm_manager *m, const char *name, const char *words, int code)
{
    char got[512];
    t_expect(t_call(m, name, words, got, sizeof got), code);
    assert_string_equal(got, "");
}

static inline void t_make(fm_manager *m, const char *name, const char *type, const char *words)
{
    char text[64], *rest = text;
    fm_bytes args[4];
    int n = 0;
    snprintf(text, sizeof text, "%s", words);
    while (rest != NULL && words[0] != '\0')
        args[n++] = fm_text(strsep(&rest, " "));
    t_expect(fm_manager_create(m, name, type, args, n, FM_SECONDS(10)), 0);
}

/* Every type and method of the library's, by calls: the same whether they are done here or by the server. */
static inline void t_expect_all_types(fm_manager *m)
{
    t_make(m, "d", "dict", "");
    t_expect_call(m, "d", "set b 2", "");
    t_expect_call(m, "d", "set a 1", "");
    t_expect_call(m, "d", "get b", "2");
    t_expect_refusal(m, "d", "get c", -ENOENT);
    t_expect_call(m, "d", "contains a", "1");
    t_expect_call(m, "d", "contains c", "0");
    t_expect_call(m, "d", "setdefault a 7", "1");
    t_expect_call(m, "d", "setdefault c 3", "3");
    t_expect_call(m, "d", "update d 4 a 5", "");
    t_expect_call(m, "d", "keys", "b a c d");
    t_expect_call(m, "d", "values", "2 5 3 4");
    t_expect_call(m, "d", "items", "b 2 a 5 c 3 d 4");
    t_expect_call(m, "d", "pop a", "5");
    t_expect_call(m, "d", "popitem", "d 4");
    t_expect_call(m, "d", "delete b", "");
    t_expect_refusal(m, "d", "delete b", -ENOENT);
    t_expect_call(m, "d", "len", "1");
    t_expect_call(m, "d", "clear", "");
    t_expect_call(m, "d", "len", "0");
    t_expect_call(m, "d", "add n -5", "-5");
    t_expect_call(m, "d", "add n", "-4");

    t_make(m, "li", "list", "");
    t_expect_call(m, "li", "append c", "");
    t_expect_call(m, "li", "extend a b a", "");
    t_expect_call(m, "li", "insert 0 z", "");
    t_expect_call(m, "li", "slice", "z c a b a");
    t_expect_call(m, "li", "slice 1 -1", "c a b");
    t_expect_call(m, "li", "get -2", "b");
    t_expect_refusal(m, "li", "get x", -EINVAL);
    t_expect_call(m, "li", "index a", "2");
    t_expect_refusal(m, "li", "index q", -ENOENT);
    t_expect_call(m, "li", "count a", "2");
    t_expect_call(m, "li", "contains q", "0");
    t_expect_call(m, "li", "set 1 y", "");
    t_expect_call(m, "li", "remove a", "");
    t_expect_call(m, "li", "sort", "");
    t_expect_call(m, "li", "slice", "a b y z");
    t_expect_call(m, "li", "reverse", "");
    t_expect_call(m, "li", "pop", "a");
    t_expect_call(m, "li", "pop 0", "z");
    t_expect_call(m, "li", "delete 0", "");
    t_expect_call(m, "li", "len", "1");
    t_expect_call(m, "li", "clear", "");
    t_expect_call(m, "li", "len", "0");

    t_make(m, "ns", "namespace", "");
    t_expect_call(m, "ns", "set x 1", "");
    t_expect_call(m, "ns", "set y 2", "");
    t_expect_call(m, "ns", "get x", "1");
    t_expect_call(m, "ns", "items", "x 1 y 2");
    t_expect_call(m, "ns", "delete x", "");
    t_expect_call(m, "ns", "contains x", "0");
    t_expect_refusal(m, "ns", "get x", -ENOENT);

    t_make(m, "q", "queue", "2");
    t_expect_call(m, "q", "empty", "1");
    t_expect_call(m, "q", "put one", "");
    t_expect_call(m, "q", "put two", "");
    t_expect_call(m, "q", "full", "1");
    t_expect_call(m, "q", "size", "2");
    t_expect_call(m, "q", "get", "one");
    t_expect_call(m, "q", "close", "");
    t_expect_call(m, "q", "get", "two");
    t_expect_refusal(m, "q", "get", FM_ECLOSED);

    t_make(m, "v", "value", "f8 0.1");
    t_expect_call(m, "v", "get", "0.10000000000000001");
    t_expect_call(m, "v", "set -1.5", "");
    t_expect_call(m, "v", "add 2.25", "-1.5");
    t_expect_call(m, "v", "get", "0.75");
    t_make(m, "u", "value", "u8 18446744073709551615");
    t_expect_call(m, "u", "get", "18446744073709551615");
    t_expect_refusal(m, "u", "set -1", -EINVAL);
    t_make(m, "i8", "value", "i1");
    t_expect_call(m, "i8", "set -128", "");
    t_expect_refusal(m, "i8", "set 128", -EINVAL);
    t_expect_call(m, "i8", "get", "-128");

    t_make(m, "a", "array", "i4 2,3");
    t_expect_call(m, "a", "shape", "2 3");
    t_expect_call(m, "a", "set 1 2 -7", "");
    t_expect_call(m, "a", "get 1 2", "-7");
    t_expect_refusal(m, "a", "get 2 0", -EINVAL);
    t_expect_refusal(m, "a", "get 1", -EINVAL);
    t_expect_call(m, "a", "write 0 abcdefgh", "");
    t_expect_call(m, "a", "read 0 2", "abcdefgh");
    t_expect_refusal(m, "a", "write 5 abcdefgh", -EINVAL);

    t_make(m, "l", "lock", "");
    t_expect_call(m, "l", "acquire", "");
    t_expect_call(m, "l", "locked", "1");
    t_expect_call(m, "l", "release", "");
    t_expect_refusal(m, "l", "release", -EPERM);
    t_make(m, "rl", "rlock", "");
    t_expect_call(m, "rl", "acquire", "");
    t_expect_call(m, "rl", "acquire", "");
    t_expect_call(m, "rl", "release", "");
    t_expect_call(m, "rl", "locked", "1");
    t_expect_call(m, "rl", "release", "");
    t_expect_call(m, "rl", "locked", "0");

    t_make(m, "s", "semaphore", "1 2");
    t_expect_call(m, "s", "acquire", "");
    t_expect_call(m, "s", "value", "0");
    t_expect_call(m, "s", "release 2", "");
    t_expect_call(m, "s", "value", "2");

    t_make(m, "e", "event", "");
    t_expect_call(m, "e", "is_set", "0");
    t_expect_call(m, "e", "set", "");
    t_expect_call(m, "e", "wait", "");
    t_expect_call(m, "e", "is_set", "1");
    t_expect_call(m, "e", "clear", "");

    t_make(m, "c", "condition", "");
    t_expect_call(m, "c", "acquire", "");
    t_expect_call(m, "c", "notify", "");
    t_expect_call(m, "c", "notify_all", "");
    t_expect_call(m, "c", "release", "");

    t_make(m, "b", "barrier", "1");
    t_expect_call(m, "b", "wait", "0");
    t_expect_call(m, "b", "parties", "1");
    t_expect_call(m, "b", "waiting", "0");
    t_expect_call(m, "b", "abort", "");
    t_expect_call(m, "b", "broken", "1");
    t_expect_call(m, "b", "reset", "");
    t_expect_call(m, "b", "broken", "0");

    t_make(m, "rw", "rwlock", "");
    t_expect_call(m, "rw", "acquire_read", "");
    t_expect_call(m, "rw", "release", "");
    t_expect_call(m, "rw", "acquire_write", "");
    t_expect_call(m, "rw", "release", "");

    t_expect_refusal(m, "d", "no_such", -ENOSYS);
    t_expect_refusal(m, "d", "get", -EINVAL);
    t_expect_refusal(m, "d", "get a b", -EINVAL);
    t_expect_refusal(m, "nobody", "get a", -ENOENT);
}

/* A type of one's own: a sum of int64_t, and a buffer that tells how often it was asked. */
struct t_tally {
    int64_t sum;
    int64_t n_calls;
};

#endif
