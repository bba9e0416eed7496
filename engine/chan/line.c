/* SPDX-License-Identifier: MIT */
/* One direction of a pipe; see line.h. */
#include "line.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "mortal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { SPIN_NS = 10000, ALIGN = 16, HEADER_BYTES = 16, BLOCK_FRAME_BYTES = 32 };

struct frame {
    uint64_t bytes, kind;
    uint64_t block, lent; /* of FMI_FRAME_BLOCK */
};
static_assert(sizeof(struct frame) == BLOCK_FRAME_BYTES, "line: frame");

/* ---- the ring -------------------------------------------------------------------------------------- */

static void put_bytes(struct fmi_line_shm *shm, uint64_t at, const void *from, size_t bytes)
{
    size_t offset = at % FMI_LINE_RING, n = FMI_LINE_RING - offset;
    if (bytes == 0)
        return;
    if (n > bytes)
        n = bytes;
    memcpy(shm->ring + offset, from, n);
    memcpy(shm->ring, (const char *)from + n, bytes - n);
}

static void get_bytes(const struct fmi_line_shm *shm, uint64_t at, void *to, size_t bytes)
{
    size_t offset = at % FMI_LINE_RING, n = FMI_LINE_RING - offset;
    if (bytes == 0)
        return;
    if (n > bytes)
        n = bytes;
    memcpy(to, shm->ring + offset, n);
    memcpy((char *)to + n, shm->ring, bytes - n);
}

static uint64_t frame_bytes(const struct frame *f)
{
    return f->kind == FMI_FRAME_BLOCK ? BLOCK_FRAME_BYTES
                                      : HEADER_BYTES + (f->bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* The frame at `at`, with `there` bytes before the tail. Anyone may have written over it. */
static int read_frame(const struct fmi_line_shm *shm, uint64_t at, uint64_t there, struct frame *f)
{
    memset(f, 0, sizeof *f);
    int rc = there > FMI_LINE_RING || there < HEADER_BYTES || there % ALIGN != 0 ? FM_ECORRUPT : 0;
    if (rc == 0)
        get_bytes(shm, at, f, HEADER_BYTES);
    if (rc == 0 && f->kind == FMI_FRAME_BLOCK && there >= BLOCK_FRAME_BYTES) {
        get_bytes(shm, at, f, BLOCK_FRAME_BYTES);
        rc = fmi_heap_contains((void *)(uintptr_t)f->block, f->bytes) ? 0 : FM_ECORRUPT;
    } else if (rc == 0) {
        rc = f->kind == FMI_FRAME_INLINE && f->bytes <= FMI_LINE_SHORT && frame_bytes(f) <= there
                 ? 0
                 : FM_ECORRUPT;
    }
    return rc == 0 ? 0 : fmi_error(rc, "a pipe was written over");
}

static uint64_t tail_of(const struct fmi_line_shm *shm)
{
    /* seq_cst: pairs with publish; what is before the tail is whole, and o3 of a bell comes after o2 */
    return atomic_load(&shm->tail);
}

static uint64_t head_of(const struct fmi_line_shm *shm)
{
    /* acquire: pairs with take; what is before the head may be written over */
    return atomic_load_explicit(&shm->head, memory_order_acquire);
}

/* ---- life ------------------------------------------------------------------------------------------ */

void fmi_line_init(struct fmi_line_shm *shm)
{
    memset(shm, 0, offsetof(struct fmi_line_shm, ring)); /* block and taken: 0 is none */
    fmi_park_init(&shm->filled);
    fmi_park_init(&shm->emptied);
    fmi_lock_init(&shm->writing);
    fmi_lock_init(&shm->reading);
    fmi_doorbell_init(&shm->bell);
}

/* In order: forget, then free. A death in between loses the block; the other way round another's would be freed. */
static void free_noted(_Atomic uintptr_t *noted)
{
    uintptr_t block = atomic_exchange(noted, 0);
    FMI_FAULT("line.free");
    (void)fmi_heap_free((void *)block); /* was written over: nothing to be done */
    FMI_FAULT("line.freed");
}

/* The writer's side after a death. acquire: pairs with send_block, whoever did that. */
static void repair_writer(struct fmi_line_shm *shm)
{
    struct frame f;
    uint64_t tail = tail_of(shm);
    if (atomic_load_explicit(&shm->block, memory_order_acquire) == 0)
        return;
    FMI_FAULT("line.repair");
    if (atomic_load_explicit(&shm->block_tail, memory_order_acquire) != tail) {
        free_noted(&shm->block); /* not sent */
        return;
    }
    get_bytes(shm, tail - BLOCK_FRAME_BYTES, &f, sizeof f); /* only a writer writes over it */
    atomic_store_explicit(&shm->lent, f.lent, memory_order_release);
    atomic_store_explicit(&shm->block, 0, memory_order_release);
}

/* The reader's, which pairs with take. */
static void repair_reader(struct fmi_line_shm *shm)
{
    if (atomic_load_explicit(&shm->taken, memory_order_acquire) == 0)
        return;
    FMI_FAULT("line.repair");
    if (atomic_load_explicit(&shm->taken_head, memory_order_acquire) == head_of(shm))
        free_noted(&shm->taken); /* received */
    else
        atomic_store_explicit(&shm->taken, 0, memory_order_release); /* the frame has it yet */
}

void fmi_line_fini(struct fmi_line_shm *shm)
{
    struct frame f;
    (void)fmi_lock_acquire(&shm->writing,
                           FMI_NEVER); /* who was inside leaves, as an end is closed */
    (void)fmi_lock_acquire(&shm->reading, FMI_NEVER);
    repair_writer(shm);
    repair_reader(shm);
    uint64_t head = head_of(shm), tail = tail_of(shm);
    for (; head != tail && read_frame(shm, head, tail - head, &f) == 0; head += frame_bytes(&f))
        if (f.kind == FMI_FRAME_BLOCK)
            (void)fmi_heap_free((void *)(uintptr_t)f.block);
    fmi_doorbell_fini(&shm->bell);
}

void fmi_line_rouse(struct fmi_line_shm *shm)
{
    fmi_park_wake(&shm->filled);
    fmi_park_wake(&shm->emptied);
    (void)fmi_doorbell_ring(&shm->bell);
}

/* ---- waiting --------------------------------------------------------------------------------------- */

/* Closed, or dead with nobody who has taken its place: those who wait for a lock do not count, who has it does. */
static int is_gone(const struct fmi_party_shm *other, const struct fmi_lock_shm *its_lock)
{
    if (fmi_party_is_closed(other))
        return 1;
    uint64_t holder = fmi_lock_holder(its_lock);
    return fmi_party_is_gone(other) && (holder == 0 || !fmi_mortal_is_alive(holder));
}

/* Until the park moves on from `seen`, the other's thread dies, or a while has passed. The caller looks again. */
static void sleep_on(struct fmi_park_shm *park, uint32_t seen, const struct fmi_party_shm *other,
                     int64_t deadline_ns)
{
    uint32_t word = seen;
    if (fmi_park_spin(park, seen, SPIN_NS))
        return;
    if (!atomic_compare_exchange_strong(&park->word, &word, seen | FMI_PARK_FLAG) &&
        word != (seen | FMI_PARK_FLAG))
        return;
    FMI_FAULT("line.sleep");
    (void)fmi_mortal_wait(&park->word, seen | FMI_PARK_FLAG, fmi_party_awaited(other), deadline_ns);
}

static int is_over(int64_t deadline_ns)
{
    return deadline_ns == FMI_AT_ONCE || (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns);
}

/* The lock of a side, repaired if its holder died. */
static int enter(struct fmi_line_shm *shm, struct fmi_lock_shm *lock, int64_t deadline_ns)
{
    int rc = fmi_lock_acquire(lock, deadline_ns);
    if (rc != FM_EOWNERDEAD)
        return rc == -ETIMEDOUT ? fmi_error(rc, "another thread uses this end of the pipe") : rc;
    if (lock == &shm->writing)
        repair_writer(shm);
    else
        repair_reader(shm);
    return 0;
}

static void leave(struct fmi_lock_shm *lock)
{
    (void)fmi_lock_release(lock); /* only nonsense in memory makes it fail */
}

/* ---- sending --------------------------------------------------------------------------------------- */

/* 1: a frame of `need` bytes, and `lent` of a block, find room. */
static int has_room(const struct fmi_line_shm *shm, uint64_t need, uint64_t lent)
{
    uint64_t used = tail_of(shm) - head_of(shm);
    /* relaxed: read after the head, so not older than it */
    uint64_t owed = atomic_load_explicit(&shm->lent, memory_order_relaxed) -
                    atomic_load_explicit(&shm->returned, memory_order_relaxed);
    if (used > FMI_LINE_RING)
        return fmi_error(FM_ECORRUPT, "a pipe was written over");
    return FMI_LINE_RING - used >= need &&
           (lent == 0 || owed == 0 || (owed < FMI_LINE_LENT && lent <= FMI_LINE_LENT - owed));
}

static int await_room(const struct fmi_line *line, uint64_t need, uint64_t lent,
                      int64_t deadline_ns)
{
    struct fmi_line_shm *shm = line->shm;
    for (;;) {
        uint32_t seen = fmi_park_seen(&shm->emptied);
        if (fmi_party_is_closed(line->writer))
            return fmi_error(-EBADF, "this end of the pipe is closed");
        if (fmi_party_is_closed(line->reader))
            return fmi_error(FM_ECLOSED, "the other end of the pipe is closed");
        int rc = has_room(shm, need, lent);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (is_gone(line->reader, &shm->reading))
            return fmi_error(FM_ECLOSED, "the process at the other end of the pipe has died");
        if (is_over(deadline_ns))
            return fmi_error(-ETIMEDOUT, "the pipe is full");
        sleep_on(&shm->emptied, seen, line->reader, deadline_ns);
    }
}

/* w5 */
static void publish(struct fmi_line_shm *shm, uint64_t tail)
{
    FMI_FAULT("line.send");
    atomic_store(&shm->tail, tail); /* seq_cst: before the look at the bell; pairs with tail_of */
    FMI_FAULT("line.sent");
}

static void send_short(struct fmi_line_shm *shm, const void *data, size_t bytes)
{
    const struct frame f = {.bytes = bytes, .kind = FMI_FRAME_INLINE};
    uint64_t tail = tail_of(shm);
    put_bytes(shm, tail, &f, HEADER_BYTES);
    FMI_FAULT("line.frame");
    put_bytes(shm, tail + HEADER_BYTES, data, bytes);
    publish(shm, tail + frame_bytes(&f));
}

/* w2 .. w6. Each release: whoever repairs sees them in this order; pairs with repair_writer. */
static int send_block(struct fmi_line_shm *shm, const void *data, size_t bytes)
{
    void *block;
    uint64_t tail = tail_of(shm);
    int rc = fmi_heap_alloc(&block, bytes, 0);
    if (rc != 0)
        return rc;
    FMI_FAULT("line.block");
    atomic_store_explicit(&shm->block_tail, tail + BLOCK_FRAME_BYTES, memory_order_release);
    atomic_store_explicit(&shm->block, (uintptr_t)block, memory_order_release);
    FMI_FAULT("line.noted");
    memcpy(block, data, bytes);
    FMI_FAULT("line.filled");
    const struct frame f = {.bytes = bytes,
                            .kind = FMI_FRAME_BLOCK,
                            .block = (uintptr_t)block,
                            .lent = atomic_load_explicit(&shm->lent, memory_order_relaxed) + bytes};
    put_bytes(shm, tail, &f, sizeof f);
    publish(shm, tail + BLOCK_FRAME_BYTES);
    atomic_store_explicit(&shm->lent, f.lent, memory_order_release);
    FMI_FAULT("line.lent");
    atomic_store_explicit(&shm->block, 0, memory_order_release);
    return 0;
}

static int send_locked(const struct fmi_line *line, const void *data, size_t bytes,
                       int64_t deadline_ns)
{
    struct fmi_line_shm *shm = line->shm;
    const struct frame f = {.bytes = bytes,
                            .kind = bytes <= FMI_LINE_SHORT ? FMI_FRAME_INLINE : FMI_FRAME_BLOCK};
    int rc = fmi_party_use(line->writer, &shm->bell);
    if (rc == 0)
        rc = await_room(line, frame_bytes(&f), bytes <= FMI_LINE_SHORT ? 0 : bytes, deadline_ns);
    if (rc != 0)
        return rc;
    int fd = fmi_doorbell_reach(&shm->bell, &rc); /* first, as it may fail */
    if (rc != 0)
        return fmi_error(rc, "the reader's descriptor cannot be reached: %s", fm_strerror(rc));
    if (bytes <= FMI_LINE_SHORT)
        send_short(shm, data, bytes);
    else if ((rc = send_block(shm, data, bytes)) != 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    fmi_park_wake(&shm->filled);
    FMI_FAULT("line.woken");
    /* Not if it was received meanwhile: then the reader has armed the bell since, and waits for the next one. */
    uint64_t armed = fmi_doorbell_armed(&shm->bell);
    (void)fmi_doorbell_ring_by(&shm->bell, head_of(shm) == tail_of(shm) ? 0 : armed, fd);
    return 0;
}

int fmi_line_send(const struct fmi_line *line, const void *data, size_t bytes, int64_t deadline_ns)
{
    int rc = enter(line->shm, &line->shm->writing, deadline_ns);
    if (rc != 0)
        return rc;
    rc = send_locked(line, data, bytes, deadline_ns);
    leave(&line->shm->writing);
    return rc;
}

/* ---- receiving ------------------------------------------------------------------------------------- */

static int is_empty(const struct fmi_line_shm *shm)
{
    return tail_of(shm) == head_of(shm);
}

/* 0: a message; what its end is, before the look at the tail: what was sent before the end is seen. */
static int look(const struct fmi_line *line)
{
    const struct fmi_line_shm *shm = line->shm;
    if (fmi_party_is_closed(line->reader))
        return -EBADF;
    if (!is_empty(shm))
        return 0;
    return !is_gone(line->writer, &shm->writing) ? -EAGAIN : is_empty(shm) ? FM_ECLOSED : 0;
}

static int await_message(const struct fmi_line *line, int64_t deadline_ns)
{
    for (;;) {
        uint32_t seen = fmi_park_seen(&line->shm->filled);
        int rc = look(line);
        if (rc == -EBADF)
            return fmi_error(rc, "this end of the pipe is closed");
        if (rc == FM_ECLOSED)
            return fmi_error(rc, "no message is left, and the other end of the pipe is closed, or "
                                 "the process there has died");
        if (rc == 0)
            return 0;
        if (is_over(deadline_ns))
            return fmi_error(-ETIMEDOUT, "no message has come");
        sleep_on(&line->shm->filled, seen, line->writer, deadline_ns);
    }
}

/* The descriptor of this process, if it has one, says what there is now. */
static void settle_bell(const struct fmi_line *line)
{
    struct fmi_doorbell_shm *bell = &line->shm->bell;
    if (!fmi_doorbell_is_here(bell))
        return;
    if (is_empty(line->shm) && !fmi_party_is_closed(line->writer)) {
        fmi_doorbell_arm(bell);
        fmi_doorbell_watch(bell, fmi_party_watched(line->writer));
    }
    if (look(line) != -EAGAIN) /* o3 */
        fmi_doorbell_show(bell);
}

/* r2 .. r6. Each release: whoever repairs sees them in this order; pairs with repair_reader. */
static void take(struct fmi_line_shm *shm, const struct frame *f, void *buf)
{
    uint64_t head = head_of(shm);
    if (f->kind == FMI_FRAME_INLINE) {
        get_bytes(shm, head + HEADER_BYTES, buf, f->bytes);
        FMI_FAULT("line.copied");
    } else {
        memcpy(buf, (const void *)(uintptr_t)f->block, f->bytes);
        FMI_FAULT("line.copied");
        atomic_store_explicit(&shm->returned, f->lent, memory_order_release);
        atomic_store_explicit(&shm->taken_head, head + BLOCK_FRAME_BYTES, memory_order_release);
        atomic_store_explicit(&shm->taken, f->block, memory_order_release);
    }
    FMI_FAULT("line.take");
    atomic_store_explicit(&shm->head, head + frame_bytes(f), memory_order_release); /* head_of */
    FMI_FAULT("line.taken");
    fmi_park_wake(&shm->emptied);
    if (f->kind == FMI_FRAME_BLOCK)
        free_noted(&shm->taken);
}

static int recv_locked(const struct fmi_line *line, void *buf, size_t cap, size_t *bytes,
                       int64_t deadline_ns)
{
    struct frame f;
    int rc = fmi_party_use(line->reader, line->back);
    if (rc == 0)
        rc = await_message(line, deadline_ns);
    if (rc != 0)
        return rc;
    uint64_t head = head_of(line->shm);
    rc = read_frame(line->shm, head, tail_of(line->shm) - head, &f);
    if (rc != 0)
        return rc;
    *bytes = f.bytes;
    if (f.bytes > cap)
        return fmi_error(FM_ETOOLONG, "the message has %zu bytes, the buffer has room for %zu",
                         *bytes, cap);
    take(line->shm, &f, buf);
    return 0;
}

int fmi_line_recv(const struct fmi_line *line, void *buf, size_t cap, size_t *bytes,
                  int64_t deadline_ns)
{
    int rc = enter(line->shm, &line->shm->reading, deadline_ns);
    if (rc != 0)
        return rc;
    rc = recv_locked(line, buf, cap, bytes, deadline_ns);
    settle_bell(line);
    leave(&line->shm->reading);
    return rc;
}

int fmi_line_poll(const struct fmi_line *line, int64_t deadline_ns)
{
    int rc = enter(line->shm, &line->shm->reading, deadline_ns);
    if (rc != 0)
        return rc;
    rc = fmi_party_use(line->reader, line->back);
    if (rc == 0)
        rc = await_message(line, deadline_ns);
    settle_bell(line);
    leave(&line->shm->reading);
    return rc == FM_ECLOSED ? 0 : rc;
}

int fmi_line_fileno(const struct fmi_line *line, int64_t deadline_ns)
{
    int rc = enter(line->shm, &line->shm->reading, deadline_ns);
    if (rc != 0)
        return rc;
    int fd = fmi_party_use(line->reader, line->back);
    if (fd == 0)
        fd = fmi_doorbell_open(&line->shm->bell);
    if (fd >= 0) {
        fmi_doorbell_arm(&line->shm->bell); /* or it would be taken for one that has a byte */
        settle_bell(line);
    }
    leave(&line->shm->reading);
    return fd;
}

void fmi_line_hang_up(struct fmi_line_shm *shm)
{
    if (enter(shm, &shm->reading, FMI_NEVER) != 0)
        return; /* without an id this thread has opened nothing */
    fmi_doorbell_close(&shm->bell);
    leave(&shm->reading);
}
