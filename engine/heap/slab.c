/* SPDX-License-Identifier: MIT */
/* Blocks of one size, one bit each; the protocol is in slab.h. */
#include "slab.h"

#include "error.h"
#include "fault.h"
#include "heap_layout.h"
#include "span.h"

#include <forkmap/status.h>

static size_t block_bytes(uint32_t size_class)
{
    return FMI_SLAB_MIN_BYTES << size_class;
}

uint32_t fmi_slab_class(size_t bytes)
{
    uint32_t size_class = 0;
    while (block_bytes(size_class) < bytes)
        size_class++;
    return size_class;
}

static void *take_block(struct fmi_heap *heap, uint32_t span, uint32_t size_class)
{
    struct fmi_slab_shm *slab = &heap->bitmaps[span];
    uint32_t n_words = (uint32_t)(FMI_SPAN_BYTES / block_bytes(size_class) + 63) / 64;
    for (uint32_t w = 0; w < n_words; w++) {
        uint64_t bits = atomic_load_explicit(&slab->bits[w], memory_order_relaxed); /* a hint */
        while (bits != UINT64_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctzll(~bits);
            /* acquire: pairs with the release of the free, whose last uses of the block are over */
            bits = atomic_fetch_or_explicit(&slab->bits[w], 1ull << bit, memory_order_acquire);
            FMI_FAULT("slab.taken");
            if ((bits >> bit & 1) == 0)
                return heap->spans + span * FMI_SPAN_BYTES +
                       (w * 64 + bit) * block_bytes(size_class);
        }
    }
    return NULL;
}

static int is_slab_of(struct fmi_heap *heap, uint32_t span, uint32_t size_class)
{
    uint64_t word = atomic_load_explicit(&heap->table[span],
                                         memory_order_acquire); /* pairs with fmi_span_commit */
    return fmi_span_kind(word) == FMI_SPAN_SLAB && fmi_span_length(word) == size_class;
}

static void *take_from_any(struct fmi_heap *heap, uint32_t size_class)
{
    uint32_t top = fmi_heap_top(heap);
    uint32_t hint = atomic_load_explicit(&heap->shm->slab_hint[size_class], memory_order_relaxed);
    for (uint32_t i = 0; i < top; i++) {
        uint32_t span = i + hint < top ? i + hint : (i + hint) % top;
        void *block =
            is_slab_of(heap, span, size_class) ? take_block(heap, span, size_class) : NULL;
        if (block == NULL)
            continue;
        if (i != 0)
            atomic_store_explicit(&heap->shm->slab_hint[size_class], span, memory_order_relaxed);
        return block;
    }
    return NULL;
}

static int open_slab(struct fmi_heap *heap, uint32_t size_class)
{
    int64_t span = fmi_span_claim(heap, 1, 0);
    if (span < 0)
        return (int)span;
    struct fmi_slab_shm *slab = &heap->bitmaps[span];
    int rc = fmi_heap_reserve(heap, slab, sizeof *slab);
    if (rc != 0) {
        fmi_span_commit(heap, (uint32_t)span, FMI_SPAN_USED, 1);
        fmi_span_release(heap, (uint32_t)span);
        return rc;
    }
    uint32_t n_blocks = (uint32_t)(FMI_SPAN_BYTES / block_bytes(size_class));
    for (uint32_t w = 0; w < 16; w++) {
        uint32_t used = n_blocks > w * 64 ? n_blocks - w * 64 : 0;
        uint64_t beyond = used >= 64 ? 0 : UINT64_MAX << used;
        atomic_store_explicit(&slab->bits[w], beyond,
                              memory_order_relaxed); /* published by commit */
    }
    FMI_FAULT("slab.open");
    fmi_span_commit(heap, (uint32_t)span, FMI_SPAN_SLAB, size_class);
    atomic_store_explicit(&heap->shm->slab_hint[size_class], (uint32_t)span, memory_order_relaxed);
    return 0;
}

int fmi_slab_alloc(struct fmi_heap *heap, size_t bytes, void **out)
{
    uint32_t size_class = fmi_slab_class(bytes);
    while ((*out = take_from_any(heap, size_class)) == NULL) {
        int rc = open_slab(heap, size_class);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int fmi_slab_free(struct fmi_heap *heap, uint32_t span, uint32_t size_class, const void *p)
{
    if (size_class >= FMI_SLAB_CLASSES)
        return fmi_error(FM_ECORRUPT, "the heap's control words are overwritten");
    size_t offset = (size_t)((const char *)p - heap->spans) % FMI_SPAN_BYTES;
    size_t block = offset / block_bytes(size_class);
    if (offset % block_bytes(size_class) != 0)
        return fmi_error(FM_ECORRUPT, "%p is not the start of an allocation", p);
    uint64_t bit = 1ull << block % 64;
    FMI_FAULT("slab.free");
    /* release: pairs with the acquire in take_block */
    uint64_t before = atomic_fetch_and_explicit(&heap->bitmaps[span].bits[block / 64], ~bit,
                                                memory_order_release);
    if ((before & bit) == 0)
        return fmi_error(FM_ECORRUPT, "%p is not in use, or freed already", p);
    atomic_store_explicit(&heap->shm->slab_hint[size_class], span, memory_order_relaxed);
    return 0;
}
