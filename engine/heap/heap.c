/* SPDX-License-Identifier: MIT */
/* The heap object: made at first use, mapped at a fixed address, divided as heap_layout.h draws. */
#include "heap.h"

#include "checked.h"
#include "error.h"
#include "forklock.h"
#include "heap_layout.h"
#include "rlimits.h"
#include "memory.h"
#include "message.h"
#include "span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Addresses that an exec'd child can map again, far from where the kernel puts libraries and stacks. The first is free plain, under
 * AddressSanitizer and under valgrind. ThreadSanitizer ends a program that asks for any place but its own: the second, up to 256 GiB.
 */
#if defined(__SANITIZE_THREAD__)
static const uintptr_t address_hints[] = {0x1000000000};
static const size_t largest_bytes = (size_t)1 << 38;
static const uintptr_t outside_begin = 0x5800000000, outside_end = 0x7f00000000;
#else
static const uintptr_t address_hints[] = {0x200000000000, 0x1000000000, 0x300000000000};
static const size_t largest_bytes = (size_t)1 << 40;
static const uintptr_t outside_begin = 0x380000000000, outside_end = 0x550000000000; /* programs */
#endif
static const size_t smallest_bytes = (size_t)1 << 26, valgrind_bytes = (size_t)1 << 28;
static const size_t warm_bytes = (size_t)1 << 30;

static struct fmi_heap *this_heap; /* private: the process's view; a forked child inherits it */
static struct fmi_forklock opening = FMI_FORKLOCK;

int fmi_heap_reserve(struct fmi_heap *heap, void *p, size_t bytes)
{
    size_t page = fmi_sys_page_bytes();
    uintptr_t begin = (uintptr_t)p / page * page;
    uintptr_t end = ((uintptr_t)p + bytes + page - 1) / page * page;
    int rc = fmi_sys_reserve(heap->fd, heap->inode, begin - (uintptr_t)heap->shm, (void *)begin,
                             end - begin);
    if (rc == 0)
        return 0;
    return fmi_error(rc,
                     "%zu KiB asked for; the kernel has no pages left (%lld MiB of memory free%s)",
                     bytes >> 10, (long long)(fmi_sys_memory_left() >> 20),
                     rc == -ENOSPC ? "; /dev/shm may be full" : "");
}

uint32_t fmi_heap_top(const struct fmi_heap *heap)
{
    uint32_t top = atomic_load(&heap->shm->top); /* first */
    uint32_t ready = atomic_load(&heap->shm->ready);
    return top <= ready && ready <= heap->n_spans ? top : 0;
}

static void lay_out(struct fmi_heap *heap, char *base, size_t bytes)
{
    size_t page = fmi_sys_page_bytes();
    size_t per_span = FMI_SPAN_BYTES + sizeof(uint64_t) + sizeof(struct fmi_slab_shm);
    size_t n = (bytes - 4 * FMI_SPAN_BYTES) / per_span / 512 * 512;
    heap->shm = (struct fmi_heap_shm *)base;
    heap->table = (_Atomic uint64_t *)(base + 2 * page);
    heap->bitmaps = (struct fmi_slab_shm *)(base + 2 * page + n * sizeof(uint64_t));
    heap->spans = base + bytes - n * FMI_SPAN_BYTES;
    heap->n_spans = (uint32_t)n;
    heap->bytes = bytes;
}

/* In each process that is no fork of one that has done it. */
static int protect_gaps(struct fmi_heap *heap)
{
    size_t page = fmi_sys_page_bytes();
    int rc = fmi_sys_protect_none((char *)heap->shm + page, page);
    return rc != 0 ? rc : fmi_sys_protect_none(heap->spans - page, page);
}

static int write_header(struct fmi_heap *heap)
{
    int rc = fmi_heap_reserve(heap, heap->shm, sizeof *heap->shm);
    if (rc != 0)
        return rc;
    *heap->shm = (struct fmi_heap_shm){
        .magic = FMI_HEAP_MAGIC,
        .layout = FMI_HEAP_LAYOUT,
        .n_spans = heap->n_spans,
        .bytes = heap->bytes,
        .warm_limit = warm_bytes / FMI_SPAN_BYTES,
    };
    return protect_gaps(heap);
}

/* -EEXIST: every place is taken or refused. */
static int map_somewhere(int fd, size_t bytes, char **base)
{
    for (size_t i = 0; i < sizeof address_hints / sizeof address_hints[0]; i++) {
        *base = (char *)address_hints[i];
        int rc = fmi_sys_map_at(*base, fd, bytes, 1);
        if (rc == 0 || rc == -ENOMEM)
            return rc;
    }
    return -EEXIST;
}

static int backing_from_environment(void)
{
    const char *text = getenv("FORKMAP_BACKING");
    if (text != NULL && strcmp(text, "shm_open") == 0)
        return FMI_BACKING_SHM_OPEN;
    if (text != NULL && strcmp(text, "memfd") != 0 && *text != '\0')
        fmi_log(FM_LOG_WARNING, "FORKMAP_BACKING=%s is neither memfd nor shm_open; memfd is used",
                text);
    return FMI_BACKING_MEMFD;
}

/* Makes and maps an object of `bytes`. -ENOMEM or -EEXIST: smaller may do. */
static int open_sized(struct fmi_heap *heap, size_t bytes)
{
    char *base = NULL;
    int rc = fmi_sys_shm_create(&heap->fd, backing_from_environment(), bytes);
    if (rc != 0)
        return fmi_error(rc, "the shared heap's object of %zu MiB cannot be made: %s", bytes >> 20,
                         fm_strerror(rc));
    heap->inode = fmi_sys_inode(heap->fd);
    rc = map_somewhere(heap->fd, bytes, &base);
    if (rc != 0)
        fmi_error_note("no room for the shared heap's %zu MiB of addresses: %s (see ulimit -v)",
                       bytes >> 20, fm_strerror(rc));
    if (rc == 0) {
        lay_out(heap, base, bytes);
        rc = write_header(heap);
        if (rc != 0)
            fmi_sys_unmap(base, bytes);
    }
    if (rc != 0)
        close(heap->fd);
    return rc;
}

/* FORKMAP_HEAP=64M, 4G, ...; SIZE_MAX if it says nothing. */
static size_t limit_from_environment(void)
{
    static const char units[] = "KMGT";
    const char *text = getenv("FORKMAP_HEAP"), *unit;
    char *end;
    if (text == NULL || *text == '\0')
        return SIZE_MAX;
    unsigned long long n = strtoull(text, &end, 10);
    int shift = 0;
    if (*end != '\0' && (unit = strchr(units, *end)) != NULL && end[1] == '\0')
        shift = 10 * (int)(unit - units + 1);
    else if (*end != '\0')
        n = 0;
    if (n >= smallest_bytes >> shift && n <= largest_bytes >> shift)
        return (size_t)n << shift;
    fmi_log(FM_LOG_WARNING, "FORKMAP_HEAP=%s is no size from 64M to 1T; it is not used", text);
    return SIZE_MAX;
}

/* At its end valgrind looks for lost blocks in all of it, and would fill the machine's memory with empty pages. */
static size_t limit_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "/vgpreload_") != NULL ? valgrind_bytes : SIZE_MAX;
}

static int wants_huge_pages(void)
{
    const char *text = getenv("FORKMAP_HUGE_PAGES");
    if (text == NULL || *text == '\0' || strcmp(text, "yes") == 0)
        return 1;
    if (strcmp(text, "no") != 0)
        fmi_log(FM_LOG_WARNING, "FORKMAP_HUGE_PAGES=%s is neither yes nor no; they are used", text);
    return strcmp(text, "no") != 0;
}

static int open_largest(struct fmi_heap *heap)
{
    size_t limit = fmi_sys_file_limit(), bytes = largest_bytes;
    size_t wanted = limit_from_environment();
    heap->wants_huge = wants_huge_pages();
    if (wanted == SIZE_MAX)
        wanted = limit_under_valgrind();
    while ((bytes > limit || bytes > wanted) && bytes > smallest_bytes)
        bytes /= 2;
    if (bytes > limit)
        return fmi_error(
            -EFBIG,
            "RLIMIT_FSIZE is %zu KiB; the shared heap needs at least %zu MiB (see ulimit -f)",
            limit >> 10, smallest_bytes >> 20);
    int rc;
    do {
        rc = open_sized(heap, bytes);
        bytes /= 2;
    } while ((rc == -ENOMEM || rc == -EEXIST) && bytes >= smallest_bytes);
    return rc;
}

static int take_zeroed(void **out, size_t bytes)
{
    return fmi_heap_alloc(out, bytes, FMI_HEAP_ZERO);
}

/* The family's threads know each other by a table in the heap. */
static void use_heap(struct fmi_heap *heap)
{
    fmi_mortals_use(&heap->shm->mortals, take_zeroed);
    fmi_mortals_believe(fmi_heap_contains);
    __atomic_store_n(&this_heap, heap, __ATOMIC_RELEASE); /* pairs with the acquire in get_heap */
}

static int open_heap(struct fmi_heap **out)
{
    static struct fmi_heap heap;
    fmi_forklock_acquire(&opening);
    int rc = 0;
    if (this_heap == NULL && (rc = open_largest(&heap)) == 0)
        use_heap(&heap);
    *out = this_heap;
    fmi_forklock_release(&opening);
    return fmi_rlimits_explain(rc);
}

static struct fmi_heap *get_heap(void)
{
    return __atomic_load_n(&this_heap, __ATOMIC_ACQUIRE);
}

int fmi_heap_place(struct fmi_heap_place *out)
{
    struct fmi_heap *heap = get_heap();
    int rc = heap == NULL ? open_heap(&heap) : 0;
    if (rc != 0)
        return rc;
    if (fmi_sys_inode(heap->fd) != heap->inode)
        return fmi_error(-EBADF, "the shared heap's descriptor is closed: a process that is to be "
                                 "executed anew cannot be given the heap");
    *out = (struct fmi_heap_place){.fd = heap->fd, .base = (char *)heap->shm, .bytes = heap->bytes};
    return 0;
}

static int check_header(const struct fmi_heap *heap)
{
    const struct fmi_heap_shm *shm = heap->shm;
    if (shm->magic == FMI_HEAP_MAGIC && shm->layout == FMI_HEAP_LAYOUT &&
        shm->bytes == heap->bytes && shm->n_spans == heap->n_spans)
        return 0;
    return fmi_error(FM_ECORRUPT, "what lies at %p is no shared heap of this version", (void *)shm);
}

int fmi_heap_attach(const struct fmi_heap_place *place)
{
    static struct fmi_heap heap;
    int rc = fmi_sys_map_at(place->base, place->fd, place->bytes, 1);
    if (rc != 0)
        return fmi_error(rc, "the shared heap's addresses, %zu MiB at %p, are taken here: %s",
                         place->bytes >> 20, (void *)place->base, fm_strerror(rc));
    heap.fd = place->fd;
    heap.inode = fmi_sys_inode(place->fd);
    heap.wants_huge = wants_huge_pages();
    lay_out(&heap, place->base, place->bytes);
    rc = check_header(&heap);
    if (rc == 0)
        rc = protect_gaps(&heap);
    if (rc == 0)
        use_heap(&heap);
    return rc;
}

int fmi_heap_alloc(void **out, size_t bytes, unsigned flags)
{
    *out = NULL;
    struct fmi_heap *heap = get_heap();
    int rc = heap == NULL ? open_heap(&heap) : 0;
    if (rc != 0)
        return rc;
    if (bytes <= FMI_SLAB_MAX_BYTES) {
        rc = fmi_slab_alloc(heap, bytes, out);
        if (rc == 0 && (flags & FMI_HEAP_ZERO) != 0)
            memset(*out, 0, bytes);
        return rc;
    }
    if (bytes > heap->bytes - FMI_SPAN_BYTES)
        return fmi_error(-ENOMEM, "%zu MiB asked for; the heap has %zu MiB in all", bytes >> 20,
                         heap->bytes >> 20);
    uint32_t n = (uint32_t)((bytes + FMI_SPAN_BYTES - 1) / FMI_SPAN_BYTES);
    int64_t head = fmi_span_claim(heap, n, (flags & FMI_HEAP_ZERO) != 0);
    if (head < 0)
        return (int)head;
    fmi_span_commit(heap, (uint32_t)head, FMI_SPAN_USED, n);
    *out = heap->spans + (size_t)head * FMI_SPAN_BYTES;
    return 0;
}

int fmi_heap_free(void *p)
{
    if (p == NULL)
        return 0;
    if (!fmi_heap_contains(p, 1))
        return fmi_error(FM_ECORRUPT, "%p does not lie in the shared heap", p);
    struct fmi_heap *heap = get_heap();
    uint32_t span = (uint32_t)((size_t)((char *)p - heap->spans) / FMI_SPAN_BYTES);
    uint64_t word = atomic_load(&heap->table[span]);
    if (fmi_span_kind(word) == FMI_SPAN_SLAB)
        return fmi_slab_free(heap, span, fmi_span_length(word), p);
    if ((size_t)((char *)p - heap->spans) % FMI_SPAN_BYTES != 0)
        return fmi_error(FM_ECORRUPT, "%p is not the start of an allocation", p);
    return fmi_span_release(heap, span);
}

int fmi_heap_contains(const void *p, size_t bytes)
{
    struct fmi_heap *heap = get_heap();
    if (heap == NULL || (const char *)p < heap->spans)
        return 0;
    size_t offset = (size_t)((const char *)p - heap->spans), end;
    return fmi_checked_add(offset, bytes, &end) && end <= fmi_heap_top(heap) * FMI_SPAN_BYTES;
}

int fmi_heap_is_block(const void *p, size_t bytes)
{
    struct fmi_heap *heap = get_heap();
    if (bytes > FMI_SLAB_MAX_BYTES || !fmi_heap_contains(p, bytes))
        return 0;
    size_t offset = (size_t)((const char *)p - heap->spans);
    uint64_t word = atomic_load(&heap->table[offset / FMI_SPAN_BYTES]);
    uint32_t size_class = fmi_slab_class(bytes);
    return fmi_span_kind(word) == FMI_SPAN_SLAB && fmi_span_length(word) == size_class &&
           offset % FMI_SPAN_BYTES % (FMI_SLAB_MIN_BYTES << size_class) == 0;
}

int fmi_heap_take_outside(size_t bytes, int n_failed, char **base, uint64_t *serial)
{
    struct fmi_heap *heap = get_heap();
    size_t room = outside_end - outside_begin, taken;
    int rc = heap == NULL ? open_heap(&heap) : 0;
    if (rc != 0)
        return rc;
    if (!fmi_checked_round_up(bytes, FMI_SPAN_BYTES, &taken) || taken > room / 2)
        return fmi_error(-ENOMEM, "%zu GiB are more addresses than there are for mapped files",
                         bytes >> 30);
    for (int i = 0; i < n_failed && taken <= room / 4; i++)
        taken *= 2;
    uint64_t offset;
    do /* what would pass the end is left out, and the next begins at the start again */
        offset = atomic_fetch_add(&heap->shm->outside, taken) % room;
    while (offset > room - taken);
    *base = (char *)(outside_begin + offset / FMI_SPAN_BYTES * FMI_SPAN_BYTES);
    *serial = atomic_fetch_add(&heap->shm->n_outside, 1) + 1;
    if (*serial == 0 || *serial == UINT64_MAX)
        return fmi_error(FM_ECORRUPT, "the heap's control words are overwritten");
    return 0;
}

int fmi_heap_is_outside(const char *base, size_t bytes)
{
    uintptr_t begin = (uintptr_t)base;
    return begin % FMI_SPAN_BYTES == 0 && begin >= outside_begin && begin < outside_end &&
           bytes > 0 && bytes <= outside_end - begin;
}

void fmi_heap_recover(int dead_pid)
{
    struct fmi_heap *heap = get_heap();
    if (heap != NULL)
        fmi_span_recover(heap, dead_pid);
}

void fmi_heap_usage(struct fmi_heap_usage *out)
{
    struct fmi_heap *heap = get_heap();
    *out = (struct fmi_heap_usage){0};
    if (heap == NULL)
        return;
    out->used_bytes = (size_t)atomic_load(&heap->shm->used) * FMI_SPAN_BYTES;
    out->warm_bytes = (size_t)atomic_load(&heap->shm->warm) * FMI_SPAN_BYTES;
    out->limit_bytes = heap->bytes;
}
