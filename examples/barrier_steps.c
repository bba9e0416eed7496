/* SPDX-License-Identifier: MIT */
/*
 * Steps of a simulation: each process has a part of a ring, and takes its neighbours' values of the step before. A barrier holds all of them at the
 * end of each step; its action, which one of them runs, puts the new values in the place of the old.
 *
 *     barrier = multiprocessing.Barrier(PARTS, swap)
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { PARTS = 4, CELLS = 64, STEPS = 200 };

struct ring {
    fm_barrier *barrier;
    int now; /* which of the two is the old one */
    double cells[2][CELLS];
};

static int swap(void *arg)
{
    struct ring *ring = arg;
    ring->now = 1 - ring->now;
    return 0;
}

/* Each cell becomes the mean of its neighbours and itself. */
static int step_part(void *arg)
{
    struct ring *ring = arg;
    int part = -1;
    int rc =
        fm_barrier_wait(ring->barrier, &part, FM_SECONDS(30)); /* whose index is 0 has part 0 */
    for (int step = 0; rc == 0 && step < STEPS; step++) {
        const double *old = ring->cells[ring->now];
        double *next = ring->cells[1 - ring->now];
        for (int i = part * CELLS / PARTS; i < (part + 1) * CELLS / PARTS; i++)
            next[i] = (old[(i + CELLS - 1) % CELLS] + old[i] + old[(i + 1) % CELLS]) / 3;
        rc = fm_barrier_wait(ring->barrier, NULL, FM_SECONDS(30));
    }
    return rc;
}

static int run(struct ring *ring)
{
    fm_process *p[PARTS] = {NULL};
    FM_AUTO(fm_barrier) barrier = NULL;
    int rc = fm_barrier_create(&barrier, PARTS, swap, ring);
    ring->barrier = barrier;
    ring->cells[0][0] = ring->cells[1][0] = CELLS; /* the first wait swaps, too */
    for (int i = 0; rc == 0 && i < PARTS; i++) {
        rc = fm_process_create(&p[i], step_part, ring, 0, NULL);
        if (rc == 0)
            rc = fm_process_start(p[i]);
    }
    for (int i = 0, code = -1; rc == 0 && i < PARTS; i++) {
        rc = fm_process_join(p[i], FM_FOREVER);
        if (rc == 0)
            rc = fm_process_exitcode(p[i], &code);
        if (rc == 0)
            printf("a process left with %d\n", code);
    }
    for (int i = 0; i < PARTS; i++)
        fm_process_close(p[i]);
    return rc;
}

int main(void)
{
    FM_AUTO(fm_array) memory = NULL;
    const int64_t bytes = sizeof(struct ring);
    int rc = fm_array_zeros(&memory, FM_U8, 1, &bytes);
    if (rc == 0)
        rc = run(fm_array_data(memory));
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    const struct ring *ring = fm_array_data(memory);
    double sum = 0;
    for (int i = 0; i < CELLS; i++)
        sum += ring->cells[ring->now][i];
    printf("the sum is still %.6f, the highest cell has %.3f\n", sum, ring->cells[ring->now][0]);
    return 0;
}
