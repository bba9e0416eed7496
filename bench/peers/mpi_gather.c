/* SPDX-License-Identifier: MIT */
/*
 * MPI_Gather as an engine of bench/gather: the command is in bench/gather.h.
 *
 *     mpi_gather WORKERS
 *
 * Started by the driver it becomes mpirun with so many ranks of itself. Rank 0 is the root: it talks with the driver, and makes
 * its own part where all parts go (MPI_IN_PLACE). Buffers are kept while their size stays the same.
 */
#include "bench_clock.h"
#include "engine.h"
#include "gather.h"

#include <errno.h>
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rank {
    int me, n;
    MPI_Datatype page;
    unsigned char *buffer; /* of the root: all parts; of another rank: its own */
    int64_t part_bytes;    /* that it has room for */
    volatile unsigned sink;
};

struct order { /* from the root to all: 0 bytes is the end */
    int64_t part_bytes, value;
};

struct times {
    int64_t gather_ns, read_ns;
};

/* ---- one gather ---- */

static void make_room(struct rank *r, int64_t part_bytes)
{
    if (r->part_bytes == part_bytes)
        return;
    const size_t bytes = (size_t)part_bytes * (r->me == 0 ? (size_t)r->n : 1);
    free(r->buffer);
    r->part_bytes = part_bytes;
    r->buffer = malloc(bytes);
    if (r->buffer != NULL)
        memset(r->buffer, 0, bytes);
    else
        MPI_Abort(MPI_COMM_WORLD, 3);
}

static int64_t read_pages(struct rank *r)
{
    const int64_t begin_ns = bench_now_ns();
    unsigned sum = 0;
    for (int64_t at = 0; at < r->part_bytes * r->n; at += BENCH_GATHER_PAGE_BYTES)
        sum += r->buffer[at];
    r->sink = sum;
    return bench_now_ns() - begin_ns;
}

/* All ranks, at the same time. The times are the root's. */
static struct times gather(struct rank *r, const struct order *o)
{
    struct times t = {0, 0};
    const int n_pages = (int)(o->part_bytes / BENCH_GATHER_PAGE_BYTES);
    int64_t end_ns, last_ns = 0;
    make_room(r, o->part_bytes);
    MPI_Barrier(MPI_COMM_WORLD);
    memset(r->buffer, (int)(o->value + r->me) & 255, (size_t)o->part_bytes);
    end_ns = bench_now_ns();
    if (r->me == 0)
        MPI_Gather(MPI_IN_PLACE, 0, r->page, r->buffer, n_pages, r->page, 0, MPI_COMM_WORLD);
    else
        MPI_Gather(r->buffer, n_pages, r->page, NULL, 0, r->page, 0, MPI_COMM_WORLD);
    const int64_t has_ns = bench_now_ns();
    if (r->me == 0)
        t.read_ns = read_pages(r);
    MPI_Reduce(&end_ns, &last_ns, 1, MPI_INT64_T, MPI_MAX, 0, MPI_COMM_WORLD);
    t.gather_ns = has_ns - last_ns;
    return t;
}

static int check_parts(const struct rank *r, const struct order *o)
{
    int n_wrong = 0;
    for (int part = 0; part < r->n; part++) {
        const unsigned char *bytes = r->buffer + part * o->part_bytes;
        const unsigned char value = (unsigned char)(o->value + part);
        n_wrong += bytes[0] != value || bytes[o->part_bytes - 1] != value;
    }
    return n_wrong == 0 ? 0 : -EPROTO;
}

/* ---- commands ---- */

static void send_order(struct order *o)
{
    MPI_Bcast(o, 2, MPI_INT64_T, 0, MPI_COMM_WORLD);
}

/* The order and the barrier wake everybody up after a stop. */
static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct rank *r = self;
    struct order o;
    if (sscanf(command, "gather %" SCNd64 " %" SCNd64, &o.part_bytes, &o.value) != 2 ||
        o.part_bytes < BENCH_GATHER_PAGE_BYTES)
        return -EINVAL;
    send_order(&o);
    const struct times t = gather(r, &o);
    const int code = check_parts(r, &o);
    if (code == 0)
        snprintf(answer, BENCH_LINE, "%" PRId64 " %" PRId64 " -1", t.gather_ns, t.read_ns);
    return code;
}

static int serve(struct rank *r)
{
    struct order o = {0, 0};
    int code = 0;
    if (r->me == 0) {
        code = bench_engine_serve(answer_command, r);
        o.part_bytes = 0;
        send_order(&o);
        return code;
    }
    for (;;) {
        send_order(&o);
        if (o.part_bytes == 0)
            return 0;
        gather(r, &o);
    }
}

/* ---- start ---- */

#define MPIRUN "mpirun -q --mca pml ob1 --mca btl self,vader --map-by core --bind-to core -n %d"

/* Open MPI counts its cores itself, and may find too few. */
static int become_mpirun(const char *self, int n_workers)
{
    char command[512], path[256];
    const ssize_t n = readlink(self, path, sizeof(path) - 1);
    if (n < 0)
        return 1;
    path[n] = '\0';
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
    snprintf(command, sizeof(command), MPIRUN " true </dev/null >/dev/null 2>&1", n_workers);
    if (system(command) != 0)
        return bench_engine_missing("mpirun cannot start one process per core");
    snprintf(command, sizeof(command), "exec " MPIRUN " '%s' %d", n_workers, path, n_workers);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    return 1;
}

int main(int argc, char **argv)
{
    struct rank r = {.me = 0};
    const int n_workers = argc > 1 ? atoi(argv[1]) : 0;
    if (n_workers < 1)
        return 2;
    if (getenv("OMPI_COMM_WORLD_RANK") == NULL)
        return become_mpirun("/proc/self/exe", n_workers);
    setpgid(
        0,
        getpgid(getppid())); /* mpirun gave it a group of its own: it shall stop with the others */
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.me);
    MPI_Comm_size(MPI_COMM_WORLD, &r.n);
    MPI_Type_contiguous(BENCH_GATHER_PAGE_BYTES, MPI_BYTE, &r.page);
    MPI_Type_commit(&r.page);
    const int code = serve(&r);
    free(r.buffer);
    MPI_Finalize();
    return code;
}
