/* SPDX-License-Identifier: MIT */
/* The table of the family's threads; see mortal.h. */
#include "mortal.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"
#include "memory.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <unistd.h>

enum { ID_SHIFT = 12, GENERATION_SHIFT = 32, MAX_MORTALS = FMI_MORTAL_BLOCK * FMI_MORTAL_BLOCKS };
enum { LEFT_KEPT = 63 }; /* a joining thread clears the bit of the 64th before it */
#define GENERATION_MASK 0x7fffffffu
#define INDEX_MASK      0xfffffu

/* glibc has the futex word first in a mutex; the kernel finds it by the same offset. */
static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0, "mortal: glibc's mutex");

/* private to the process */
static struct fmi_mortals_shm *mortals;
static int (*take_memory)(void **out, size_t bytes);
static int (*is_memory)(const void *p, size_t bytes);
static _Atomic uintptr_t known_blocks[FMI_MORTAL_BLOCKS];
static _Atomic uint32_t
    *_Atomic page; /* wiped on fork, so ids of the parent's are none of the child's */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor: the thread ends in order */
static int has_key;

static _Thread_local uint64_t self;
static _Thread_local uint32_t self_pid;

static _Atomic uint32_t *life_of(struct fmi_mortal_shm *m)
{
    return (_Atomic uint32_t *)&m->life.__data.__lock;
}

static uint64_t make_id(int i, uint32_t generation)
{
    return (uint64_t)generation << GENERATION_SHIFT | (uint64_t)(i + 1) << ID_SHIFT;
}

static int index_of(uint64_t id)
{
    return (int)(id >> ID_SHIFT & INDEX_MASK) - 1;
}

static uint32_t generation_of(uint64_t id)
{
    return (uint32_t)(id >> GENERATION_SHIFT) & GENERATION_MASK;
}

static uint64_t left_bit(uint32_t generation)
{
    return UINT64_C(1) << generation % 64;
}

/* ---- the table ---------------------------------------------------------------------------------- */

void fmi_mortals_use(struct fmi_mortals_shm *table, int (*take)(void **out, size_t bytes))
{
    mortals = table;
    take_memory = take;
    is_memory = NULL;
    for (int b = 0; b < FMI_MORTAL_BLOCKS; b++)
        atomic_store(&known_blocks[b], 0);
}

void fmi_mortals_believe(int (*contains)(const void *p, size_t bytes))
{
    is_memory = contains;
}

/* 0: there is none. */
static uintptr_t block_at(int b)
{
    uintptr_t block = atomic_load_explicit(&known_blocks[b], memory_order_acquire);
    if (block != 0)
        return block;
    /* acquire: pairs with reach_block */
    block = atomic_load_explicit(&mortals->blocks[b], memory_order_acquire);
    if (block == 0 || block % alignof(struct fmi_mortal_shm) != 0 ||
        (is_memory != NULL &&
         !is_memory((const void *)block, FMI_MORTAL_BLOCK * sizeof(struct fmi_mortal_shm))))
        return 0;
    atomic_store_explicit(&known_blocks[b], block, memory_order_release);
    return block;
}

int fmi_mortal_count(void)
{
    uint32_t n = mortals == NULL ? 0 : atomic_load_explicit(&mortals->n_made, memory_order_relaxed);
    return n < MAX_MORTALS ? (int)n : MAX_MORTALS;
}

struct fmi_mortal_shm *fmi_mortal_at(int i)
{
    if (i < 0 || i >= fmi_mortal_count())
        return NULL;
    uintptr_t block = block_at(i / FMI_MORTAL_BLOCK);
    struct fmi_mortal_shm *m = (struct fmi_mortal_shm *)block + i % FMI_MORTAL_BLOCK;
    /* acquire: pairs with join */
    return block == 0 || atomic_load_explicit(&m->generation, memory_order_acquire) == 0 ? NULL : m;
}

struct fmi_mortal_shm *fmi_mortal_of(uint64_t id)
{
    return fmi_mortal_at(index_of(id));
}

int fmi_mortal_is_alive(uint64_t id)
{
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    if (m == NULL)
        return 0;
    /* life before generation: CLAIMED with the old generation changes its life word once more (join) */
    uint32_t life = atomic_load_explicit(life_of(m), memory_order_acquire);
    return (life & FUTEX_OWNER_DIED) == 0 &&
           atomic_load_explicit(&m->generation, memory_order_acquire) == generation_of(id);
}

/* The entry may have been taken over since, once or often. */
int fmi_mortal_has_left(uint64_t id)
{
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    if (m == NULL)
        return 0;
    uint64_t left = atomic_load(&m->left);
    uint32_t since = (atomic_load(&m->generation) - generation_of(id)) & GENERATION_MASK;
    return since >= LEFT_KEPT || (left & left_bit(generation_of(id))) != 0;
}

uint64_t fmi_mortal_id_at(int i)
{
    struct fmi_mortal_shm *m = fmi_mortal_at(i);
    /* acquire: pairs with join */
    return m == NULL ? 0 : make_id(i, atomic_load_explicit(&m->generation, memory_order_acquire));
}

uint64_t fmi_mortal_number(void)
{
    return mortals == NULL ? 0 : atomic_fetch_add(&mortals->n_numbers, 1) + 1;
}

/* ---- joining ------------------------------------------------------------------------------------ */

/* Two may bring one: the other's is lost, once. */
static struct fmi_mortal_shm *reach_block(int b)
{
    uintptr_t block = block_at(b);
    void *fresh;
    if (block != 0 || take_memory(&fresh, FMI_MORTAL_BLOCK * sizeof(struct fmi_mortal_shm)) != 0)
        return (struct fmi_mortal_shm *)block;
    if (atomic_compare_exchange_strong(&mortals->blocks[b], &block, (uintptr_t)fresh))
        return fresh;
    return (struct fmi_mortal_shm *)block_at(b);
}

static int init_life(pthread_mutex_t *life)
{
    pthread_mutexattr_t kind;
    int error = pthread_mutexattr_init(&kind);
    if (error != 0)
        return error;
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    error = pthread_mutex_init(life, &kind);
    pthread_mutexattr_destroy(&kind);
    return error;
}

/* It is this thread's from now on. WAITERS: or the kernel would mark the word and wake nobody. */
static uint64_t join(struct fmi_mortal_shm *m, int i)
{
    uint32_t generation =
        (atomic_load_explicit(&m->generation, memory_order_relaxed) + 1) & GENERATION_MASK;
    generation = generation == 0 ? 1 : generation;
    atomic_store_explicit(&m->pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&m->waits_on, 0, memory_order_relaxed);
    for (int k = 0; k < FMI_MORTAL_READS; k++)
        atomic_store_explicit(&m->reads[k], 0, memory_order_relaxed);
    atomic_fetch_and(&m->left, ~left_bit(generation));
    FMI_FAULT("mortal.join");
    /* release: pairs with fmi_mortal_at */
    atomic_store_explicit(&m->generation, generation, memory_order_release);
    FMI_FAULT("mortal.joined");
    atomic_fetch_or(life_of(m), FUTEX_WAITERS);
    fmi_sys_futex_wake_all(life_of(m)); /* who slept on the word of CLAIMED */
    return make_id(i, generation);
}

/* The entry of someone who is dead. */
static uint64_t take_over(int i)
{
    struct fmi_mortal_shm *m = fmi_mortal_at(i);
    if (m == NULL ||
        (atomic_load_explicit(life_of(m), memory_order_relaxed) & FUTEX_OWNER_DIED) == 0)
        return 0;
    if (pthread_mutex_trylock(&m->life) != EOWNERDEAD)
        return 0; /* another was faster */
    FMI_FAULT("mortal.claimed");
    pthread_mutex_consistent(&m->life);
    return join(m, i);
}

static uint64_t make_one(void)
{
    if (fmi_mortal_count() >= MAX_MORTALS)
        return 0;
    uint32_t i = atomic_fetch_add(&mortals->n_made, 1);
    struct fmi_mortal_shm *block = i < MAX_MORTALS ? reach_block((int)i / FMI_MORTAL_BLOCK) : NULL;
    if (block == NULL)
        return 0;
    struct fmi_mortal_shm *m = &block[i % FMI_MORTAL_BLOCK];
    FMI_FAULT("mortal.made");
    if (init_life(&m->life) != 0 || pthread_mutex_trylock(&m->life) != 0)
        return 0;
    return join(m, (int)i);
}

static void leave(struct fmi_mortal_shm *m)
{
    atomic_fetch_or(&m->left, left_bit(atomic_load_explicit(&m->generation, memory_order_relaxed)));
}

static void leave_thread(void *m)
{
    leave(m);
}

static void prepare(void)
{
    atomic_store(&page, fmi_sys_map_wiped_on_fork());
    has_key = pthread_key_create(&key, leave_thread) == 0;
    atexit(fmi_mortal_leave);
}

/* A new thread, or a forked child's first: its parent's id is not its own. */
static uint64_t register_self(void)
{
    uint64_t id = 0;
    if (mortals == NULL)
        return 0;
    pthread_once(&once, prepare);
    for (int k = 0, n = fmi_mortal_count(); k < n && id == 0; k++)
        id = take_over(k);
    if (id == 0)
        id = make_one();
    self = id;
    self_pid = (uint32_t)getpid();
    _Atomic uint32_t *p = atomic_load(&page);
    if (p != NULL && id != 0)
        atomic_store_explicit(p, self_pid, memory_order_relaxed);
    if (has_key)
        pthread_setspecific(key, fmi_mortal_of(id));
    return id;
}

uint64_t fmi_mortal_self(void)
{
    _Atomic uint32_t *p = atomic_load_explicit(&page, memory_order_relaxed);
    uint32_t pid = p != NULL ? atomic_load_explicit(p, memory_order_relaxed) : (uint32_t)getpid();
    return self != 0 && pid == self_pid ? self : register_self();
}

void fmi_mortal_leave(void)
{
    for (int i = 0, n = fmi_mortal_count(); i < n; i++) {
        struct fmi_mortal_shm *m = fmi_mortal_at(i);
        if (m != NULL && atomic_load_explicit(&m->pid, memory_order_relaxed) == (uint32_t)getpid())
            leave(m);
    }
}

/* ---- waiting ------------------------------------------------------------------------------------ */

int fmi_mortal_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t id, int64_t deadline_ns)
{
    int64_t look_ns = fmi_deadline_after(FMI_MORTAL_LOOK_NS);
    int64_t until_ns = look_ns < deadline_ns ? look_ns : deadline_ns;
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    int rc;
    if (m == NULL) {
        if (id != 0)
            return 0; /* dead */
        rc = fmi_sys_futex_wait(word, value, until_ns);
    } else {
        uint32_t life = atomic_load(life_of(m));
        if (!fmi_mortal_is_alive(id))
            return 0;
        FMI_FAULT("mortal.wait");
        rc = fmi_sys_futex_wait_alive(word, value, life_of(m), life, until_ns);
        if (atomic_load(life_of(m)) != life)
            fmi_sys_futex_wake_all(
                life_of(m)); /* of all that wait for a death the kernel wakes one */
    }
    return rc == -ETIMEDOUT && until_ns != deadline_ns ? 0 : rc;
}
