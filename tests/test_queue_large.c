/* SPDX-License-Identifier: MIT */
/* LABELS: fork stress */
/* TIMEOUT: 180 */
/* A message whose length does not fit into 32 bits. */
#include "t_process.h"

#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LARGE (((size_t)4 << 30) + (64 << 20) + 12345)
static const size_t marked[] = {0, 1 << 20, UINT32_MAX, (size_t)UINT32_MAX + 1, LARGE - 1};

static void mark(unsigned char *message)
{
    for (size_t i = 0; i < T_N_OF(marked); i++)
        message[marked[i]] = (unsigned char)(i + 1);
}

static int is_large(const unsigned char *message, size_t bytes)
{
    if (bytes != LARGE || message[1] != 0)
        return 0;
    for (size_t i = 0; i < T_N_OF(marked); i++)
        if (message[marked[i]] != i + 1)
            return 0;
    return 1;
}

/* What is only read has no pages of its own. Huge ones, or the kernel is asked a million times. */
static unsigned char *map_large(void)
{
    unsigned char *p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(p != MAP_FAILED);
    (void)madvise(p, LARGE, MADV_HUGEPAGE);
    return p;
}

static void read_in_place(void *arg)
{
    size_t bytes;
    void *ptr;
    t_must(fm_queue_borrow(arg, &ptr, &bytes, FM_NOWAIT));
    if (!is_large(ptr, bytes))
        _exit(1);
    t_must(fm_queue_release(arg, ptr));
}

/* Available memory [GiB], or the heap's limit if that is less. */
static unsigned long long available_gib(void)
{
    unsigned long long kib = 0;
    FILE *info = fopen("/proc/meminfo", "r");
    char line[128];
    while (info != NULL && fgets(line, sizeof line, info) != NULL)
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            break;
    if (info != NULL)
        fclose(info);
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return kib >> 20 < usage.limit_bytes >> 30 ? kib >> 20 : usage.limit_bytes >> 30;
}

static void test_queue_message_of_more_than_4_gib_comes_whole(void **state)
{
    (void)state;
    fm_queue *q;
    size_t bytes;
    t_expect(fm_queue_create(&q, FM_QUEUE_OPTS(.capacity = 1)), 0);
    if (available_gib() < 10)
        t_skip("memory for a message of 4 GiB and its copy: 10 GiB");
    unsigned char *copy = map_large();
    mark(copy);
    t_expect(fm_queue_put(q, copy, LARGE, FM_NOWAIT), 0);
    assert_int_equal(fm_queue_get(q, copy, UINT32_MAX, &bytes, FM_NOWAIT), FM_ETOOLONG);
    assert_int_equal(bytes, LARGE);
    if (t_times(0, 1)) { /* 4 GiB more are touched */
        munmap(copy, LARGE);
        copy = map_large();
        t_expect(fm_queue_get(q, copy, LARGE, &bytes, FM_NOWAIT), 0);
        assert_true(is_large(copy, bytes));
        t_expect(fm_queue_put(q, copy, LARGE, FM_NOWAIT), 0);
    }
    assert_int_equal(t_exit_code(t_in_child(read_in_place, q)), 0);
    munmap(copy, LARGE);
    fm_queue_destroy(q);
}

T_MAIN(T_TEST(test_queue_message_of_more_than_4_gib_comes_whole))
