/* SPDX-License-Identifier: MIT */
/* openmp FUNCTION: a function of items.c over 1,000 items, by OpenMP. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int crash(const void *item, void *result, void *arg);
int hang(const void *item, void *result, void *arg);
int slow(const void *item, void *result, void *arg);

int main(int argc, char **argv)
{
    static double results[1000];
    const char *name = argc > 1 ? argv[1] : "";
    int (*f)(const void *, void *, void *) = strcmp(name, "crash") == 0  ? crash
                                             : strcmp(name, "hang") == 0 ? hang
                                                                         : slow;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < 1000; i++)
        f(&i, &results[i], NULL);
    printf("%d of 1000 results\n", 1000);
    return 0;
}
