/* SPDX-License-Identifier: MIT */
#ifndef FMI_MORTAL_H
#define FMI_MORTAL_H

/*
 * Who holds it, and is he alive? Threads of the family as shared objects know them. A mortal has an id of 64 bits, { W:1, generation:31,
 * index + 1:20, version:12 }, that is never given to two threads; an object that is held has the id of its holder in a word, so whoever finds it held
 * learns of the holder's death, sleeps until it, and takes over. The bits W and version are the object's own; they are 0 in an id.
 *
 * Each mortal has an entry in a table that the whole family sees. In it is a robust process-shared mutex of glibc's, which its thread takes once
 * and never releases: when the thread ends, in whatever way, the kernel marks the futex word in it (FUTEX_OWNER_DIED) and wakes a sleeper. So a lock costs
 * no entry in a robust list at each acquire, and may be released by another process.
 *
 *   entry      | life word        | generation | who moves it on                        | the process dies here
 *   MAKING     | 0                | 0          | whoever got its number from n_made     | the entry is lost, one of 16,384
 *   ALIVE      | tid, WAITERS     | g          | the kernel, at the thread's end        | -> DEAD
 *   DEAD       | OWNER_DIED       | g          | a new thread, by trylock               | -
 *   CLAIMED    | tid, WAITERS     | g          | the same: g + 1, its pid; wakes all    | -> DEAD, with g or g + 1
 *
 * INVARIANTS
 *   (1) The thread with id (i, g) is alive iff entry i has generation g and its life word no OWNER_DIED. CLAIMED looks alive for
 *       a moment, to the old id: whoever sleeps on that is woken after the generation was changed, or looks again.
 *   (2) An id is published only by its own thread, after (1) holds for it.
 *   (3) Blocks of entries are never freed or moved. So each process keeps their addresses, once it has seen them: the shared ones may be overwritten later.
 *
 * Beside its life an entry has what shared objects keep about a thread that uses them, in the thread's own memory: which condition it waits on (cond.h), which
 * reader-writer locks it reads under (rwlock.h). Whoever looks for such threads goes through all entries. Objects are known there by numbers that are never
 * given twice, so what is left of one that was freed means nothing to the next.
 *
 * Of those that sleep until a death the kernel wakes one; it wakes the others before it does anything else. If it is killed before that, they wake by
 * themselves: no sleep here is longer than FMI_MORTAL_LOOK_NS.
 */

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { FMI_MORTAL_BLOCK = 256, FMI_MORTAL_BLOCKS = 64, FMI_MORTAL_LOOK_NS = 50000000 };

/* Of an id, and of words that have one in them. */
#define FMI_MORTAL_ID       0x7ffffffffffff000ull
#define FMI_MORTAL_WAITERS  0x8000000000000000ull
#define FMI_MORTAL_VERSION  0x0000000000000fffull
#define FMI_MORTAL_IS_THERE 0x00000000fffff000ull /* not 0: there is an id */

enum { FMI_MORTAL_READS = 11 };

/*
 *      0:  | life |                                       glibc; the kernel at the end
 *     64:  | generation | pid |                           its thread, before it publishes its id; pid is for people
 *     72:  | left |                                       its process
 *     80:  | called | - | waits_on | ticket |             its thread; `called`, and 0 into waits_on, who calls it (cond.h)
 *    104:  | reads [11] |                                 its thread (rwlock.h)
 *    192:  end
 */
struct fmi_mortal_shm {
    pthread_mutex_t life;
    alignas(64) _Atomic uint32_t generation;
    _Atomic uint32_t pid;
    _Atomic uint64_t
        left; /* a bit per generation, modulo 64: it ended in order, which is no death to tell of */
    _Atomic uint32_t called; /* on which the thread sleeps */
    uint32_t pad;
    _Atomic uint64_t waits_on; /* the condition's number; 0: none */
    _Atomic uint64_t ticket;
    _Atomic uint64_t reads[FMI_MORTAL_READS]; /* numbers of reader-writer locks; 0: none */
};
static_assert(sizeof(struct fmi_mortal_shm) == 192, "mortal: layout");
static_assert(offsetof(struct fmi_mortal_shm, generation) == 64, "mortal: layout");
static_assert(offsetof(struct fmi_mortal_shm, left) == 72, "mortal: layout");
static_assert(offsetof(struct fmi_mortal_shm, called) == 80, "mortal: layout");
static_assert(offsetof(struct fmi_mortal_shm, reads) == 104, "mortal: layout");

struct fmi_mortals_shm {
    _Atomic uint32_t n_made; /* anyone: entries that exist, or are lost; grows only */
    uint32_t pad;
    _Atomic uint64_t n_numbers;                  /* anyone: given to objects; grows only */
    _Atomic uintptr_t blocks[FMI_MORTAL_BLOCKS]; /* whoever needs one first; never changes again */
};

/* The table of this process's family, on zeroed bytes; `take` gives zeroed, shared, never freed memory. Once in a process; a forked child inherits it. */
void fmi_mortals_use(struct fmi_mortals_shm *table, int (*take)(void **out, size_t bytes));

/* From now on the address of a block is believed only if `contains` says that so many bytes lie there. */
void fmi_mortals_believe(int (*contains)(const void *p, size_t bytes));

/* This thread's id, the same until it ends. 0: there is no table, no memory, or 16,384 threads have one already. */
uint64_t fmi_mortal_self(void);

/* 1: alive. An id that is none is dead, too: words are read from memory that anyone can write to. */
int fmi_mortal_is_alive(uint64_t id);
/* 1: it ended in order, so nobody needs to be told; or that was 63 threads ago in its entry, and nobody knows. */
int fmi_mortal_has_left(uint64_t id);
/* The threads of this process end in order now: before _exit() or exit(). */
void fmi_mortal_leave(void);

/* Entries so far, by number; for those who look at all. NULL: it is not ready. */
int fmi_mortal_count(void);
struct fmi_mortal_shm *fmi_mortal_at(int i);
/* The id that entry i has now; 0: it is not ready. */
uint64_t fmi_mortal_id_at(int i);
/* A number for an object, which is given only once; 0: there is no table. */
uint64_t fmi_mortal_number(void);
/* The entry of an id; NULL if that is none. */
struct fmi_mortal_shm *fmi_mortal_of(uint64_t id);

/*
 * Sleeps while *word == value and `id` is alive, for FMI_MORTAL_LOOK_NS at most. 0: look again; -ETIMEDOUT: `deadline_ns` is over; -EINTR.
 * An id of 0: nobody holds it.
 */
int fmi_mortal_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t id, int64_t deadline_ns);

#endif
