/* SPDX-License-Identifier: MIT */
/* Frames of a crash, by the unwinder of libgcc, and their modules, by _dl_find_object(); see trace.h. Both are async-signal-safe. */
#include "trace.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

struct walk {
    struct fmi_trace_place_shm *places;
    uint64_t *frames;
    _Atomic uint32_t *n_frames;
    uintptr_t crashed_at; /* where the first frame is; 0: not known here */
    const struct link_map *own;
    int has_begun, has_left_own;
};

static uintptr_t address_of_crash(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* Its place, from 1; 0: there is none left. */
static uint32_t find_place(struct fmi_trace_place_shm *places, const char *path)
{
    size_t bytes = strlen(path) + 1;
    for (uint32_t i = 0; i < FMI_TRACE_MODULES && bytes <= FMI_TRACE_PATH_BYTES; i++) {
        struct fmi_trace_place_shm *p = &places[i];
        uint32_t state = 0;
        if (atomic_compare_exchange_strong(&p->state, &state, FMI_PLACE_WRITING)) {
            memcpy(p->path, path, bytes);
            atomic_store_explicit(&p->state, FMI_PLACE_WRITTEN, memory_order_release);
            return i + 1;
        }
        if (state == FMI_PLACE_WRITTEN && strncmp(p->path, path, sizeof p->path) == 0)
            return i + 1; /* another process's that is being written may come twice: no harm */
    }
    return 0;
}

#if __GLIBC_PREREQ(2, 35)
static const struct link_map *find_module(uintptr_t address)
{
    struct dl_find_object found;
    return _dl_find_object((void *)address, &found) == 0 ? found.dlfo_link_map : NULL;
}
#else /* dladdr() takes a lock that the crash may be under: frames are addresses */
static const struct link_map *find_module(uintptr_t address)
{
    (void)address;
    return NULL;
}
#endif

/* 0: that was the last one wanted. */
static int add_frame(struct walk *w, uintptr_t address)
{
    uint32_t n = atomic_load_explicit(w->n_frames, memory_order_relaxed); /* own */
    const struct link_map *module = find_module(address);
    int is_own = module != NULL && module == w->own;
    if (n == FM_MAX_FRAMES || (is_own && w->has_left_own))
        return 0;
    w->has_left_own |= !is_own;
    uint32_t place = module == NULL ? 0 : find_place(w->places, module->l_name);
    w->frames[n] = place == 0 ? FMI_FRAME(0, address) : FMI_FRAME(place, address - module->l_addr);
    /* release: pairs with fmi_failure_of_death */
    atomic_store_explicit(w->n_frames, n + 1, memory_order_release);
    return 1;
}

/* The handler's own frames, and the kernel's, come first. */
static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
    struct walk *w = arg;
    uintptr_t address = _Unwind_GetIP(context);
    w->has_begun |= address == w->crashed_at || w->crashed_at == 0;
    if (!w->has_begun)
        return _URC_NO_REASON;
    return address != 0 && add_frame(w, address) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written through `walk` */
void fmi_trace_collect(struct fmi_trace_place_shm *places, const void *context, uint64_t *frames,
                       _Atomic uint32_t *n_frames)
{
    struct walk w = {.places = places,
                     .frames = frames,
                     .n_frames = n_frames,
                     .crashed_at = address_of_crash(context)};
    const struct link_map *own = find_module((uintptr_t)fmi_trace_collect);
    w.own =
        own != NULL && own->l_name[0] != '\0' ? own : NULL; /* not if it is part of the program */
    _Unwind_Backtrace(step, &w);
    if (!w.has_begun && w.crashed_at != 0) /* the unwinder lost its way before */
        (void)add_frame(&w, w.crashed_at);
}
