/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* What a manager's server does with bytes that are no requests, from somebody who has the key. */
#include "t_manager.h"

#include "request.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static _Atomic int *n_lines; /* of the server's log; in shared memory */

static void count_line(int level, const char *line, void *arg)
{
    (void)line;
    (void)arg;
    if (level <= FM_LOG_WARNING)
        atomic_fetch_add(n_lines, 1);
}

static fm_manager *start_with_log(void)
{
    n_lines =
        mmap(NULL, sizeof *n_lines, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(n_lines != MAP_FAILED);
    t_expect(fm_log_set(FM_LOG_WARNING, count_line, NULL), 0);
    fm_manager *m = t_manager(NULL);
    t_make(m, "d", "dict", "");
    t_expect_call(m, "d", "set k v", "");
    return m;
}

static void end_with_log(fm_manager *m)
{
    t_expect_call(m, "d", "items", "k v");
    fm_manager *honest = t_client(fm_manager_address(m));
    t_expect_call(honest, "d", "get k", "v");
    t_expect(fm_manager_close(honest), 0);
    t_expect(fm_manager_close(m), 0);
    t_expect(fm_log_set(0, NULL, NULL), 0);
    munmap(n_lines, sizeof *n_lines);
}

static fm_conn *connect_raw(const fm_manager *m)
{
    fm_conn *c;
    t_expect(fm_connect(fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY, NULL, &c), 0);
    return c;
}

/* What is sent gets no answer but the end. */
static void expect_end(fm_conn *c)
{
    char reply[4096];
    size_t n;
    t_expect(fm_conn_recv_timed(c, reply, sizeof reply, &n, FM_SECONDS(10)), FM_ECLOSED);
    t_expect(fm_conn_close(c), 0);
}

static void send_words(fm_conn *c, int op, int64_t number, const char *const *words, uint32_t n)
{
    fm_bytes fields[8];
    void *bytes;
    size_t n_bytes;
    for (uint32_t i = 0; i < n; i++)
        fields[i] = fm_text(words[i]);
    const struct fmi_request r = {op, number, n, fields};
    assert_int_equal(fmi_request_encode(&r, 1 << 20, &bytes, &n_bytes), 0);
    t_expect(fm_conn_send(c, bytes, n_bytes), 0);
    free(bytes);
}

static void greet(fm_conn *c)
{
    char reply[4096];
    const char *const words[] = {"0", "1", ""};
    send_words(c, FMI_REQUEST_HELLO, 0, words, 3);
    t_expect(fm_conn_recv_timed(c, reply, sizeof reply, NULL, FM_SECONDS(10)), 0);
}

static void test_manager_ends_a_connection_whose_bytes_are_no_request(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[32];
        size_t n;
    } bad[] = {
        {{0}, 0},
        {{1, 4, 0, 0}, 15},                           /* half a header */
        {{2, 4, 0, 0}, 16},                           /* another version */
        {{1, 0, 0, 0}, 16},                           /* no operation */
        {{1, 99, 0, 0}, 16},                          /* no operation */
        {{1, 8, 0, 0, 1}, 24},                        /* a reply */
        {{1, 4, 0, 0, 0xff, 0xff, 0xff, 0xff}, 16},   /* 2^32 - 1 fields */
        {{1, 3, 0, 0, 1, [16] = 1, [23] = 0x80}, 25}, /* 2^63 bytes */
        {{1, 3, 0, 0, 1, [16] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 24}, /* 2^64 - 1 */
        {{1, 4, 0, 0}, 17},                          /* a byte too many */
        {{1, 6, 0, 0, 1, [16] = 1, [24] = 'd'}, 25}, /* a call without a method */
    };
    fm_manager *m = start_with_log();
    for (size_t i = 0; i < T_N_OF(bad); i++)
        for (int has_greeted = 0; has_greeted < 2; has_greeted++) {
            const int before = atomic_load(n_lines);
            fm_conn *c = connect_raw(m);
            if (has_greeted)
                greet(c);
            t_expect(fm_conn_send(c, bad[i].bytes, bad[i].n), 0);
            expect_end(c);
            assert_int_equal(atomic_load(n_lines), before + 1);
        }
    end_with_log(m);
}

static void test_manager_wants_a_greeting_first_and_only_one(void **state)
{
    (void)state;
    const char *const hello[] = {"0", "1", ""}, *const call[] = {"d", "clear"};
    fm_manager *m = start_with_log();
    fm_conn *c = connect_raw(m);
    send_words(c, FMI_REQUEST_CALL, -1, call, 2);
    expect_end(c);
    c = connect_raw(m);
    greet(c);
    send_words(c, FMI_REQUEST_HELLO, 0, hello, 3);
    expect_end(c);
    const char *const bad_hello[][3] = {
        {"4", "1", ""},
        {"0", "0", ""},
        {"x", "1", ""},
        {"0", "1", "............................................................."}};
    for (size_t i = 0; i < T_N_OF(bad_hello); i++) {
        c = connect_raw(m);
        send_words(c, FMI_REQUEST_HELLO, 0, bad_hello[i], 3);
        expect_end(c);
    }
    end_with_log(m);
}

static void test_manager_gives_no_heap_to_who_says_another_pid(void **state)
{
    (void)state;
    char reply[4096], pid[16];
    size_t n;
    snprintf(pid, sizeof pid, "%d", (int)getpid() + 1);
    const char *const words[] = {"1", pid, ""};
    struct fmi_request r;
    fm_manager *m = start_with_log();
    fm_conn *c = connect_raw(m);
    send_words(c, FMI_REQUEST_HELLO, 0, words, 3);
    t_expect(fm_conn_recv_timed(c, reply, sizeof reply, &n, FM_SECONDS(10)), 0);
    t_expect(fmi_request_decode(&r, reply, n), 0);
    assert_int_equal(r.n_fields, 4);
    assert_memory_equal(r.fields[1].data, "calls", 5);
    fmi_request_clear(&r);
    t_expect(fm_conn_close(c), 0);
    end_with_log(m);
}

/* Good requests with some bytes changed: whatever comes of it, the next honest client is served. */
static void test_manager_survives_requests_that_were_changed(void **state)
{
    (void)state;
    const char *const words[] = {"d", "get", "k", "x"};
    fm_bytes fields[4];
    void *bytes;
    size_t n_bytes;
    uint32_t seed = 7;
    fm_manager *m = start_with_log();
    for (int i = 0; i < 4; i++)
        fields[i] = fm_text(words[i]);
    const struct fmi_request r = {FMI_REQUEST_CALL, 0, 3, fields};
    assert_int_equal(fmi_request_encode(&r, 1 << 20, &bytes, &n_bytes), 0);
    fm_conn *c = NULL;
    for (int round = 0; round < 400; round++) {
        unsigned char changed[256];
        char reply[4096];
        memcpy(changed, bytes, n_bytes);
        for (int k = 0; k < 3; k++) {
            seed = seed * 1664525 + 1013904223;
            const size_t at =
                2 + (seed >> 8) % (n_bytes - 2); /* not what it is: it might be the end of all */
            changed[at] = (unsigned char)(seed >> 24);
        }
        if (c == NULL) {
            c = connect_raw(m);
            greet(c);
        }
        if (fm_conn_send(c, changed, n_bytes) != 0 ||
            fm_conn_recv_timed(c, reply, sizeof reply, NULL, FM_SECONDS(10)) != 0) {
            t_expect(fm_conn_close(c), 0);
            c = NULL;
        }
    }
    t_expect(fm_conn_close(c), 0);
    free(bytes);
    end_with_log(m);
}

static void test_manager_serves_others_while_a_client_is_silent(void **state)
{
    (void)state;
    enum { N = 40 };
    fm_conn *silent[N];
    fm_manager *m = start_with_log();
    for (int i = 0; i < N; i++) {
        silent[i] = connect_raw(m);
        if (i % 2 == 0)
            greet(silent[i]);
    }
    fm_manager *honest = t_client(fm_manager_address(m));
    t_expect_call(honest, "d", "get k", "v");
    t_expect(fm_manager_close(honest), 0);
    for (int i = 0; i < N; i++)
        t_expect(fm_conn_close(silent[i]), 0);
    end_with_log(m);
}

T_MAIN(T_TEST(test_manager_ends_a_connection_whose_bytes_are_no_request),
       T_TEST(test_manager_wants_a_greeting_first_and_only_one),
       T_TEST(test_manager_gives_no_heap_to_who_says_another_pid),
       T_TEST(test_manager_survives_requests_that_were_changed),
       T_TEST(test_manager_serves_others_while_a_client_is_silent))
