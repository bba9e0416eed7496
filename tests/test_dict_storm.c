/* SPDX-License-Identifier: MIT */
/* LABELS: stress crash */
/* TIMEOUT: 120 */
/*
 * Eight processes use one dict while one of them is killed every 20 ms. Each has keys of its own, whose serial model it keeps in shared memory, and notes each change before and
 * after it: so its successor knows what must be there. Counters are shared by two, each of which has half of the bits. T_DICT_OPS: so many calls at least.
 */
#include "t_sync.h"

#include "heap.h"

#include <stdio.h>

enum {
    N_PARTIES = 8,
    N_KILLS = 150,
    N_KEYS = 48,
    N_COUNTERS = N_PARTIES / 2,
    HALF = 32,
    LARGE = 40000
};

/* What a party has done, and is about to do. Written by its process only. */
struct log {
    _Atomic uint64_t values[N_KEYS]; /* 0: not there */
    _Atomic uint64_t added;          /* modulo 2^31 */
    _Atomic int pending;             /* key + 1; N_KEYS + 1: an addition; 0: nothing */
    _Atomic uint64_t next;           /* what the value becomes */
    _Atomic uint64_t n_done, n_lives, n_settled;
};

struct field {
    fm_dict *dict;
    _Atomic int stop;
    struct log logs[N_PARTIES];
};

struct party {
    struct field *f;
    struct log *log;
    int number;
    uint64_t random;
    char data[LARGE + 8];
};

static uint64_t draw(struct party *p, uint64_t n)
{
    p->random = p->random * 6364136223846793005u + 1442695040888963407u;
    return (p->random >> 33) % n;
}

static fm_bytes key_of(const struct party *p, int k, char *text)
{
    const int n = snprintf(text, 64, "key %d of %d%s", k, p->number,
                           k % 3 ? "" : ", a key too long for a small block");
    return fm_bytes_of(text, (size_t)n);
}

static fm_bytes counter_of(const struct party *p, char *text)
{
    const int n = snprintf(text, 64, "counter %d", p->number / 2);
    return fm_bytes_of(text, (size_t)n);
}

/* A value says its number all over; its length follows from it. */
static size_t length_of(uint64_t value)
{
    return value % 499 == 0 ? LARGE : 8 + value % 5 * (value % 7) * 8;
}

static fm_bytes bytes_of(uint64_t value, char *data)
{
    const size_t bytes = length_of(value);
    for (size_t at = 0; at < bytes; at += sizeof value)
        memcpy(data + at, &value, sizeof value);
    return fm_bytes_of(data, bytes);
}

/* The number of a whole value; 0: it is torn. */
static uint64_t value_in(fm_bytes bytes)
{
    uint64_t value = 0, other;
    const char *data = bytes.data;
    if (bytes.bytes < sizeof value)
        return 0;
    memcpy(&value, data, sizeof value);
    if (bytes.bytes != length_of(value))
        return 0;
    for (size_t at = 0; at < bytes.bytes; at += sizeof other) {
        memcpy(&other, data + at, sizeof other);
        if (other != value)
            return 0;
    }
    return value;
}

/* 0; or what is wrong. *value 0: it is not there. */
static int read_value(struct party *p, int k, uint64_t *value)
{
    char text[64];
    fm_buf buf = fm_buf_of(p->data, sizeof p->data);
    const int code = fm_dict_get(p->f->dict, key_of(p, k, text), &buf, T_LOST);
    *value = 0;
    if (code == -ENOENT)
        return 0;
    *value = code == 0 ? value_in(fm_bytes_of(p->data, buf.bytes)) : 0;
    return *value == 0;
}

static int read_counter(struct party *p, uint64_t *half)
{
    char text[64];
    int64_t n = 0;
    fm_buf buf = fm_buf_of(&n, sizeof n);
    const int code = fm_dict_get(p->f->dict, counter_of(p, text), &buf, T_LOST);
    *half = (uint64_t)n >> (p->number % 2 ? HALF : 0) & 0x7fffffff;
    return code != 0 && code != -ENOENT;
}

/* ---- changes, noted before and after ------------------------------------------------------------- */

static void begin(struct party *p, int what, uint64_t next)
{
    atomic_store(&p->log->next, next);
    atomic_store(&p->log->pending, what + 1);
}

static void end(struct party *p, int what)
{
    if (what == N_KEYS)
        atomic_store(&p->log->added, atomic_load(&p->log->next));
    else
        atomic_store(&p->log->values[what], atomic_load(&p->log->next));
    atomic_store(&p->log->pending, 0);
}

/* What the predecessor was in: it happened, or it did not. */
static int settle(struct party *p)
{
    const int what = atomic_load(&p->log->pending) - 1;
    uint64_t now, before;
    if (what < 0)
        return 0;
    if (what == N_KEYS ? read_counter(p, &now) : read_value(p, what, &now))
        return 1;
    before = atomic_load(what == N_KEYS ? &p->log->added : &p->log->values[what]);
    if (now != before && now != atomic_load(&p->log->next))
        return 1;
    atomic_store(&p->log->next, now);
    end(p, what);
    atomic_fetch_add(&p->log->n_settled, 1);
    return 0;
}

static int set_one(struct party *p, int k, uint64_t value, int only_if_none)
{
    char text[64];
    const fm_bytes key = key_of(p, k, text), bytes = bytes_of(value, p->data);
    const uint64_t before = atomic_load(&p->log->values[k]);
    const int keeps = only_if_none && before != 0;
    begin(p, k, keeps ? before : value);
    const int code = only_if_none ? fm_dict_setdefault(p->f->dict, key, bytes, NULL, T_LOST)
                                  : fm_dict_set(p->f->dict, key, bytes, T_LOST);
    if (code != keeps)
        return 1;
    end(p, k);
    return 0;
}

static int take_one(struct party *p, int k)
{
    char text[64];
    const uint64_t before = atomic_load(&p->log->values[k]);
    fm_buf buf = fm_buf_of(p->data, sizeof p->data);
    begin(p, k, 0);
    const int code = fm_dict_pop(p->f->dict, key_of(p, k, text), &buf, T_LOST);
    if (code != (before == 0 ? -ENOENT : 0) ||
        (code == 0 && value_in(fm_bytes_of(p->data, buf.bytes)) != before))
        return 1;
    end(p, k);
    return 0;
}

static int add_one(struct party *p)
{
    char text[64];
    const uint64_t added = atomic_load(&p->log->added);
    int64_t sum;
    begin(p, N_KEYS, added + 1);
    if (fm_dict_add(p->f->dict, counter_of(p, text), (int64_t)1 << (p->number % 2 ? HALF : 0), &sum,
                    T_LOST) != 0 ||
        ((uint64_t)sum >> (p->number % 2 ? HALF : 0) & 0x7fffffff) != added + 1)
        return 1;
    end(p, N_KEYS);
    return 0;
}

/* All own keys at one moment, and nothing torn. */
static int look_at_all(struct party *p)
{
    fm_snapshot *items;
    int n = 0, bad = 0;
    if (fm_dict_items(p->f->dict, &items, T_LOST) != 0)
        return 1;
    for (int64_t i = 0; i < items->n; i++) {
        int k, of;
        if (sscanf(items->keys[i].data, "key %d of %d", &k, &of) != 2)
            continue;
        const uint64_t value = value_in(items->values[i]);
        bad |= value == 0 || (of == p->number && value != atomic_load(&p->log->values[k]));
        n += of == p->number;
    }
    for (int k = 0; k < N_KEYS; k++)
        n -= atomic_load(&p->log->values[k]) != 0;
    fm_snapshot_free(items);
    return bad || n != 0;
}

static int do_one(struct party *p)
{
    const uint64_t what = draw(p, 1000);
    const int k = (int)draw(p, N_KEYS);
    uint64_t value;
    if (what < 350)
        return set_one(p, k, 1 + draw(p, 1 << 30), 0);
    if (what < 400)
        return set_one(p, k, 1 + draw(p, 1 << 30), 1);
    if (what < 550)
        return take_one(p, k);
    if (what < 750)
        return add_one(p);
    if (what == 750)
        return look_at_all(p);
    return read_value(p, k, &value) != 0 || value != atomic_load(&p->log->values[k]);
}

static int use_dict(void *shared, int number)
{
    static struct party p;
    p = (struct party){.f = shared, .number = number};
    p.log = &p.f->logs[number];
    p.random = (uint64_t)number * 1000003 + atomic_fetch_add(&p.log->n_lives, 1) * 7919;
    if (settle(&p) != 0)
        return 1;
    while (atomic_load(&p.f->stop) == 0) {
        if (do_one(&p) != 0)
            return 2;
        atomic_fetch_add(&p.log->n_done, 1);
    }
    return 0;
}

/* ---- the storm ----------------------------------------------------------------------------------- */

static uint64_t n_done(struct field *f)
{
    uint64_t n = 0;
    for (int i = 0; i < N_PARTIES; i++)
        n += atomic_load(&f->logs[i].n_done);
    return n;
}

/* Kills one every 20 ms. Returns how many. */
static int kill_them(struct field *f, uint64_t wanted)
{
    pid_t pids[N_PARTIES];
    unsigned seed = 3;
    int n_kills = 0;
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_party(use_dict, f, i);
    for (; n_kills < N_KILLS || n_done(f) < wanted; n_kills++) {
        const int i = rand_r(&seed) % N_PARTIES;
        const pid_t pid = pids[i];
        usleep(20000);
        kill(pid, SIGKILL);
        t_replace(pids, i, use_dict, f);
        fmi_heap_recover(pid);
    }
    atomic_store(&f->stop, 1);
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    return n_kills;
}

static void expect_logs(struct field *f)
{
    static struct party p;
    int64_t n, n_expected = N_COUNTERS;
    uint64_t value;
    for (int i = 0; i < N_PARTIES; i++) {
        p = (struct party){.f = f, .log = &f->logs[i], .number = i};
        assert_int_equal(atomic_load(&p.log->pending), 0);
        for (int k = 0; k < N_KEYS; k++) {
            assert_int_equal(read_value(&p, k, &value), 0);
            assert_true(value == atomic_load(&p.log->values[k]));
            n_expected += value != 0;
        }
        assert_int_equal(read_counter(&p, &value), 0);
        assert_true(value == atomic_load(&p.log->added) && value > 0);
        assert_int_equal(look_at_all(&p), 0);
    }
    assert_int_equal(fm_dict_len(f->dict, &n, T_LOST), 0);
    assert_int_equal(n, n_expected);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void test_dict_storm_leaves_what_the_logs_say(void **state)
{
    (void)state;
    struct field *f = t_shared(sizeof *f);
    const char *text = getenv("T_DICT_OPS");
    const size_t used = used_bytes();
    uint64_t n_settled = 0;
    assert_int_equal(fm_dict_create(&f->dict, FM_DICT_OPTS(.stripes = 4)), 0);
    const int n_kills = kill_them(f, text == NULL ? 20000 : strtoull(text, NULL, 10));
    expect_logs(f);
    for (int i = 0; i < N_PARTIES; i++)
        n_settled += atomic_load(&f->logs[i].n_settled);
    assert_true(n_settled > 0); /* some died in a call */
    fm_dict_destroy(f->dict);
    print_message("%llu calls, %d kills, %llu of them in a change; %zu KiB more in use\n",
                  (unsigned long long)n_done(f), n_kills, (unsigned long long)n_settled,
                  (used_bytes() - used) >> 10);
    assert_true(used_bytes() - used <= (size_t)(n_kills + 100)
                                           << 16); /* a block for each at most, and slabs */
    munmap(f, sizeof *f);
}

T_MAIN(T_TEST(test_dict_storm_leaves_what_the_logs_say))
