/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* What is no journal, or has any bytes in it, is refused or taken as one; nothing crashes, and what is refused is not changed. */
#include "t_journal.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { SMALL = 3000, N_ROUNDS = 150 };

static int write_number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return *(const int64_t *)item % 100 == 50 ? 3 : 0;
}

struct made {
    fm_pool *pool;
    fm_array *out;
    const char *path;
};

static struct made make(void)
{
    struct made m = {.pool = t_open(2, FM_CALLER_SLEEPS), .path = t_path_of("journal")};
    t_expect(fm_npy_create(t_path_of("out.npy"), FM_I64, 1, T_SHAPE(SMALL), &m.out), 0);
    return m;
}

static int map(const struct made *m, unsigned flags)
{
    return fm_pool_map_range(
        m->pool, write_number, 0, SMALL, m->out,
        FM_MAP_OPTS(.journal = m->path, .journal_flags = flags, .on_error = FM_ON_ERROR_CONTINUE));
}

static void end(struct made *m)
{
    t_destroy(m->pool);
    fm_array_destroy(m->out);
}

struct content {
    char bytes[FMI_JOURNAL_HEAD_BYTES + SMALL];
    ssize_t n;
};

static void read_all(const char *path, struct content *c)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    c->n = read(fd, c->bytes, sizeof c->bytes);
    close(fd);
}

static void expect_refused(const struct made *m, const void *bytes, size_t n)
{
    static struct content before, after;
    t_write_file(m->path, bytes, n);
    read_all(m->path, &before);
    t_expect(map(m, 0), FM_EFORMAT);
    read_all(m->path, &after);
    assert_int_equal(after.n, before.n);
    assert_memory_equal(after.bytes, before.bytes, (size_t)before.n);
}

static void test_journal_that_is_none_is_refused_and_kept(void **state)
{
    (void)state;
    struct made m = make();
    static struct content whole, bad;
    expect_refused(&m, "", 0);
    expect_refused(&m, "a text of mine\n", 15);
    assert_int_equal(unlink(m.path), 0);
    t_expect(map(&m, 0), FM_ETASK);
    read_all(m.path, &whole);
    assert_int_equal(whole.n, sizeof whole.bytes);
    expect_refused(&m, whole.bytes, sizeof whole.bytes - 1);
    expect_refused(&m, whole.bytes, 100);
    expect_refused(&m, whole.bytes, 4096);
    for (size_t at = 0; at < 88; at++) {
        bad = whole;
        bad.bytes[at] = (char)(bad.bytes[at] ^ 1);
        expect_refused(&m, bad.bytes, sizeof bad.bytes);
    }
    t_write_file(m.path, whole.bytes, sizeof whole.bytes);
    t_expect(map(&m, 0), FM_ETASK);
    end(&m);
}

static void test_journal_that_is_no_file_is_refused(void **state)
{
    (void)state;
    struct made m = make();
    m.path = t_temp_dir();
    t_expect(map(&m, 0), -EISDIR);
    m.path = t_path_of("fifo");
    assert_int_equal(mkfifo(m.path, 0600), 0);
    t_expect(map(&m, 0), FM_EFORMAT);
    m.path = "/dev/null";
    t_expect(map(&m, 0), FM_EFORMAT);
    m.path = t_path_of("none/journal");
    t_expect(map(&m, 0), -ENOENT);
    end(&m);
}

/* A small generator of its own, so that a failure comes again. */
static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static void test_journal_of_random_bytes_never_crashes(void **state)
{
    (void)state;
    struct made m = make();
    static struct content whole, bad;
    uint64_t x = 88172645463325252u;
    t_expect(map(&m, 0), FM_ETASK);
    read_all(m.path, &whole);
    for (int round = 0; round < N_ROUNDS; round++) {
        bad = whole;
        size_t first = round % 3 == 0 ? 0 : 88; /* the head, or what is after it */
        for (uint64_t k = next_random(&x) % 5000; k > 0; k--)
            bad.bytes[first + next_random(&x) % (sizeof bad.bytes - first)] = (char)next_random(&x);
        t_write_file(m.path, bad.bytes, sizeof bad.bytes);
        int rc = map(&m, round % 2 == 0 ? 0 : FM_JOURNAL_RETRY_FAILED);
        if (rc != FM_ETASK && rc != FM_ECRASHED && rc != FM_ETIMEOUT && rc != FM_EOOM &&
            rc != FM_EFORMAT && rc != 0)
            fail_msg("round %d: %s: %s", round, fm_errname(rc), fm_error_detail());
    }
    assert_int_equal(unlink(m.path), 0);
    t_expect(map(&m, 0), FM_ETASK); /* the pool is as it was */
    end(&m);
}

T_MAIN(T_TEST(test_journal_that_is_none_is_refused_and_kept),
       T_TEST(test_journal_that_is_no_file_is_refused),
       T_TEST(test_journal_of_random_bytes_never_crashes))
