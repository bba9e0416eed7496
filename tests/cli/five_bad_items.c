/* SPDX-License-Identifier: MIT */
/* Squares of numbers, and five items that must not hurt the others. */
#include <forkmap/forkmap.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static volatile int never;

static int dive(volatile char *above)
{
    volatile char frame[4096];
    frame[0] = above != NULL ? above[0] : 1;
    return never ? 0 : dive(frame) + frame[0];
}

static double square(int64_t i)
{
    if (i == 777)
        *(volatile int *)(uintptr_t)never = 1;
    if (i == 778)
        exit(3);
    while (i == 779 && !never)
        ;
    if (i == 780)
        return dive(NULL);
    if (i == 781)
        raise(SIGKILL);
    return (double)i * (double)i;
}

int item(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = square(*(const int64_t *)item);
    return 0;
}

int chunk(const fm_chunk *c, void *arg)
{
    (void)arg;
    for (int64_t k = 0; k < c->count; k++)
        *(double *)((char *)c->out + k * c->out_stride) = square(c->begin + k);
    return 0;
}
