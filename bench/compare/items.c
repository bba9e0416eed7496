/* SPDX-License-Identifier: MIT */
/* The functions that compare.py maps, by every way: item 777 of 1,000 crashes, or never ends; or all take a while, and somebody presses Ctrl-C. */
#include <stdint.h>
#include <time.h>

enum { BAD = 777 };
static volatile int *nowhere;

int crash(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    if (i == BAD)
        *nowhere = 1;
    *(double *)result = (double)i;
    return 0;
}

int hang(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    for (volatile int never = 1; i == BAD && never;)
        ;
    *(double *)result = (double)i;
    return 0;
}

int slow(const void *item, void *result, void *arg)
{
    const struct timespec a_while = {.tv_nsec = 15000000};
    (void)arg;
    nanosleep(&a_while, 0);
    *(double *)result = (double)*(const int64_t *)item;
    return 0;
}
