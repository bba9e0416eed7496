/* SPDX-License-Identifier: MIT */
/* LABELS: stress */
/* TIMEOUT: 240 */
/* A message of more bytes than 32 bits count, or than a frame's short header does. */
#include "t_listener.h"

#include "memory.h"

#include <errno.h>
#include <sys/mman.h>

/* What is only read has no pages of its own. Huge ones, or the kernel is asked a million times. */
static uint64_t *map_words(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    assert_true(p != MAP_FAILED);
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static void test_pipe_carries_more_than_4_gib_as_one_message(void **state)
{
    (void)state;
    size_t bytes = ((size_t)4 << 30) + (64 << 20), found = 0, last = bytes / 8 - 1,
           at_4_gib = (size_t)1 << 29;
    if (fmi_sys_memory_left() < (int64_t)10 << 30)
        t_skip("10 GiB of free memory for a message of 4 GiB");
    uint64_t *from = map_words(bytes), *to = map_words(bytes);
    from[0] = 1;
    from[at_4_gib] = 2;
    from[last] = 3;
    fm_conn *a, *b;
    t_expect(fm_pipe(&a, &b, 0), 0);
    int rc = fm_conn_send(b, from, bytes);
    if (rc == 0)
        rc = fm_conn_recv(a, to, bytes, &found);
    int is_whole =
        rc == 0 && found == bytes && to[0] == 1 && to[at_4_gib] == 2 && to[last] == 3 && to[1] == 0;
    t_expect(fm_conn_close(a), 0);
    t_expect(fm_conn_close(b), 0);
    munmap(from, bytes);
    munmap(to, bytes);
    if (rc == -ENOMEM || rc == -ENOSPC)
        t_skip("memory in the heap for a message of 4 GiB");
    t_expect(rc, 0);
    assert_true(is_whole);
}

struct sending {
    fm_conn *c;
    const void *bytes;
    size_t n;
    int rc;
};

static void *send_all(void *arg)
{
    struct sending *s = arg;
    s->rc = fm_conn_send(s->c, s->bytes, s->n);
    return NULL;
}

static void test_socket_carries_more_than_2_gib_as_one_message(void **state)
{
    (void)state;
    size_t bytes = ((size_t)2 << 30) + (16 << 20), found = 0, last = bytes / 8 - 1,
           at_2_gib = (size_t)1 << 28;
    if (fmi_sys_memory_left() < (int64_t)4 << 30)
        t_skip("4 GiB of free memory for a message of 2 GiB");
    uint64_t *from = map_words(bytes), *to = map_words(bytes);
    from[0] = 1;
    from[at_2_gib] = 2;
    from[last] = 3;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    struct sending sending = {.c = two.here, .bytes = from, .n = bytes};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_all, &sending), 0);
    t_expect(fm_conn_recv(two.there, to, bytes - 1, &found), FM_ETOOLONG);
    assert_true(found == bytes);
    t_expect(fm_conn_recv(two.there, to, bytes, &found), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    t_expect(sending.rc, 0);
    assert_true(found == bytes && to[0] == 1 && to[at_2_gib] == 2 && to[last] == 3 && to[1] == 0);
    munmap(from, bytes);
    munmap(to, bytes);
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

T_MAIN(T_TEST(test_pipe_carries_more_than_4_gib_as_one_message),
       T_TEST(test_socket_carries_more_than_2_gib_as_one_message))
