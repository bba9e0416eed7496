/* SPDX-License-Identifier: MIT */
/* The journal of a map, in the host: made, locked, compared, mapped; synced; closed. See journal.h. */
#include "journal.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "infile.h"
#include "memory.h"
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N_TRIES = 4 };

#define SYNC_NS FM_SECONDS(5) /* what a machine that stops may cost */
#define END_NS  FM_SECONDS(5) /* for the workers of a host that was killed */

/* ---- the file ------------------------------------------------------------------------------------ */

static uint64_t file_bytes(const struct fmi_journal_key *key)
{
    return FMI_JOURNAL_HEAD_BYTES + (uint64_t)key->n_items;
}

static void make_head(struct fmi_journal_shm *head, const struct fmi_journal_key *key)
{
    memset(head, 0, offsetof(struct fmi_journal_shm, done));
    head->magic = FMI_JOURNAL_MAGIC;
    head->layout = FMI_JOURNAL_LAYOUT;
    head->key = *key;
    head->check = fmi_journal_check(head);
}

/* Its states are a hole: few items fail. */
static int fill_file(struct fmi_outfile *o, const struct fmi_journal_key *key)
{
    alignas(4096) char bytes[offsetof(struct fmi_journal_shm, done)];
    if (o->name == NULL)
        return fmi_error(-EINVAL, "%s: a journal is a regular file", o->path);
    make_head((struct fmi_journal_shm *)(void *)bytes, key);
    int rc = fmi_outfile_write(o, bytes, sizeof bytes);
    FMI_FAULT("journal.making");
    if (rc == 0 && ftruncate(o->fd, (off_t)file_bytes(key)) != 0)
        rc = fmi_error(-errno, "%s: %s", o->path, fm_strerror(-errno));
    return rc;
}

/* 0, also if another process was faster. */
static int make_file(const char *path, const struct fmi_journal_key *key)
{
    struct fmi_outfile o;
    if (file_bytes(key) > fmi_sys_file_limit())
        return fmi_error(-EFBIG, "%s: a journal of %lld items is larger than files may be", path,
                         (long long)key->n_items);
    int rc = fmi_outfile_open(&o, path, FMI_JOURNAL_HEAD_BYTES, FMI_OUTFILE_NEW);
    if (rc != 0)
        return rc;
    rc = fill_file(&o, key);
    if (rc != 0) {
        fmi_outfile_abandon(&o);
        return rc;
    }
    FMI_FAULT("journal.made");
    rc = fmi_outfile_commit(&o);
    return rc == -EEXIST ? 0 : rc;
}

/* 1: the name still leads to the file that is open. */
static int has_its_name(const struct fmi_infile *in)
{
    struct stat open_one, named;
    return fstat(in->fd, &open_one) == 0 && stat(in->path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* 0 and a locked file; -EAGAIN: it was removed meanwhile. */
static int open_locked(struct fmi_infile *in, const char *path)
{
    int rc = fmi_infile_open(in, path, 1);
    if (rc != 0)
        return rc;
    if (flock(in->fd, LOCK_EX | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK
                 ? fmi_error(-EBUSY, "%s is in use by another map; wait until that has ended", path)
                 : fmi_error(-errno, "%s: flock: %s", path, fm_strerror(-errno));
    else if (!has_its_name(in))
        rc = fmi_error(-EAGAIN, "%s was removed as it was opened", path);
    if (rc != 0)
        fmi_infile_close(in);
    return rc;
}

static int open_or_make(struct fmi_infile *in, const char *path, const struct fmi_journal_key *key)
{
    int rc = -EAGAIN;
    for (int i = 0; i < N_TRIES && rc == -EAGAIN; i++) {
        rc = open_locked(in, path);
        if (rc != -ENOENT)
            continue;
        rc = make_file(path, key);
        if (rc == 0 && (rc = open_locked(in, path)) == -ENOENT)
            rc = -EAGAIN;
    }
    return rc;
}

/* Nothing of the file is believed, and nothing changed, before this. */
static int check_file(const struct fmi_infile *in, const struct fmi_journal_key *key)
{
    alignas(4096) char bytes[offsetof(struct fmi_journal_shm, done)];
    const struct fmi_journal_shm *head = (const struct fmi_journal_shm *)(const void *)bytes;
    memset(bytes, 0, sizeof bytes);
    int rc = in->bytes < sizeof bytes ? 0 : fmi_infile_read(in, bytes, sizeof bytes, 0);
    if (rc != 0)
        return rc;
    if (head->magic != FMI_JOURNAL_MAGIC)
        return fmi_error(FM_EFORMAT, "%s is there and is no journal", in->path);
    if (head->layout != FMI_JOURNAL_LAYOUT)
        return fmi_error(FM_EFORMAT, "%s is a journal of layout %u, and this is %u", in->path,
                         head->layout, FMI_JOURNAL_LAYOUT);
    if (head->check != fmi_journal_check(head))
        return fmi_error(FM_EFORMAT, "%s: the head of the journal is damaged", in->path);
    rc = fmi_journal_compare(in->path, key, &head->key);
    if (rc == 0 && in->bytes != file_bytes(key))
        rc = fmi_error(FM_EFORMAT, "%s has %llu bytes, a journal of %lld items %llu", in->path,
                       (unsigned long long)in->bytes, (long long)key->n_items,
                       (unsigned long long)file_bytes(key));
    return rc;
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* "" where the kernel does not tell: then nothing that is not on disk is believed. */
static void read_boot(char id[64])
{
    memset(id, 0, 64);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, id, 63) < 0)
        id[0] = '\0';
    close(fd);
}

/* Workers write as long as their warden lives: what they note must not come between what is made of their bits. */
static int await_workers(const struct fmi_journal_shm *shm, const char *path)
{
    const struct fmi_identity warden = shm->warden;
    int64_t deadline_ns = fmi_deadline_after(END_NS);
    while (fmi_identity_state(&warden) == FMI_IDENTITY_ALIVE) {
        if (fmi_now_ns() > deadline_ns)
            return fmi_error(-EBUSY,
                             "%s: workers of a map that was killed still run, under process %d; "
                             "end that",
                             path, (int)warden.pid);
        usleep(1000);
    }
    return 0;
}

static int settle_boot(struct fmi_journal_shm *shm, const char *path)
{
    char now[64];
    read_boot(now);
    if (now[0] != '\0' && memcmp(shm->boot, now, sizeof now) == 0)
        return await_workers(shm, path);
    fmi_journal_forget_unsaved(shm);
    FMI_FAULT("journal.boot");
    memcpy(shm->boot, now, sizeof now);
    return 0;
}

static int map_file(struct fmi_journal *j, struct fmi_infile *in)
{
    struct fmi_infile_layout layout = {
        .swap_unit = 1, .dtype = FM_U8, .ndim = 1, .order = FM_ORDER_C};
    layout.shape[0] = (int64_t)in->bytes;
    j->fd = in->fd;
    int rc = fmi_infile_map(in, &layout, 1, &j->array); /* takes the descriptor over */
    if (rc == 0)
        j->shm = fm_array_data(j->array);
    return rc;
}

static void find_rows(struct fmi_journal *j, const struct fmi_request *q)
{
    struct fmi_array_view v;
    size_t page = fmi_sys_page_bytes();
    j->rows = NULL;
    if (q->out == NULL || fmi_array_inspect(q->out, &v) != 0 || v.lo == v.hi)
        return;
    j->rows = v.lo - (uintptr_t)v.lo % page;
    j->rows_bytes = (size_t)(v.hi - j->rows);
}

/* Cells instead of grains, one at a time. `chunk` still bounds the calls of a chunk function. */
static void change_plan(const struct fmi_journal *j, struct fmi_plan *plan)
{
    plan->grain = j->cell;
    plan->n_grains = j->n_cells;
    plan->want = 1;
    if (plan->schedule == FM_SCHEDULE_GUIDED)
        plan->schedule = FM_SCHEDULE_DYNAMIC;
    plan->journal = j->array;
    plan->mapped |= FMI_MAPPED_JOURNAL;
}

static int check_flags(const struct fmi_request *q)
{
    if ((q->opts->journal_flags & ~(unsigned)FM_JOURNAL_RETRY_FAILED) != 0)
        return fmi_error(-EINVAL, "unknown journal_flags 0x%x",
                         q->opts->journal_flags & ~(unsigned)FM_JOURNAL_RETRY_FAILED);
    return 0;
}

static void drop(struct fmi_journal *j)
{
    if (j->array != NULL)
        (void)flock(j->fd, LOCK_UN); /* a child may have inherited the descriptor */
    fm_array_destroy(j->array);
    free(j->earlier);
    j->array = NULL;
    j->earlier = NULL;
}

static void set_grid(struct fmi_journal *j, const struct fmi_journal_key *key)
{
    j->n_items = key->n_items;
    j->cell = key->cell;
    j->n_cells = (uint32_t)(key->n_items / key->cell + (key->n_items % key->cell != 0));
    j->sync_ns = fmi_deadline_after(SYNC_NS);
}

int fmi_journal_open(struct fmi_journal *j, struct fmi_plan *plan, const struct fmi_request *q,
                     int32_t warden)
{
    struct fmi_journal_key key;
    struct fmi_infile in = {.fd = -1};
    int retry = (q->opts->journal_flags & FM_JOURNAL_RETRY_FAILED) != 0 ||
                plan->on_error == FM_ON_ERROR_STOP;
    *j = (struct fmi_journal){.fd = -1};
    int rc = check_flags(q);
    if (rc == 0)
        rc = fmi_journal_describe(&key, plan, q);
    if (rc == 0)
        rc = open_or_make(&in, q->opts->journal, &key);
    if (rc == 0)
        rc = check_file(&in, &key);
    if (rc == 0)
        rc = map_file(j, &in);
    fmi_infile_close(&in);
    if (rc != 0)
        return rc;
    set_grid(j, &key);
    find_rows(j, q);
    rc = settle_boot(j->shm, q->opts->journal);
    if (rc == 0)
        rc = fmi_journal_settle(j, plan->begin, retry);
    if (rc != 0) {
        drop(j);
        return rc;
    }
    if (warden != 0)
        fmi_identity_of(warden, &j->shm->warden);
    if (q->opts->journal_done != NULL)
        *q->opts->journal_done = j->n_before;
    change_plan(j, plan);
    return 0;
}

/* A cell that is half to be run again is not in it: its items are counted as they end. */
void fmi_journal_fill_status(const struct fmi_journal *j, const struct fmi_plan *plan)
{
    if (plan->status == NULL)
        return;
    for (uint32_t cell = 0; cell < j->n_cells; cell++)
        for (int64_t i = cell * j->cell;
             i < (cell + 1) * j->cell && i < j->n_items && fmi_journal_bit(j->shm->done, cell); i++)
            plan->status[i * plan->status_stride] = FM_ITEM_DONE;
    for (int64_t k = 0; k < j->n_earlier; k++)
        plan->status[(j->earlier[k].item - plan->begin) * plan->status_stride] =
            (uint8_t)j->earlier[k].state;
}

/* ---- syncing ------------------------------------------------------------------------------------- */

/* Cells that are done and not saved yet. Returns whether there are any. */
static int find_fresh(const struct fmi_journal_shm *shm, uint64_t fresh[FMI_JOURNAL_WORDS])
{
    uint64_t any = 0;
    for (int i = 0; i < FMI_JOURNAL_WORDS; i++) {
        fresh[i] = atomic_load_explicit(&shm->done[i], memory_order_acquire) &
                   ~atomic_load_explicit(&shm->saved[i], memory_order_relaxed); /* own */
        any |= fresh[i];
    }
    return any != 0;
}

/* The order is all: rows, what is said of them, that they are there. */
static int sync_all(const struct fmi_journal *j)
{
    struct fmi_journal_shm *shm = j->shm;
    uint64_t fresh[FMI_JOURNAL_WORDS];
    if (!find_fresh(shm, fresh))
        return 0;
    int rc = j->rows == NULL ? 0 : fmi_sys_sync(j->rows, j->rows_bytes);
    FMI_FAULT("journal.rows_synced");
    if (rc == 0)
        rc = fmi_sys_sync(shm, FMI_JOURNAL_HEAD_BYTES + (size_t)j->n_items);
    FMI_FAULT("journal.states_synced");
    if (rc != 0)
        return rc;
    for (int i = 0; i < FMI_JOURNAL_WORDS; i++)
        if (fresh[i] != 0)
            atomic_fetch_or(&shm->saved[i], fresh[i]);
    FMI_FAULT("journal.saved");
    return fmi_sys_sync(shm, FMI_JOURNAL_HEAD_BYTES);
}

void fmi_journal_look(struct fmi_journal *j, int64_t now)
{
    if (now < j->sync_ns || j->error != 0)
        return;
    j->error = sync_all(j);
    j->sync_ns = fmi_deadline_after(SYNC_NS); /* from its end: a slow disk gets time */
}

int fmi_journal_close(struct fmi_journal *j)
{
    int rc = j->error != 0 ? j->error : sync_all(j);
    j->shm->warden = (struct fmi_identity){0}; /* whose workers have left the map */
    drop(j);
    return rc == 0
               ? 0
               : fmi_error(rc, "the journal, or the output, is not on disk: %s", fm_strerror(rc));
}
