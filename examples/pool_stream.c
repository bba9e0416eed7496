/* SPDX-License-Identifier: MIT */
/*
 * A source that never ends, and a consumer that stops when it has seen enough:
 *
 *     for n, is_prime in zip(itertools.count(2), pool.imap(is_prime, itertools.count(2))):
 *         ...
 *         if n_primes == 1000: break
 *
 * In Python this fills the memory: a thread of the pool draws items as fast as it can, whether results are taken or not. Here items
 * are drawn when the window has room for them.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { WANTED = 1000, WINDOW = 256 };

/* The generator's state, in main's thread: it is called by the one that takes results. */
struct count {
    int64_t next;
    int64_t n_made, n_taken, most_ahead;
};

static int make_number(void *slot, void *arg)
{
    struct count *count = arg;
    *(int64_t *)slot = count->next++;
    count->n_made++;
    if (count->n_made - count->n_taken > count->most_ahead)
        count->most_ahead = count->n_made - count->n_taken;
    return 0; /* never FM_ECLOSED */
}

static int is_prime(const void *item, void *result, void *arg)
{
    const int64_t n = *(const int64_t *)item;
    int64_t k = 2;
    (void)arg;
    while (k * k <= n && n % k != 0)
        k++;
    *(int64_t *)result = k * k > n ? n : 0;
    return 0;
}

static int find_prime(fm_pool *pool, struct count *count, int64_t *prime)
{
    FM_AUTO(fm_stream) stream = NULL; /* what is under way is called off at the end of the scope */
    const fm_source numbers = fm_source_generator(make_number, count, sizeof(int64_t));
    fm_stream_item item;
    int n_primes = 0;
    int rc =
        fm_pool_imap(pool, is_prime, numbers,
                     FM_STREAM_OPTS(.result_bytes = sizeof(int64_t),
                                    .window_bytes = WINDOW * 2 * sizeof(int64_t)), /* both sides */
                     &stream);
    while (rc == 0 && n_primes < WANTED) {
        rc = fm_stream_next(stream, &item, FM_FOREVER);
        if (rc == 0 && *(const int64_t *)item.result != 0) {
            n_primes++;
            *prime = *(const int64_t *)item.result;
        }
        count->n_taken++;
    }
    return rc;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    struct count count = {.next = 2};
    int64_t prime = 0;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc == 0)
        rc = find_prime(pool, &count, &prime);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("prime number %d is %lld\n", WANTED, (long long)prime);
    printf("%lld results were taken\n", (long long)count.n_taken);
    if (count.most_ahead <= WINDOW)
        printf("the generator was never more than %d items ahead of them\n", WINDOW);
    else
        printf("the generator was %lld items ahead of them\n", (long long)count.most_ahead);
    return 0;
}
